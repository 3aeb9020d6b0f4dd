// A quantity over time in a bounded number of buckets.
#pragma once
#include <cstddef>
#include <vector>

#include "sim/base/state_archive.h"
#include "sim/base/units.h"

namespace flopcast {

/// Averages over time of something that is constant between changes: share of KV pages in use, requests in a
/// batch. Buckets begin at time 0 and are of one width; when time outgrows them, neighbours are joined and
/// the width doubles.
class TimeSeries {
 public:
  static constexpr std::size_t kBuckets = 256;
  explicit TimeSeries(Seconds width = Seconds(1.0 / 1024));
  /// It had this value from `begin` to `end`; summed where intervals overlap.
  void add(Seconds begin, Seconds end, double value);
  void merge(const TimeSeries& other);  ///< the sum of both; widths must come from the same first one
  Seconds width() const { return width_; }
  /// Time integral divided by the bucket's width, per bucket, up to the last that has something.
  std::vector<double> averages() const;
  /// Over all of the time from 0 to `end`.
  double average(Seconds end) const;
  void archive(StateArchive& state) { state(width_, integrals_); }

 private:
  void widen();
  Seconds width_;
  std::vector<double> integrals_;
};

}  // namespace flopcast
