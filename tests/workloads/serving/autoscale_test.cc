// Do replicas follow a day's load up and down, whatever they follow it by?
#include "tests/catch.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

constexpr Ticks kTwentyMilli = 20'000'000'000;

/// A day of ten minutes: at the peak four of six replicas' slots are full, at night one.
ToyRun day_of(const AutoscaleConfig& scaling, Seconds ttft = Seconds(0.4)) {
  IterationPricer engine(kTwentyMilli, kTwentyMilli / 400);
  SessionConfig config = toy_session(toy_pool(1 << 20, 16));
  config.pools[0].replicas = 6;
  config.pools[0].autoscale = scaling;
  config.levels = {ServiceLevel{ttft, kNever, kNever}};
  const TrafficConfig traffic{
      .classes = {{.name = "day",
                   .arrivals = OpenLoop{RateCurve::daily(Hertz(20), 0.8, Seconds(300), Seconds(600))},
                   .lengths = DrawnLengths{RandomNumber::fixed(100), RandomNumber::exponential(80)}}},
      .duration = Seconds(1200)};
  const auto source = make_traffic(traffic);
  ServingSession session(config, {&engine}, nullptr, source.get());
  session.run();
  return {{}, session.totals()};
}

/// Replicas that were up, on average round a time of the second day: the first begins with all of them.
double up_at(const ToyRun& run, double at) {
  const TimeSeries& up = run.totals.pools[0].up;
  const std::vector<double> values = up.averages();
  double sum = 0;
  int count = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double middle = (static_cast<double>(i) + 0.5) * up.width().value();
    if (middle < 600 || middle >= 1200 || std::abs(middle - 600 - at) > 60) continue;
    sum += values[i];
    ++count;
  }
  return sum / count;
}

AutoscaleConfig scaling_by(ScaleBy by) {
  AutoscaleConfig config{.on = true, .interval = Seconds(10), .startup = Seconds(15), .by = by, .hold = Seconds(40)};
  config.day = Seconds(600);
  return config;
}

TEST_CASE("replicas follow a day up and down by load, queue, promises and schedule", "[workloads][serving]") {
  const ScaleBy by = GENERATE(ScaleBy::load, ScaleBy::queue, ScaleBy::slo, ScaleBy::schedule);
  AutoscaleConfig config = scaling_by(by);
  config.steps = {{Seconds(0), 1}, {Seconds(150), 5}, {Seconds(450), 2}};
  INFO("by " << enum_names(ScaleBy{})[static_cast<std::size_t>(by)]);
  const ToyRun run = day_of(config);
  const PoolTotals& pool = run.totals.pools[0];
  CHECK(run.totals.metrics.all().balanced());
  CHECK(pool.scaled_up >= 2);
  CHECK(pool.scaled_down >= 4);
  CHECK(up_at(run, 330) > up_at(run, 60) + 1);
  CHECK(up_at(run, 330) > up_at(run, 570) + 0.7);
  CHECK(pool.starting_time.value() > 15);
  // Given back, a replica costs nothing; kept, all do.
  const double span = run.totals.duration().value();
  CHECK(pool.standby_time == Seconds(0));
  CHECK(pool.paid_time().value() < 5.5 * span);
  config.standby = true;
  const ToyRun kept = day_of(config);
  CHECK(kept.totals.pools[0].paid_time().value() == Approx(6 * kept.totals.duration().value()).epsilon(0.01));
}

TEST_CASE("by a schedule as many are up as it says", "[workloads][serving]") {
  AutoscaleConfig config = scaling_by(ScaleBy::schedule);
  config.hold = Seconds(0);
  config.steps = {{Seconds(100), 3}, {Seconds(400), 6}};
  const ToyRun run = day_of(config);
  CHECK(up_at(run, 300) == Approx(3).margin(0.05));
  CHECK(up_at(run, 530) == Approx(6).margin(0.2));
}

TEST_CASE("a slow replica holds up its own requests, for as long as it is slow", "[workloads][serving][faults]") {
  IterationPricer engine(kTwentyMilli, 0), slow(4 * kTwentyMilli, 0);
  SessionConfig config = toy_session(toy_pool());
  config.pools[0].replicas = 2;
  config.pools[0].router = "round_robin";
  PoolPricers prices(&engine);
  prices.slow = {{&slow}};
  std::vector<Request> requests;
  for (int i = 0; i < 40; ++i) requests.push_back(toy_request(5.0 * i, 10, 11));
  const auto times = [&](const SessionConfig& c) {
    std::vector<double> out(40);
    for (const RequestResult& r : run_toy(c, {prices}, requests).results) out[r.id] = r.end_to_end().value();
    return out;
  };
  config.pools[0].slow = {-1, 0};
  const std::vector<double> always = times(config);
  for (std::size_t i = 0; i < 40; ++i) CHECK(always[i] == Approx(i % 2 == 1 ? 0.88 : 0.22));
  config.pools[0].slow = {};
  StatedFault fault{Seconds(49), {1}, false, Seconds(50)};
  fault.speed = 0.25;
  fault.slow = {0};
  config.failures.stated = {fault};
  const std::vector<double> for_a_while = times(config);
  for (std::size_t i = 0; i < 40; ++i) CHECK(for_a_while[i] == Approx(i % 2 == 1 && i >= 10 && i < 20 ? 0.88 : 0.22));
}

}  // namespace
}  // namespace flopcast
