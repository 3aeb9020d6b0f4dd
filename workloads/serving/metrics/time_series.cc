#include "workloads/serving/metrics/time_series.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

TimeSeries::TimeSeries(Seconds width) : width_(width) { assert(width > Seconds(0)); }

void TimeSeries::widen() {
  const std::size_t joined = (integrals_.size() + 1) / 2;
  for (std::size_t i = 0; i < joined; ++i) {
    const double second = 2 * i + 1 < integrals_.size() ? integrals_[2 * i + 1] : 0.0;
    integrals_[i] = integrals_[2 * i] + second;
  }
  integrals_.resize(joined);
  width_ *= 2;
}

void TimeSeries::add(Seconds begin, Seconds end, double value) {
  assert(begin >= Seconds(0) && begin <= end && is_finite(end));
  if (begin == end) return;
  // Spans of value zero widen it too, so that series which are given the same spans keep the same width.
  while (end / width_ > static_cast<double>(kBuckets)) widen();
  if (value == 0.0) return;
  const auto first = std::min(static_cast<std::size_t>(begin / width_), kBuckets - 1);
  const auto last = std::min(static_cast<std::size_t>(end / width_), kBuckets - 1);
  if (integrals_.size() <= last) integrals_.resize(last + 1);
  for (std::size_t i = first; i <= last; ++i) {
    const Seconds from = std::max(begin, static_cast<double>(i) * width_);
    const Seconds to = std::min(end, static_cast<double>(i + 1) * width_);
    integrals_[i] += value * std::max(0.0, (to - from).value());
  }
}

void TimeSeries::merge(const TimeSeries& other) {
  TimeSeries more = other;
  while (width_ < more.width_) widen();
  while (more.width_ < width_) more.widen();
  assert(width_ == more.width_);
  integrals_.resize(std::max(integrals_.size(), more.integrals_.size()));
  for (std::size_t i = 0; i < more.integrals_.size(); ++i) integrals_[i] += more.integrals_[i];
}

std::vector<double> TimeSeries::averages() const {
  std::vector<double> result = integrals_;
  for (double& value : result) value /= width_.value();
  return result;
}

double TimeSeries::average(Seconds end) const {
  double integral = 0;
  for (const double part : integrals_) integral += part;
  return end > Seconds(0) ? integral / end.value() : 0.0;
}

}  // namespace flopcast
