#include "workloads/serving/traffic/distribution.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace flopcast {
namespace {

/// Shape of at least 1, scale 1.
double marsaglia_tsang(RandomStream& random, double shape) {
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = random.normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    const double u = 1.0 - random.uniform();  // in (0, 1]
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

double draw_gamma(RandomStream& random, double cv) {
  assert(cv > 0.0);
  const double shape = 1.0 / (cv * cv);
  if (shape >= 1.0) return marsaglia_tsang(random, shape) / shape;
  // Below a shape of 1: a draw of shape + 1 times U^(1/shape), section 6 of the paper.
  const double larger = marsaglia_tsang(random, shape + 1.0);
  return larger * std::pow(1.0 - random.uniform(), 1.0 / shape) / shape;
}

RandomNumber RandomNumber::fixed(double value) { return RandomNumber(Fixed{value}); }

RandomNumber RandomNumber::uniform(double low, double high) {
  assert(low <= high);
  return RandomNumber(Uniform{low, high});
}

RandomNumber RandomNumber::exponential(double mean) { return RandomNumber(Exponential{mean}); }

RandomNumber RandomNumber::log_normal(double mean, double cv) {
  assert(mean > 0.0 && cv >= 0.0);
  const double variance = std::log1p(cv * cv);
  return RandomNumber(LogNormal{std::log(mean) - variance / 2, std::sqrt(variance)});
}

RandomNumber RandomNumber::gamma(double mean, double cv) { return RandomNumber(Gamma{mean, cv}); }

RandomNumber RandomNumber::empirical(std::vector<std::pair<double, double>> weighted_values) {
  assert(!weighted_values.empty());
  std::ranges::sort(weighted_values);
  Empirical shape;
  double sum = 0;
  for (const auto& [value, weight] : weighted_values) {
    assert(weight >= 0.0);
    shape.values.push_back(value);
    shape.up_to.push_back(sum += weight);
  }
  assert(sum > 0.0);
  for (double& share : shape.up_to) share /= sum;
  return RandomNumber(std::move(shape));
}

RandomNumber RandomNumber::clamped(double low, double high) const {
  assert(low <= high);
  RandomNumber result = *this;
  result.low_ = low;
  result.high_ = high;
  return result;
}

double RandomNumber::Fixed::draw(RandomStream&) const { return value; }
double RandomNumber::Uniform::draw(RandomStream& random) const { return low + (high - low) * random.uniform(); }
double RandomNumber::Exponential::draw(RandomStream& random) const { return average * random.exponential(); }
double RandomNumber::LogNormal::draw(RandomStream& random) const { return std::exp(mu + sigma * random.normal()); }
double RandomNumber::Gamma::draw(RandomStream& random) const {
  return cv > 0.0 ? average * draw_gamma(random, cv) : average;
}
double RandomNumber::Empirical::draw(RandomStream& random) const {
  const auto at = std::ranges::upper_bound(up_to, random.uniform()) - up_to.begin();
  return values[std::min(static_cast<std::size_t>(at), values.size() - 1)];
}

double RandomNumber::Fixed::mean() const { return value; }
double RandomNumber::Uniform::mean() const { return (low + high) / 2; }
double RandomNumber::Exponential::mean() const { return average; }
double RandomNumber::LogNormal::mean() const { return std::exp(mu + sigma * sigma / 2); }
double RandomNumber::Gamma::mean() const { return average; }
double RandomNumber::Empirical::mean() const {
  double sum = 0, before = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += values[i] * (up_to[i] - before);
    before = up_to[i];
  }
  return sum;
}

double RandomNumber::draw(RandomStream& random) const {
  const double value = std::visit([&](const auto& shape) { return shape.draw(random); }, shape_);
  return std::clamp(value, low_, high_);
}

std::int32_t RandomNumber::draw_whole(RandomStream& random, std::int32_t least) const {
  const double value = std::round(draw(random));
  if (value >= std::numeric_limits<std::int32_t>::max()) return std::numeric_limits<std::int32_t>::max();
  return std::max(least, static_cast<std::int32_t>(value));
}

double RandomNumber::mean() const {
  return std::visit([](const auto& shape) { return shape.mean(); }, shape_);
}

}  // namespace flopcast
