// Times between the tokens of an answer, hundreds of millions of them: counted in bins of one per cent, their
// sum kept exactly.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

#include "sim/base/state_archive.h"
#include "workloads/serving/base/clock.h"

namespace flopcast {

class GapHistogram {
 public:
  static std::size_t bin(Ticks gap) {
    if (gap < kFirst) return 0;
    return 1 + static_cast<std::size_t>(std::log(static_cast<double>(gap) / kFirst) / std::log(kRatio));
  }
  /// `count` gaps of `total` together, all in the bin of `gap`.
  void add(Ticks gap, std::int64_t count, WideTicks total) {
    const std::size_t at = bin(gap);
    if (at >= counts_.size()) counts_.resize(at + 1);
    counts_[at] += count;
    count_ += count;
    total_ += total;
  }
  /// Gaps `times` as long: of tokens that are sent `times` at a time.
  GapHistogram stretched(int times) const {
    GapHistogram out;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (counts_[i] > 0) out.add(middle(i) * times, counts_[i], 0);
    out.total_ = total_ * times;
    return out;
  }
  std::int64_t count() const { return count_; }
  Seconds mean() const {
    return count_ == 0 ? Seconds(0)
                       : Seconds(static_cast<double>(total_) / kTicksPerSecond / static_cast<double>(count_));
  }
  /// To a bin's width.
  Seconds quantile(double share) const {
    const double wanted = share * static_cast<double>(count_);
    double below = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      below += static_cast<double>(counts_[i]);
      if (counts_[i] > 0 && below >= wanted) return to_seconds(middle(i));
    }
    return Seconds(0);
  }

  void archive(StateArchive& state) { state(counts_, count_, total_); }

 private:
  static constexpr Ticks kFirst = 1'000'000;  // a microsecond
  static constexpr double kRatio = 1.01;
  static Ticks middle(std::size_t bin) {
    if (bin == 0) return kFirst / 2;
    return static_cast<Ticks>(static_cast<double>(kFirst) * std::pow(kRatio, static_cast<double>(bin) - 0.5));
  }
  std::vector<std::int64_t> counts_;
  std::int64_t count_ = 0;
  WideTicks total_ = 0;
};

}  // namespace flopcast
