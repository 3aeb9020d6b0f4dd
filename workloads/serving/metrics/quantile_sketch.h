// Mean and quantiles of any number of values in bounded memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

/// What is printed of a distribution. All 0 when it is empty.
struct DistributionSummary {
  std::uint64_t count = 0;
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, min = 0, max = 0;
};

/// Keeps the values themselves up to kExact of them; then counts them in buckets, 512 to each doubling, whose
/// middles are off by at most kRelativeError. (A histogram like HdrHistogram's; DDSketch, Masson et al. 2019,
/// arXiv 1908.10693, states what such a sketch promises.) The bucket of a value is the front of its binary
/// form, so that it is the same on every machine, and two sketches merged are the sketch of all values. Mean,
/// smallest and largest are exact.
///
/// Quantile q of n values is the value at rank q (n - 1), counted from 0, between two ranks on the line
/// between them (as numpy does).
class QuantileSketch {
 public:
  static constexpr std::size_t kExact = 32'768;
  static constexpr double kRelativeError = 1.0 / 1024;

  /// A value, finite and not negative, `count` times.
  void add(double value, std::uint64_t count = 1);
  void merge(const QuantileSketch& other);
  std::uint64_t count() const { return count_; }
  bool exact() const { return count_ == values_.size(); }
  double mean() const { return count_ == 0 ? 0.0 : (sum_ + lost_) / static_cast<double>(count_); }
  double sum() const { return sum_ + lost_; }
  double min() const { return count_ == 0 ? 0.0 : min_; }
  double max() const { return max_; }
  double quantile(double q) const;
  DistributionSummary summary() const;
  void archive(StateArchive& state) {
    state(values_, sorted_, buckets_, first_bucket_, zeros_, count_, sum_, lost_, min_, max_);
  }

 private:
  void add_to_sum(double amount);
  void count_in_bucket(double value, std::uint64_t count);
  void count_in_buckets();
  double at_rank(std::uint64_t rank) const;

  mutable std::vector<double> values_;  // while they are few; sorted when somebody asks
  mutable bool sorted_ = true;
  std::vector<std::uint64_t> buckets_;
  std::uint64_t first_bucket_ = 0;  // number of buckets_[0]
  std::uint64_t zeros_ = 0;
  std::uint64_t count_ = 0;
  double sum_ = 0, lost_ = 0;  // compensated: mean of a billion values to the last digit
  double min_ = 0, max_ = 0;
};

}  // namespace flopcast
