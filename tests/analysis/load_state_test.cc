// Does a deployment's state say what its load is, and is its latency curve monotone?
#include <cmath>

#include "analysis/runs/serving/saturation.h"
#include "scenarios/resolve/change_work.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/workloads/serving_fixture.h"
#include "workloads/serving/traffic/traffic.h"

using namespace flopcast;

namespace {

/// Requests of about 100 tokens of prompt and answer at a rate, on a toy replica of `slots` with 10 ms iterations.
SessionTotals toy_run(int slots, const BatchingRow& batching, double rate, std::uint64_t requests, std::uint64_t seed) {
  IterationPricer pricer(10 * kMilli, kMilli / 100);
  PoolConfig pool = toy_pool(1 << 20, slots);
  pool.replica.scheduler.batching = &batching;
  const TrafficConfig traffic{
      .classes = {{.name = "toy",
                   .arrivals = OpenLoop{RateCurve::constant(Hertz(rate)), Spacing::exponential},
                   .lengths = DrawnLengths{RandomNumber::exponential(100), RandomNumber::exponential(100)}}},
      .seed = seed,
      .requests = requests};
  const auto source = make_traffic(traffic);
  ServingSession session(toy_session(pool), {&pricer}, nullptr, source.get());
  session.run();
  return session.totals();
}

/// Requests per second when all come at once.
double capacity(int slots, const BatchingRow& batching) {
  const SessionTotals totals = toy_run(slots, batching, 1e6, 20'000, 1);
  return 20'000 / totals.duration().value();
}

Scenario at_rate(Scenario scenario, double rate) {
  change_serving(scenario, [&](ServingScenario& serving) {
    std::get<OpenLoop>(serving.traffic.classes.front().arrivals).rate = RateCurve::constant(Hertz(rate));
  });
  return scenario;
}

}  // namespace

TEST_CASE("a toy replica is stable at 70 % of its capacity and overloaded at 120 %, in long runs and short ones",
          "[analysis][serving]") {
  for (const BatchingRow& batching : batching_policies())
    for (const int slots : {1, 4, 16, 64}) {
      const double full = capacity(slots, batching);
      for (const std::uint64_t requests : {300, 1000, 10'000}) {
        if (static_cast<std::uint64_t>(slots) * 30 > requests) continue;  // shorter runs do not fill the replica
        for (const std::uint64_t seed : {1, 2, 3}) {
          INFO(slots << " slots, " << requests << " requests, seed " << seed << ", policy " << batching.name);
          const auto state = [&](double load) {
            return judge(load_evidence(toy_run(slots, batching, load * full, requests, seed)));
          };
          // Batch after batch, requests wait longer for their turn than they are then worked on: backlogged by nature.
          if (batching.name == "decode_first") {
            CHECK(state(0.7) != LoadState::overloaded);
          } else {
            CHECK(state(0.3) == LoadState::stable);
            CHECK(state(0.7) == LoadState::stable);
          }
          CHECK(state(1.2) == LoadState::overloaded);
          CHECK(state(2.0) == LoadState::overloaded);
        }
      }
    }
}

TEST_CASE("a burst that is worked off is no overload", "[analysis][serving]") {
  LoadEvidence burst;
  burst.arrivals = Seconds(100);
  burst.backlog = Seconds(10);
  burst.waiting_before = 50;
  burst.waiting_late = 20;
  CHECK(judge(burst) == LoadState::stable);
  burst.waited = Seconds(9), burst.worked_on = Seconds(2), burst.busy = 0.95;
  CHECK(judge(burst) == LoadState::backlogged);
  burst.waiting_late = 100;
  CHECK(judge(burst) == LoadState::overloaded);
}

TEST_CASE("one replica that drowns while others stand their load is an overload", "[analysis][serving]") {
  LoadEvidence light;
  light.arrivals = Seconds(600);
  light.typical = Seconds(10);
  light.draining = Seconds(900);
  light.slowest = 3;  // a long answer
  CHECK(judge(light) == LoadState::stable);
  light.slowest = 200;
  CHECK(judge(light) == LoadState::overloaded);
  light.typical = Seconds(300);  // a burst: all that came is worked at
  CHECK(judge(light) == LoadState::stable);

  const auto run = [](const std::string& speed) {
    return run_serving(
        testing::resolved("llama_3_1_70b_serving_8_h100",
                          std::vector<std::string>{"cluster.slow[0].gpu=3", "cluster.slow[0].speed=" + speed,
                                                   "serving.traffic.requests=600"}),
        {});
  };
  const ServingReport sound = run("1"), drowning = run("0.001");
  CHECK(sound.state == LoadState::stable);
  CHECK(drowning.state == LoadState::overloaded);
  // Rates are those of the time in which requests came, not of the hours after it.
  CHECK(drowning.output_rate > 0.3 * sound.output_rate);
}

TEST_CASE("a queue that is cut does not grow: what it loses tells", "[analysis][serving]") {
  LoadEvidence cut;
  cut.arrivals = Seconds(600);
  cut.turned_away = 0.001;  // a burst met a full queue
  CHECK(judge(cut) == LoadState::stable);
  cut.turned_away = 0.02;
  CHECK(judge(cut) == LoadState::overloaded);
  cut.turned_away = 0;
  cut.dropped = 0.9;
  cut.busy = 0.3;  // deadlines that no replica meets, however little comes
  CHECK(judge(cut) == LoadState::stable);
  cut.busy = 1;
  CHECK(judge(cut) == LoadState::overloaded);
}

TEST_CASE("a deadline that drops nobody changes nothing", "[analysis][serving]") {
  const auto run = [](const std::string& deadline) {
    std::vector<std::string> sets{"serving.traffic.requests=200"};
    if (!deadline.empty()) sets.push_back("serving.traffic.stream[0].deadline=" + deadline);
    return run_serving(testing::resolved("llama_3_1_70b_serving_8_h100", sets), {});
  };
  const ServingReport without = run(""), with = run("30 d");
  CHECK(with.all.expired.requests == 0);
  CHECK(with.totals.end == without.totals.end);
  CHECK(with.energy == without.energy);
  CHECK(with.totals.pools.front().up_time == without.totals.pools.front().up_time);
}

TEST_CASE("a queue that grows slowly and never shrinks is an overload", "[analysis][serving]") {
  LoadEvidence slow;  // 3 % above the capacity for ten minutes: the last request waits for 18 s
  slow.arrivals = Seconds(600);
  slow.backlog = Seconds(18);
  slow.busy = 1;
  slow.waited = Seconds(9), slow.worked_on = Seconds(40);
  slow.waiting_before = 30, slow.waiting_between = 50, slow.waiting_late = 70;
  CHECK(judge(slow) == LoadState::overloaded);
  slow.backlog = Seconds(11);  // 1.8 %: of 30,000 requests more than chance, of 3,000 not
  slow.wander = Seconds(10);
  CHECK(judge(slow) == LoadState::overloaded);
  slow.wander = Seconds(33);
  CHECK(judge(slow) == LoadState::backlogged);
  slow.waiting_late = 52;  // it has found its length
  CHECK(judge(slow) == LoadState::stable);
}

TEST_CASE("a server that takes longer meets its load as a faster one meets a denser load", "[analysis][serving]") {
  constexpr double kFactor = 1.5;
  const auto waited = [](double slower, double rate) {
    IterationPricer pricer(static_cast<Ticks>(slower * 10 * kMilli), static_cast<Ticks>(slower * kMilli / 100));
    const TrafficConfig traffic{
        .classes = {{.name = "toy",
                     .arrivals = OpenLoop{RateCurve::constant(Hertz(rate)), Spacing::exponential},
                     .lengths = DrawnLengths{RandomNumber::exponential(100), RandomNumber::exponential(100)}}},
        .seed = 3,
        .requests = 2000};
    const auto source = make_traffic(traffic);
    ServingSession session(toy_session(toy_pool(1 << 20, 16)), {&pricer}, nullptr, source.get());
    session.run();
    return session.totals().metrics.all().queueing.mean();
  };
  const double rate = 0.6 * capacity(16, batching_policies().front());
  CHECK(waited(kFactor, rate) == Approx(kFactor * waited(1, kFactor * rate)).epsilon(0.01));
}

TEST_CASE("ranges of latency: waiting goes with the time per token, the rest with that of first tokens",
          "[analysis][serving]") {
  ServingSpread spread;
  spread.ttft = {0.7, 1.5, 50};
  spread.tpot = {0.8, 1.4, 50};
  const LatencyMeans here{Seconds(10), Seconds(4), Seconds(0.05)};
  const LatencyRange users = latency_range(spread, here, {});
  CHECK(users.ttft_low.value() == Approx(6 * 0.7 + 4 * 0.8));
  CHECK(users.ttft_high.value() == Approx(6 * 1.5 + 4 * 1.4));
  CHECK(users.tpot_low.value() == Approx(0.04));
  CHECK(users.tpot_high.value() == Approx(0.07));
  // Near saturation a slower server has queues and batches that this one has not.
  const LoadedTwins twins{LatencyMeans{Seconds(106), Seconds(100), Seconds(0.08)},
                          LatencyMeans{Seconds(6), Seconds(0), Seconds(0.04)}};
  const LatencyRange open = latency_range(spread, here, twins);
  CHECK(open.ttft_low.value() == Approx(6 * 0.7));
  CHECK(open.ttft_high.value() == Approx(6 * 1.5 + 100 * 1.4));
  CHECK(open.tpot_low.value() == Approx(0.032));
  CHECK(open.tpot_high.value() == Approx(0.112));
}

TEST_CASE("the range of first tokens is wide near saturation alone", "[analysis][serving]") {
  ServingOptions options;
  options.spreads.many.ttft = {0.7, 1.5, 50};
  options.spreads.many.tpot = {0.8, 1.4, 50};
  options.spreads.few = options.spreads.many;
  const Scenario scenario =
      testing::resolved("llama_3_1_70b_serving_8_h100", std::vector<std::string>{"serving.traffic.requests=2000"});
  const auto width = [&](double rate, LoadState state) {
    const ServingReport report = run_serving(at_rate(scenario, rate), options);
    CHECK(report.state == state);
    return report.latency.ttft_high / report.latency.ttft_low;
  };
  CHECK(width(2, LoadState::stable) < 3);
  CHECK(width(15, LoadState::stable) > 10);  // it stands 16 a second
}

TEST_CASE("deployments driven from a tenth to above their capacity: monotone latency, the right state",
          "[analysis][serving][slow]") {
  struct Case {
    const char* scenario;
    std::vector<std::string> set;
  };
  const Case cases[] = {
      {"llama_3_1_8b_azure_conversation", {"serving.replicas.max_batch=32"}},
      {"llama_3_1_8b_azure_conversation", {"serving.replicas.max_batch=32", "serving.replicas.batching=prefill_first"}},
      {"deepseek_v3_serving_h800", {"serving.decode.max_batch=8", "serving.traffic.requests=30000"}},
      {"deepseek_v3_serving_h800", {"serving.prefill.count=1", "serving.traffic.requests=30000"}},
  };
  for (const Case& c : cases) {
    INFO(c.scenario << " " << c.set.back());
    const Scenario scenario = testing::resolved(c.scenario, c.set);
    const double full = find_saturation([&](double load) {
                          Scenario loaded = scenario;
                          auto serving = std::make_shared<ServingScenario>(*scenario.serving);
                          serving->traffic = times_as_much(serving->traffic, load);
                          loaded.serving = serving;
                          const ServingReport report = run_serving(loaded, {});
                          return LoadTrial{report.state, report.arrivals_per_s()};
                        }).rate;
    REQUIRE(full > 0);
    double before = 0;
    for (const double load : {0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2}) {
      INFO("load " << load << " of " << full);
      const ServingReport report = run_serving(at_rate(scenario, load * full), {});
      CHECK(report.all.end_to_end.mean() >= before);
      before = report.all.end_to_end.mean();
      if (load <= 0.7) CHECK(report.state == LoadState::stable);
      if (load >= 1.2) CHECK(report.state == LoadState::overloaded);
    }
  }
}
