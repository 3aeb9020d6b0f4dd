// Do arrivals and lengths have the rates and shapes that were asked for?
#include "workloads/serving/traffic/arrivals.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/catch.h"
#include "workloads/serving/traffic/distribution.h"

namespace flopcast {
namespace {

struct Moments {
  double mean = 0, cv = 0;
};

template <class Draw>
Moments moments_of(int n, Draw&& draw) {
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean)) / mean};
}

Moments gaps_of(ArrivalProcess process, int n) {
  Seconds last;
  return moments_of(n, [&] {
    const Seconds next = process.next();
    return (next - std::exchange(last, next)).value();
  });
}

TEST_CASE("gaps have the mean and the coefficient of variation asked for", "[workloads][serving]") {
  const RateCurve rate = RateCurve::constant(Hertz(20));
  const Moments even = gaps_of(ArrivalProcess(rate, Spacing::even, 1, RandomStream(1)), 1000);
  CHECK(even.mean == Approx(0.05).epsilon(1e-9));
  CHECK(even.cv == Approx(0).margin(1e-4));
  const Moments poisson = gaps_of(ArrivalProcess(rate, Spacing::exponential, 1, RandomStream(1)), 400'000);
  CHECK(poisson.mean == Approx(0.05).epsilon(0.005));
  CHECK(poisson.cv == Approx(1).epsilon(0.01));
  for (const double cv : {0.3, 0.8, 1.5, 3.0}) {
    CAPTURE(cv);
    const Moments gamma = gaps_of(ArrivalProcess(rate, Spacing::gamma, cv, RandomStream(1)), 400'000);
    CHECK(gamma.mean == Approx(0.05).epsilon(0.015));
    CHECK(gamma.cv == Approx(cv).epsilon(0.02));
  }
}

TEST_CASE("as many requests come in a part of the day as the rate has under it", "[workloads][serving]") {
  const RateCurve day = RateCurve::daily(Hertz(10), 0.6, hours(14));
  CHECK(day.mean().value() == Approx(10).epsilon(1e-12));
  CHECK(day.peak().value() == Approx(16).epsilon(1e-9));
  CHECK(day.rate(hours(14 + 48)).value() == Approx(16).epsilon(1e-4));
  CHECK(day.rate(hours(2)).value() == Approx(4).epsilon(1e-4));

  ArrivalProcess process(day, Spacing::exponential, 1, RandomStream(4));
  std::vector<double> per_hour(48);
  for (Seconds at = process.next(); at < hours(48); at = process.next()) {
    ++per_hour.at(static_cast<std::size_t>(in_hours(at)));
  }
  for (std::size_t hour = 0; hour < per_hour.size(); ++hour) {
    CAPTURE(hour);
    const double angle = 2 * 3.14159265358979 / 24 * (static_cast<double>(hour) + 0.5 - 14);
    const double expected = 36'000 * (1 + 0.6 * std::cos(angle));
    CHECK(std::abs(per_hour[hour] - expected) < 5 * std::sqrt(expected) + 0.005 * expected);
  }
}

TEST_CASE("time_of is the inverse of the integral of a table's rate", "[workloads][serving]") {
  // 0 to 10 s: 2/s rising to 6/s; 10 to 15 s: falling to 0; 15 to 20 s: nothing; 20 to 25 s: rising to 2/s.
  const std::vector<RatePoint> points = {
      {Seconds(0), Hertz(2)}, {Seconds(10), Hertz(6)}, {Seconds(15), Hertz(0)}, {Seconds(20), Hertz(0)}};
  const RateCurve curve = RateCurve::table(points, Seconds(25));
  CHECK(curve.mean().value() == Approx((40 + 15 + 5) / 25.0));
  CHECK(curve.time_of(0) == Seconds(0));
  CHECK(curve.time_of(2 * 5 + 0.4 * 25 / 2).value() == Approx(5));
  CHECK(curve.time_of(40).value() == Approx(10));
  CHECK(curve.time_of(40 + 15 - 0.6 * 4).value() == Approx(13));
  CHECK(curve.time_of(55.0001).value() > 20);
  CHECK(curve.time_of(60 + 40).value() == Approx(35));
  CHECK(curve.rate(Seconds(17)) == Hertz(0));
  CHECK(curve.rate(Seconds(37.5)).value() == Approx(3));
  Seconds last;
  for (int i = 0; i < 5000; ++i) {
    const Seconds at = curve.time_of(i * 0.137);
    REQUIRE(at >= last);
    last = at;
  }
}

TEST_CASE("distributions have the moments asked for", "[workloads][serving]") {
  RandomStream random(9);
  const auto moments = [&](const RandomNumber& distribution) {
    return moments_of(300'000, [&] { return distribution.draw(random); });
  };
  CHECK(moments(RandomNumber::fixed(7)).mean == Approx(7));
  CHECK(moments(RandomNumber::uniform(2, 6)).mean == Approx(4).epsilon(0.005));
  CHECK(moments(RandomNumber::exponential(3)).cv == Approx(1).epsilon(0.01));
  const Moments lengths = moments(RandomNumber::log_normal(1155, 1.1));
  CHECK(lengths.mean == Approx(1155).epsilon(0.01));
  CHECK(lengths.cv == Approx(1.1).epsilon(0.03));
  const RandomNumber dice = RandomNumber::empirical({{4, 1}, {1, 2}, {2, 1}});
  CHECK(dice.mean() == Approx(2));
  CHECK(moments(dice).mean == Approx(2).epsilon(0.01));
  CHECK(moments(RandomNumber::uniform(0, 10).clamped(4, 4)).mean == 4);
  CHECK(RandomNumber::fixed(0.2).draw_whole(random, 1) == 1);
  CHECK(RandomNumber::fixed(1e12).draw_whole(random, 1) == 2'147'483'647);
}

}  // namespace
}  // namespace flopcast
