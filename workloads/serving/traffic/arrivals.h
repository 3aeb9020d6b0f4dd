// When requests come: how far apart, and at a rate that may change over the day.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/random.h"
#include "sim/base/state_archive.h"
#include "sim/base/units.h"

namespace flopcast {

struct RatePoint {
  Seconds at;
  Hertz rate;
};

/// A rate over time: straight lines between points, repeated with a period.
class RateCurve {
 public:
  static RateCurve constant(Hertz rate);
  /// mean (1 + swing cos(2 pi (t - peak_at) / period)), in 288 straight pieces (for a day: 5 minutes each;
  /// off by at most 6e-5 of the swing, the mean exact). Swing 0 to 1.
  static RateCurve daily(Hertz mean, double swing, Seconds peak_at, Seconds period = hours(24));
  /// Points in order of time, the first at 0; from the last one back to the first until `period`.
  static RateCurve table(std::span<const RatePoint> points, Seconds period);

  RateCurve scaled(double factor) const;
  RateCurve hastened(double times) const;  ///< the same rates, passed through so many times as fast
  Hertz rate(Seconds at) const;
  Hertz mean() const { return expected_.back() / period_; }
  Hertz peak() const;
  /// When `count` arrivals are to be expected: the inverse of the integral of the rate.
  Seconds time_of(double count) const;

 private:
  RateCurve(std::vector<RatePoint> points, Seconds period);
  std::vector<RatePoint> points_;  // from 0 to the period, both included
  Seconds period_;
  std::vector<double> expected_;  // arrivals until each point
};

enum class Spacing : std::uint8_t {
  even,         ///< constant
  exponential,  ///< a Poisson process
  gamma,        ///< bursty above a coefficient of variation of 1, smooth below
};

/// Gaps of mean 1 laid over the integral of the rate: where the rate is twice as high they are half as long.
/// With exponential gaps this is exactly the Poisson process of that rate (time-rescaling theorem).
class ArrivalProcess {
 public:
  /// `cv`: coefficient of variation of gamma gaps.
  ArrivalProcess(RateCurve curve, Spacing spacing, double cv, RandomStream random);
  Seconds next();
  void archive(StateArchive& state) { state(random_, expected_); }

 private:
  double gap();
  RateCurve curve_;
  Spacing spacing_;
  double cv_;
  RandomStream random_;
  double expected_ = 0;
};

}  // namespace flopcast
