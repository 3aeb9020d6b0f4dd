// Are latencies, promises and books what their definitions say?
#include "workloads/serving/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "workloads/serving/metrics/time_series.h"

namespace flopcast {
namespace {

std::vector<double> log_normal(std::uint64_t seed, std::size_t n) {
  RandomStream random(seed);
  std::vector<double> values(n);
  for (double& value : values) value = std::exp(2.5 * random.normal() - 3);
  return values;
}

QuantileSketch sketch_of(const std::vector<double>& values) {
  QuantileSketch sketch;
  for (const double value : values) sketch.add(value);
  return sketch;
}

double sorted_quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const double rank = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(rank);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (rank - static_cast<double>(below)) * (values[above] - values[below]);
}

TEST_CASE("quantiles of few values are exact", "[workloads][serving]") {
  QuantileSketch sketch = sketch_of({4, 1, 3, 2});
  CHECK(sketch.quantile(0) == 1);
  CHECK(sketch.quantile(0.5) == 2.5);
  CHECK(sketch.quantile(1) == 4);
  CHECK(sketch.mean() == 2.5);
  CHECK(sketch.exact());
  sketch.add(10, 2);
  CHECK(sketch.quantile(0.9) == 10);
  CHECK(sketch.count() == 6);
  CHECK(QuantileSketch().summary().p99 == 0);
  const std::vector<double> values = log_normal(1, QuantileSketch::kExact);
  CHECK(sketch_of(values).quantile(0.99) == Approx(sorted_quantile(values, 0.99)).epsilon(1e-14));
}

TEST_CASE("quantiles of many values are within the stated error, means exact", "[workloads][serving]") {
  const std::vector<double> values = log_normal(2, 200'000);
  const QuantileSketch sketch = sketch_of(values);
  CHECK_FALSE(sketch.exact());
  for (const double q : {0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.9999, 1.0}) {
    CAPTURE(q);
    const double expected = sorted_quantile(values, q);
    CHECK(std::abs(sketch.quantile(q) / expected - 1) <= QuantileSketch::kRelativeError);
  }
  long double sum = 0;
  for (const double value : values) sum += value;
  CHECK(sketch.mean() == Approx(static_cast<double>(sum / values.size())).epsilon(1e-15));
}

TEST_CASE("merged sketches are the sketch of all values, in any order", "[workloads][serving]") {
  const std::vector<double> values = log_normal(3, 100'000);
  const auto part = [&](std::size_t from, std::size_t to) {
    const auto begin = values.begin();
    return sketch_of({begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to)});
  };
  QuantileSketch forward = part(0, 30'000), backward = part(60'000, 100'000);
  forward.merge(part(30'000, 60'000));
  forward.merge(part(60'000, 100'000));
  backward.merge(part(30'000, 60'000));
  backward.merge(part(0, 30'000));
  const QuantileSketch all = sketch_of(values);
  for (const double q : {0.1, 0.5, 0.99}) {
    CHECK(forward.quantile(q) == all.quantile(q));
    CHECK(backward.quantile(q) == all.quantile(q));
  }
  QuantileSketch few = sketch_of({1, 2});
  few.merge(sketch_of({3}));
  CHECK(few.exact());
  CHECK(few.quantile(0.5) == 2);
}

TEST_CASE("zeros and counts survive the change to buckets", "[workloads][serving]") {
  QuantileSketch sketch;
  sketch.add(0, 60'000);
  sketch.add(2, 40'000);
  CHECK(sketch.quantile(0.5) == 0);
  CHECK(sketch.quantile(0.7) == Approx(2).epsilon(QuantileSketch::kRelativeError));
  CHECK(sketch.mean() == 0.8);
}

RequestResult result(double scheduled, double first, double finish, std::int32_t output) {
  return {.input_tokens = 100,
          .cached_tokens = 40,
          .output_tokens = output,
          .arrival = Seconds(1),
          .scheduled = Seconds(scheduled),
          .first_token = Seconds(first),
          .finish = Seconds(finish)};
}

TEST_CASE("latencies are what their definitions say", "[workloads][serving]") {
  const RequestResult five = result(1.5, 2, 4, 5);
  CHECK(five.queueing() == Seconds(0.5));
  CHECK(five.ttft() == Seconds(1));
  CHECK(five.tpot() == Seconds(0.5));
  CHECK(five.end_to_end() == Seconds(3));
  CHECK(meets(five, {}));
  CHECK(meets(five, {.ttft = Seconds(1), .tpot = Seconds(0.5), .end_to_end = Seconds(3)}));
  CHECK_FALSE(meets(five, {.ttft = Seconds(0.99)}));
  CHECK_FALSE(meets(five, {.tpot = Seconds(0.49)}));
  CHECK_FALSE(meets(five, {.end_to_end = Seconds(2.9)}));
  CHECK(meets(result(1, 2, 2, 1), {.tpot = Seconds(0)}));
}

TEST_CASE("every request is accounted for once, by class", "[workloads][serving]") {
  ServingMetrics metrics({{.ttft = Seconds(1)}, {}});
  for (std::uint16_t i = 0; i < 6; ++i) {
    Request request;
    request.input_tokens = 100;
    request.request_class = i % 2;
    metrics.arrived(request);
  }
  CHECK(metrics.all().in_flight() == 6);
  CHECK_FALSE(metrics.all().balanced());
  for (std::uint16_t i = 0; i < 6; ++i) {
    RequestResult done = result(1, i < 2 ? 1.5 : 3, 4, i == 5 ? 1 : 3);
    done.request_class = i % 2;
    done.outcome = i == 3 ? RequestOutcome::rejected : i == 4 ? RequestOutcome::lost : RequestOutcome::completed;
    metrics.finished(done);
  }
  const ClassMetrics all = metrics.all();
  CHECK(all.balanced());
  CHECK(all.completed.requests == 4);
  CHECK(all.completed.input_tokens == 400);
  CHECK(all.cached_tokens == 160);
  CHECK(all.output_tokens == 10);
  CHECK(all.tpot.count() == 3);
  CHECK(all.ttft.count() == 4);
  CHECK(metrics.classes()[0].slo_attainment() == Approx(1.0 / 3));  // one in time, one late, one lost
  CHECK(metrics.classes()[1].slo_attainment() == Approx(2.0 / 3));  // one rejected
  CHECK(all.goodput(Seconds(10)) == Hertz(0.3));
}

TEST_CASE("a time series keeps its integral while its buckets widen", "[workloads][serving]") {
  TimeSeries series;
  RandomStream random(5);
  double time = 0, integral = 0;
  for (int i = 0; i < 3000; ++i) {
    const double length = random.exponential() * 0.7, value = random.uniform();
    series.add(Seconds(time), Seconds(time + length), value);
    time += length;
    integral += length * value;
  }
  CHECK(series.averages().size() <= TimeSeries::kBuckets);
  CHECK(series.averages().size() > TimeSeries::kBuckets / 2);
  CHECK(series.average(Seconds(time)) == Approx(integral / time).epsilon(1e-12));
  TimeSeries half;
  half.add(Seconds(0), Seconds(1), 0.5);
  half.merge(series);
  CHECK(half.average(Seconds(time)) == Approx((integral + 0.5) / time).epsilon(1e-12));
}

}  // namespace
}  // namespace flopcast
