// Random numbers of a given shape: lengths, numbers of turns, times to think.
#pragma once
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "sim/base/random.h"

namespace flopcast {

/// A gamma-distributed number with mean 1 and the given coefficient of variation (Marsaglia and Tsang 2000,
/// ACM TOMS 26(3)).
double draw_gamma(RandomStream& random, double cv);

class RandomNumber {
 public:
  static RandomNumber fixed(double value);
  static RandomNumber uniform(double low, double high);
  static RandomNumber exponential(double mean);
  /// By mean and coefficient of variation: sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2.
  static RandomNumber log_normal(double mean, double cv);
  static RandomNumber gamma(double mean, double cv);
  /// Values with their weights, which need not add up to 1.
  static RandomNumber empirical(std::vector<std::pair<double, double>> weighted_values);
  /// What falls outside is moved to the nearest end (which shifts the mean).
  RandomNumber clamped(double low, double high) const;

  double draw(RandomStream& random) const;
  /// To the nearest whole number, at least `least`.
  std::int32_t draw_whole(RandomStream& random, std::int32_t least) const;
  double mean() const;  ///< before clamping

 private:
  struct Fixed {
    double value;
    double draw(RandomStream& random) const;
    double mean() const;
  };
  struct Uniform {
    double low, high;
    double draw(RandomStream& random) const;
    double mean() const;
  };
  struct Exponential {
    double average;
    double draw(RandomStream& random) const;
    double mean() const;
  };
  struct LogNormal {
    double mu, sigma;
    double draw(RandomStream& random) const;
    double mean() const;
  };
  struct Gamma {
    double average, cv;
    double draw(RandomStream& random) const;
    double mean() const;
  };
  struct Empirical {
    std::vector<double> values, up_to;  // cumulative weights, the last is 1
    double draw(RandomStream& random) const;
    double mean() const;
  };
  using Shape = std::variant<Fixed, Uniform, Exponential, LogNormal, Gamma, Empirical>;

  explicit RandomNumber(Shape shape) : shape_(std::move(shape)) {}
  Shape shape_;
  double low_ = 0.0, high_ = 1e300;
};

}  // namespace flopcast
