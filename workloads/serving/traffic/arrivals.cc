#include "workloads/serving/traffic/arrivals.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>
#include <utility>

#include "workloads/serving/traffic/distribution.h"

namespace flopcast {

RateCurve::RateCurve(std::vector<RatePoint> points, Seconds period)
    : points_(std::move(points)), period_(period), expected_(points_.size(), 0.0) {
  for (std::size_t i = 1; i < points_.size(); ++i) {
    const RatePoint &a = points_[i - 1], &b = points_[i];
    assert(a.at < b.at && a.rate >= Hertz(0) && b.rate >= Hertz(0));
    expected_[i] = expected_[i - 1] + (a.rate + b.rate) / 2 * (b.at - a.at);
  }
  assert(expected_.back() > 0.0);
}

RateCurve RateCurve::constant(Hertz rate) { return RateCurve({{Seconds(0), rate}, {Seconds(1), rate}}, Seconds(1)); }

RateCurve RateCurve::daily(Hertz mean, double swing, Seconds peak_at, Seconds period) {
  assert(swing >= 0.0 && swing <= 1.0);
  constexpr int kPieces = 288;
  std::vector<RatePoint> points;
  for (int i = 0; i <= kPieces; ++i) {
    const Seconds at = period * (static_cast<double>(i) / kPieces);
    const double angle = 2 * std::numbers::pi * ((at - peak_at) / period);
    points.push_back({at, std::max(Hertz(0), mean * (1 + swing * std::cos(angle)))});
  }
  return RateCurve(std::move(points), period);
}

RateCurve RateCurve::table(std::span<const RatePoint> points, Seconds period) {
  assert(!points.empty() && points.front().at == Seconds(0) && points.back().at < period);
  std::vector<RatePoint> closed(points.begin(), points.end());
  closed.push_back({period, points.front().rate});
  return RateCurve(std::move(closed), period);
}

RateCurve RateCurve::scaled(double factor) const {
  std::vector<RatePoint> points = points_;
  for (RatePoint& point : points) point.rate *= factor;
  return RateCurve(std::move(points), period_);
}

RateCurve RateCurve::hastened(double times) const {
  std::vector<RatePoint> points = points_;
  for (RatePoint& point : points) point.at /= times;
  return RateCurve(std::move(points), period_ / times);
}

Hertz RateCurve::rate(Seconds at) const {
  const Seconds within = at - period_ * std::floor(at / period_);
  const auto next = std::ranges::upper_bound(points_, within, {}, &RatePoint::at);
  if (next == points_.end()) return points_.back().rate;
  const RatePoint &a = *(next - 1), &b = *next;
  return a.rate + (b.rate - a.rate) * ((within - a.at) / (b.at - a.at));
}

Hertz RateCurve::peak() const { return std::ranges::max(points_, {}, &RatePoint::rate).rate; }

Seconds RateCurve::time_of(double count) const {
  const double periods = std::floor(count / expected_.back());
  const double left = std::max(0.0, count - periods * expected_.back());
  const auto next = std::ranges::upper_bound(expected_, left) - expected_.begin();
  const auto i = std::min(static_cast<std::size_t>(next), points_.size() - 1);
  const RatePoint &a = points_[i - 1], &b = points_[i];
  // r t + s t^2 / 2 = c, in the form that neither cancels nor divides by a slope of 0.
  const double c = left - expected_[i - 1];
  const double r = a.rate.value(), s = (b.rate - a.rate).value() / (b.at - a.at).value();
  const double root = std::sqrt(std::max(0.0, r * r + 2 * s * c));
  const double t = c > 0.0 ? 2 * c / (r + root) : 0.0;
  return period_ * periods + std::min(b.at, a.at + Seconds(t));
}

ArrivalProcess::ArrivalProcess(RateCurve curve, Spacing spacing, double cv, RandomStream random)
    : curve_(std::move(curve)), spacing_(spacing), cv_(cv), random_(random) {}

double ArrivalProcess::gap() {
  if (spacing_ == Spacing::exponential) return random_.exponential();
  return spacing_ == Spacing::gamma && cv_ > 0.0 ? draw_gamma(random_, cv_) : 1.0;
}

Seconds ArrivalProcess::next() { return curve_.time_of(expected_ += gap()); }

}  // namespace flopcast
