// The normal distribution. Its inverse is normal_quantile (random.h).
#pragma once
#include <cmath>
#include <numbers>

namespace flopcast {

/// The share of a standard normal distribution that lies below `z`.
inline double normal_share_below(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

}  // namespace flopcast
