// A straight or logarithmic axis with round ticks.
#pragma once
#include <vector>

namespace flopcast {

enum class AxisScale { linear, logarithmic };

/// The next of 1, 2, 5 times a power of ten, at least so large. @param at_least positive.
double round_step(double at_least);

class Axis {
 public:
  /// @param ticks about how many; of a logarithmic axis `low` is positive.
  Axis(double low, double high, int ticks, AxisScale scale = AxisScale::linear);
  /// Where a value stands between the ends: 0 to 1.
  double at(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  /// Between the ends, both included where they are round.
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  AxisScale scale_;
  double low_ = 0, high_ = 1;
  std::vector<double> ticks_;
};

}  // namespace flopcast
