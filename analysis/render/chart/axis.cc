#include "analysis/render/chart/axis.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {
namespace {

// Digits at which a logarithmic axis has ticks, by how many decades it spans.
std::vector<double> log_digits(double decades, int ticks) {
  if (decades * 3 <= ticks) return {1, 2, 5};
  return {1};
}

}  // namespace

double round_step(double at_least) {
  const double power = std::pow(10.0, std::floor(std::log10(std::max(at_least, 1e-300))));
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= at_least * (1 - 1e-9)) return digit * power;
  }
  return 10 * power;
}

Axis::Axis(double low, double high, int ticks, AxisScale scale) : scale_(scale) {
  if (!std::isfinite(low) || !std::isfinite(high)) low = 0, high = 1, scale_ = scale = AxisScale::linear;
  if (scale == AxisScale::logarithmic) {
    assert(low > 0);
    if (!(high > low * 1.0001)) low /= 1.5, high = low * 2.25;
    const std::vector<double> digits = log_digits(std::log10(high / low), ticks);
    // Out to the next tick where that is near, else to a quarter beyond the last value.
    const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
    low_ = low / 1.12;
    high_ = high * 1.12;
    const int every = std::max(1, static_cast<int>(std::ceil((last - first) / ticks)));
    for (double decade = first; decade <= last; decade += every) {
      for (const double digit : digits) {
        const double tick = digit * std::pow(10.0, decade);
        if (tick >= low_ * (1 - 1e-9) && tick <= high_ * (1 + 1e-9)) ticks_.push_back(tick);
      }
    }
    if (ticks_.size() < 3) {  // less than a decade: round steps as on a straight axis
      ticks_.clear();
      const double step = round_step((high_ - low_) / ticks);
      for (double tick = std::ceil(low_ / step) * step; tick <= high_; tick += step) ticks_.push_back(tick);
    }
    return;
  }
  if (!(high > low)) high = low == 0 ? 1 : low + std::abs(low) * 0.1;
  const double step = round_step((high - low) / ticks);
  low_ = std::floor(low / step + 1e-9) * step;
  high_ = std::ceil(high / step - 1e-9) * step;
  const int count = static_cast<int>(std::lround((high_ - low_) / step));
  for (int i = 0; i <= count; ++i) {
    const double tick = low_ + i * step;
    ticks_.push_back(std::abs(tick) < step * 1e-9 ? 0 : tick);
  }
}

double Axis::at(double value) const {
  if (scale_ == AxisScale::logarithmic) return std::log(value / low_) / std::log(high_ / low_);
  return (value - low_) / (high_ - low_);
}

}  // namespace flopcast
