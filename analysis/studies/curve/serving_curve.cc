#include "analysis/studies/curve/serving_curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "scenarios/resolve/change_work.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

/// Generations of requests that a rung replays: the first warms up, the last runs dry.
constexpr int kGenerations = 6;
constexpr int kFewestRequests = 240;
constexpr int kMostRungs = 16;
/// A rung that gives a GPU less than this factor more than the one before ends the curve.
constexpr double kWorthIt = 1.03;

/// Users are shared out among streams as requests are in the scenario; streams of both kinds count alike.
std::vector<double> shares_of(const TrafficConfig& traffic) {
  std::vector<double> weights;
  for (const TrafficClass& c : traffic.classes) {
    if (const auto* open = std::get_if<OpenLoop>(&c.arrivals)) {
      weights.push_back(open->rate.mean().value());
    } else if (const auto* closed = std::get_if<ClosedLoop>(&c.arrivals)) {
      weights.push_back(closed->users);
    } else {
      const TraceSummary& trace = std::get<TraceTraffic>(c.lengths).summary;
      weights.push_back(static_cast<double>(trace.requests) / std::max(1e-9, trace.duration.value()));
    }
  }
  double sum = 0;
  for (const double weight : weights) sum += weight;
  for (double& weight : weights) weight /= sum;
  return weights;
}

TrafficConfig closed_loop(TrafficConfig traffic, int users, std::uint64_t requests) {
  const std::vector<double> shares = shares_of(traffic);
  for (std::size_t i = 0; i < traffic.classes.size(); ++i) {
    TrafficClass& c = traffic.classes[i];
    const auto own = std::max(1, static_cast<std::int32_t>(std::lround(users * shares[i])));
    c.arrivals = ClosedLoop{own, RandomNumber::fixed(0)};
    if (c.sessions) c.sessions->think = RandomNumber::fixed(0);
  }
  traffic.duration = kNever;
  traffic.requests = requests;
  return traffic;
}

/// Requests that replicas which give answers work on at once.
int slots_of(const ServingScenario& serving) {
  const PoolSpec& pool = serving.answer_pool();
  return pool.replicas * pool.engine.plan.attention_data * pool.engine.scheduler.max_batch;
}

std::vector<int> ladder(int slots) {
  int first = 1;
  while (static_cast<double>(slots) / first > std::exp2(kMostRungs - 1)) first *= 2;
  std::vector<int> users;
  for (int n = first; n < slots; n *= 2) users.push_back(n);
  users.push_back(slots);
  return users;
}

class Curve {
 public:
  Curve(const Scenario& scenario, const CurveOptions& options) : scenario_(scenario), options_(options) {}

  CurveRung rung(int users) const {
    const auto requests = static_cast<std::uint64_t>(std::max(kGenerations * users, kFewestRequests));
    // Everybody begins at once. When half of the second generation has left, the crowd of the beginning is
    // over.
    const std::uint64_t pilot = std::max<std::uint64_t>(1, requests / kGenerations);
    const Seconds warm_up = Seconds(1.5 * replay(users, pilot, Seconds(0), {}).all.end_to_end.mean());
    QuantileSketch ttft, tpot;
    const ServingReport report = replay(users, requests, warm_up, [&](const Request&, const RequestResult& r) {
      if (r.outcome != RequestOutcome::completed || r.arrival < warm_up) return;
      ttft.add(r.ttft().value());
      if (r.has_tpot()) tpot.add(r.tpot().value());
    });
    return rung_of(users, report, ttft, tpot);
  }

 private:
  /// The load of the experts drifts through all of its range in every rung, however short: as often as can
  /// be, with as many periods to a rebalancing as before.
  static void hurry(ExpertPaceConfig& pace) {
    const Seconds often(1);
    pace.rebalance_period = pace.rebalance_period * (often / pace.drift_period);
    pace.drift_period = often;
  }

  ServingReport replay(int users, std::uint64_t requests, Seconds warm_up, ResultSink sink) const {
    Scenario scenario = scenario_;
    change_serving(scenario, [&](ServingScenario& serving) {
      serving.traffic = closed_loop(serving.traffic, users, requests);
      serving.sample = 1;
      for (PoolSpec& pool : serving.pools) pool.autoscale.on = false;
      serving.failures.failures_per_gpu_hour = 0;
      serving.warm_up = warm_up;
      hurry(serving.expert_pace);
    });
    ServingOptions options = options_.serving;
    options.on_result = std::move(sink);
    return run_serving(scenario, options);
  }

  static CurveRung rung_of(int users, const ServingReport& report, const QuantileSketch& ttft,
                           const QuantileSketch& tpot) {
    CurveRung out;
    out.users = users;
    out.tokens_per_s_per_user = tpot.mean() > 0 ? 1 / tpot.mean() : 0;
    out.output_per_gpu = report.output_per_gpu;
    const ClassMetrics& all = report.all;
    const double answers = std::max(1.0, static_cast<double>(all.output_tokens));
    const double tokens_per_answer_token = 1 + static_cast<double>(all.completed.input_tokens) / answers;
    out.tokens_per_gpu = out.output_per_gpu * tokens_per_answer_token;
    out.ttft_p50 = ttft.quantile(0.5);
    out.ttft_p90 = ttft.quantile(0.9);
    out.tpot_p50 = tpot.quantile(0.5);
    out.tpot_p90 = tpot.quantile(0.9);
    const double answer_length = answers / std::max(1.0, static_cast<double>(all.completed.requests));
    out.requests_per_s = out.output_per_gpu * report.mean_gpus / answer_length;
    const double usd = report.scenario.price.gpu.value() * 1e6;
    if (out.output_per_gpu > 0) {
      out.usd_per_million_output = usd / out.output_per_gpu;
      out.usd_per_million = usd / out.tokens_per_gpu;
    }
    for (const PoolReport& pool : report.pools)
      out.kv_utilization = std::max(out.kv_utilization, pool.totals.mean_kv_share);
    out.slo_attainment = all.slo_attainment();
    return out;
  }

  const Scenario& scenario_;
  const CurveOptions& options_;
};

/// Several at once, each in a process of its own.
std::vector<CurveRung> rungs(const Curve& curve, std::span<const int> users) {
  if (users.size() == 1) return {curve.rung(users.front())};
  return parallel_map<CurveRung>(users.size(), static_cast<int>(users.size()),
                                 [&](std::size_t i) { return curve.rung(users[i]); });
}

}  // namespace

ServingCurve curve_of(const Scenario& scenario, const CurveOptions& options) {
  ServingCurve curve;
  curve.scenario = scenario;
  curve.gpus = scenario.serving->gpus();
  const Curve replays(scenario, options);
  const bool given = !options.users.empty();
  const std::vector<int> users = given ? options.users : ladder(slots_of(*scenario.serving));
  // As many rungs at a time as there are workers; those beyond the last that is worth it are dropped again.
  const std::size_t workers = static_cast<std::size_t>(std::max(1, options.workers));
  for (std::size_t begin = 0; begin < users.size(); begin += workers) {
    const std::size_t count = std::min(workers, users.size() - begin);
    if (options.stage) {
      const std::string upto = count > 1 ? fmt::format(" to {}", users[begin + count - 1]) : "";
      options.stage(fmt::format("{}: {}{} users", scenario.name, users[begin], upto));
    }
    for (const CurveRung& rung : rungs(replays, std::span(users).subspan(begin, count))) {
      const double before = curve.rungs.empty() ? 0 : curve.rungs.back().output_per_gpu;
      curve.rungs.push_back(rung);
      if (given || rung.output_per_gpu >= before * kWorthIt) continue;
      mark_front(curve.rungs);
      return curve;
    }
  }
  mark_front(curve.rungs);
  return curve;
}

void mark_front(std::span<CurveRung> rungs) {
  for (CurveRung& rung : rungs) {
    rung.on_front = std::none_of(rungs.begin(), rungs.end(), [&](const CurveRung& other) {
      const bool as_good =
          other.tokens_per_s_per_user >= rung.tokens_per_s_per_user && other.output_per_gpu >= rung.output_per_gpu;
      return as_good &&
             (other.tokens_per_s_per_user > rung.tokens_per_s_per_user || other.output_per_gpu > rung.output_per_gpu);
    });
  }
}

}  // namespace flopcast
