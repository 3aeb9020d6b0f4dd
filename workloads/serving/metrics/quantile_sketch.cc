#include "workloads/serving/metrics/quantile_sketch.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace flopcast {
namespace {

constexpr int kMantissaBits = 52;
constexpr int kBucketBits = 9;  // 512 buckets to a doubling
/// Smaller values count as 0; no time or size that anybody measures is (1e-18 s).
constexpr double kSmallest = 1e-18;

/// Exponent and leading bits of the mantissa: grows with the value.
std::uint64_t bucket_of(double value) { return std::bit_cast<std::uint64_t>(value) >> (kMantissaBits - kBucketBits); }

double middle_of(std::uint64_t bucket) {
  const std::uint64_t low = bucket << (kMantissaBits - kBucketBits);
  return std::bit_cast<double>(low | std::uint64_t{1} << (kMantissaBits - kBucketBits - 1));
}

}  // namespace

void QuantileSketch::add_to_sum(double amount) {
  // Neumaier's sum: what rounding loses is summed up on its own.
  const double next = sum_ + amount;
  lost_ += std::abs(sum_) >= std::abs(amount) ? (sum_ - next) + amount : (amount - next) + sum_;
  sum_ = next;
}

void QuantileSketch::count_in_bucket(double value, std::uint64_t count) {
  if (value < kSmallest) {
    zeros_ += count;
    return;
  }
  const std::uint64_t bucket = bucket_of(value);
  if (buckets_.empty()) first_bucket_ = bucket;
  if (bucket < first_bucket_) {
    buckets_.insert(buckets_.begin(), first_bucket_ - bucket, 0);
    first_bucket_ = bucket;
  }
  if (bucket - first_bucket_ >= buckets_.size()) buckets_.resize(bucket - first_bucket_ + 1);
  buckets_[bucket - first_bucket_] += count;
}

void QuantileSketch::count_in_buckets() {
  for (const double value : values_) count_in_bucket(value, 1);
  values_ = {};
}

void QuantileSketch::add(double value, std::uint64_t count) {
  assert(std::isfinite(value) && value >= 0.0);
  if (count == 0) return;
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = std::max(max_, value);
  add_to_sum(value * static_cast<double>(count));
  const bool few = exact() && count_ + count <= kExact;
  count_ += count;
  if (few) {
    values_.insert(values_.end(), count, value);
    sorted_ = false;
  } else {
    count_in_buckets();
    count_in_bucket(value, count);
  }
}

void QuantileSketch::merge(const QuantileSketch& other) {
  if (other.count_ == 0) return;
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  add_to_sum(other.sum_);
  add_to_sum(other.lost_);
  const bool few = exact() && other.exact() && count_ + other.count_ <= kExact;
  count_ += other.count_;
  if (few) {
    values_.insert(values_.end(), other.values_.begin(), other.values_.end());
    sorted_ = false;
    return;
  }
  count_in_buckets();
  for (const double value : other.values_) count_in_bucket(value, 1);
  zeros_ += other.zeros_;
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) {
    if (other.buckets_[i] > 0) count_in_bucket(middle_of(other.first_bucket_ + i), other.buckets_[i]);
  }
}

double QuantileSketch::at_rank(std::uint64_t rank) const {
  if (exact()) return values_[rank];
  std::uint64_t before = zeros_;
  if (rank < before) return 0.0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    before += buckets_[i];
    if (rank < before) return std::clamp(middle_of(first_bucket_ + i), min_, max_);
  }
  return max_;
}

double QuantileSketch::quantile(double q) const {
  assert(q >= 0.0 && q <= 1.0);
  if (count_ == 0) return 0.0;
  if (exact() && !sorted_) {
    std::ranges::sort(values_);
    sorted_ = true;
  }
  const double rank = q * static_cast<double>(count_ - 1);
  const auto below = static_cast<std::uint64_t>(rank);
  const double low = at_rank(below);
  const double share = rank - static_cast<double>(below);
  return share == 0.0 ? low : low + share * (at_rank(std::min(below + 1, count_ - 1)) - low);
}

DistributionSummary QuantileSketch::summary() const {
  return {.count = count_,
          .mean = mean(),
          .p50 = quantile(0.5),
          .p90 = quantile(0.9),
          .p95 = quantile(0.95),
          .p99 = quantile(0.99),
          .min = min(),
          .max = max()};
}

}  // namespace flopcast
