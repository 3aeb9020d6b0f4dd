#include "analysis/runs/serving/serving_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/published.h"
#include "analysis/runs/serving/serving_cost.h"
#include "analysis/runs/serving/serving_notes.h"
#include "analysis/runs/serving/serving_pools.h"
#include "analysis/runs/serving/serving_report.h"
#include "hwmodels/fabric/node_count.h"
#include "scenarios/resolve/change_work.h"
#include "sim/replay.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/pricing/limits.h"
#include "workloads/serving/session/session.h"

namespace flopcast {
namespace {

/// The cluster with as many nodes as replicas take: a day on 278 nodes needs no graph of 2,048.
ClusterSpec trimmed(ClusterSpec cluster, int gpus) {
  cluster.nodes = std::min(cluster.nodes, nodes_for(gpus, cluster.node));
  return cluster;
}

TrafficConfig sample_of(const ServingScenario& serving) {
  if (serving.sample == 1) return serving.traffic;
  return serving.sample_time ? hastened(serving.traffic, serving.sample) : sampled(serving.traffic, serving.sample);
}

PoolReport pool_report(const PoolTotals& totals, const PoolSpec& spec, BuiltPool& built) {
  PoolReport out;
  out.totals = totals;
  out.memory = built.memory;
  out.kv_per_token = built.config.kv_bytes_per_token;
  out.logged = logged_cache(spec.engine, spec.page_tokens, built.memory);
  out.logged.per_token = out.logged.per_token * (out.kv_per_token / built.memory.kv_per_token);
  out.busy = share(to_seconds(totals.counters.busy).value(), totals.up_time.value());
  const ReplicaCounters& c = totals.counters;
  out.mean_batch = share(static_cast<double>(c.decode_requests), static_cast<double>(c.decode_iterations));
  out.mean_iteration = Seconds(share(to_seconds(c.busy).value(), static_cast<double>(c.iterations)));
  const auto batch = static_cast<std::int64_t>(std::lround(out.mean_batch / built.config.replica.groups));
  const double tokens = totals.mean_kv_share * static_cast<double>(totals.kv_capacity_tokens) / totals.replicas /
                        built.config.replica.groups;
  if (batch > 0 && totals.counters.decode_requests > 0)
    out.attention_share =
        built.pricers.front()->attention_share(batch, std::max<std::int64_t>(batch, std::llround(tokens)));
  out.gpu_power = gpu_power(totals, out, built);
  if (!built.config.pace.empty()) {
    double sum = 0;
    for (const std::size_t level : built.config.pace) sum += built.levels[level];
    out.busiest_expert_gpu = sum / static_cast<double>(built.config.pace.size());
  }
  return out;
}

void rates(ServingReport& report) {
  const double seconds = report.totals.duration().value();
  if (seconds <= 0) return;
  const double gpus_per_node = report.scenario.cluster.node.gpus;
  double prompt_gpus = 0, answer_gpus = 0;
  for (const PoolReport& pool : report.pools) {
    const double gpus = pool.totals.paid_time().value() / seconds * pool.totals.gpus;
    report.mean_gpus += gpus;
    if (pool.totals.role != ReplicaRole::decode) prompt_gpus += gpus;
    if (gives_answers(pool.totals.role)) answer_gpus += gpus;
  }
  double input = static_cast<double>(report.all.completed.input_tokens) / seconds;
  double output = static_cast<double>(report.all.output_tokens) / seconds;
  const TokenSnapshot &begin = report.totals.steady_begin, &end = report.totals.steady_end;
  constexpr double kWorthIt = 0.1;  // of the run: shorter spans say less than the whole
  const double span = (end.at - begin.at).value();
  const bool drowns = replica_drowns(load_evidence(report.totals));
  if (drowns) {
    const Seconds last = report.totals.backlog.until();
    report.notes.push_back(
        fmt::format("a replica does not stand its load, though others do: it worked for {} after the last arrival, "
                    "which came at {}",
                    format_time(report.totals.end - last), format_time(last - report.totals.begin)));
  }
  if (span > kWorthIt * seconds || (drowns && span > 0)) {
    input = static_cast<double>(end.prompts - begin.prompts) / span;
    output = static_cast<double>(end.answers - begin.answers) / span;
    report.steady_rates = true;
    report.notes.push_back(
        fmt::format("tokens per second are those of {} to {} after the start: beyond the warm-up, until {}",
                    format_time(begin.at), format_time(end.at),
                    end.at > report.totals.backlog.until() ? "no more requests could come" : "the last arrival"));
  }
  report.input_rate = input;
  report.output_rate = output;
  report.input_per_node = share(input, prompt_gpus / gpus_per_node);
  report.output_per_node = share(output, answer_gpus / gpus_per_node);
  report.output_per_gpu = share(output, report.mean_gpus);
}

/// A trace may end long before a duration that was stated to cut it off: its own times are its length.
bool of_recorded_times(const TrafficConfig& traffic) {
  return std::any_of(traffic.classes.begin(), traffic.classes.end(),
                     [](const TrafficClass& c) { return std::holds_alternative<TraceTimes>(c.arrivals); });
}

bool refuses_long_prompts(const EngineConfig& engine) {
  return engine.refuses_long_prompts && !engine.scheduler.chunked_prefill;
}

/// Passes requests on and counts prompts that an engine would refuse.
class LongPrompts final : public RequestSource {
 public:
  LongPrompts(RequestSource& source, std::int64_t most) : source_(source), most_(most) {}
  Seconds next_arrival() const override { return source_.next_arrival(); }
  Request take() override {
    Request request = source_.take();
    ++all_;
    longest_ = std::max<std::int64_t>(longest_, request.input_tokens);
    if (request.input_tokens > most_) ++longer_;
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    source_.finished(request, when, outcome);
  }
  int prefix_block_tokens() const override { return source_.prefix_block_tokens(); }

  /// Empty: there were none.
  std::string note(const std::string& engine) const {
    if (longer_ == 0) return "";
    return fmt::format(
        "{} of {} prompts are longer (up to {} tokens) than the {} of an iteration: without chunked_prefill {} refuses "
        "them. Here they are computed whole; chunked_prefill: true or a larger token_budget takes them",
        format_integer(static_cast<double>(longer_)), format_integer(static_cast<double>(all_)),
        format_integer(static_cast<double>(longest_)), format_integer(static_cast<double>(most_)), engine);
  }

 private:
  RequestSource& source_;
  std::int64_t most_, longest_ = 0;
  std::uint64_t all_ = 0, longer_ = 0;
};

}  // namespace

namespace {

/// From its beginning, or from where a kept state stands; the report is the same to the byte.
void replay(ServingSession& session, const ServingOptions& options) {
  const SessionKeeper& keeper = options.keeper;
  if (!keeper.from.empty()) {
    StateArchive state{std::string_view(keeper.from)};
    if (!session.archive(state) || !state.at_end()) throw std::runtime_error("a stored state is of another session");
  }
  const auto go_on = [&](std::uint64_t requests) {
    if (keeper.due && keeper.due()) {
      StateArchive state;
      if (session.archive(state)) keeper.keep(state.bytes());
    }
    return !options.keep_going || options.keep_going(requests);
  };
  if (!session.run(go_on)) throw Interrupted();
}

/// Requests of a twin: as many as are under way at once several times over, else no queue settles.
constexpr double kLives = 5, kFewestLives = 2, kLeastRequests = 2000, kMostRequests = 20000;

/// Arrivals `factor` times as dense. False: answers decide when requests come, or rates change with the day.
bool make_denser(TrafficConfig& traffic, double factor) {
  for (TrafficClass& c : traffic.classes) {
    constexpr double kConstant = 1.001;
    auto* const loop = std::get_if<OpenLoop>(&c.arrivals);
    auto* const trace = std::get_if<TraceTraffic>(&c.lengths);
    if (loop != nullptr && loop->rate.peak() <= loop->rate.mean() * kConstant)
      loop->rate = loop->rate.scaled(factor);
    else if (std::holds_alternative<TraceTimes>(c.arrivals) && trace != nullptr)
      trace->options.rate_scale *= factor;
    else
      return false;
  }
  if (is_finite(traffic.duration)) traffic.duration = traffic.duration / factor;
  return true;
}

/// The scenario of a twin, cut to so many requests as tell a steady state. Nothing: there is none, replicas come, go or
/// fail by the clock, or it would take too many requests.
std::optional<Scenario> twin_of(const ServingReport& report, double factor) {
  const ServingScenario& serving = report.serving();
  if (serving.sample > 1 || serving.autoscaled() || serving.failures.failures_per_gpu_hour > 0 ||
      !serving.faults.empty())
    return std::nullopt;
  const auto arrived = static_cast<double>(report.all.arrived.requests);
  const double at_once = report.arrivals_per_s() * report.all.end_to_end.quantile(0.5);
  const double wanted = std::min(arrived, std::max(kLeastRequests, kLives * at_once));
  if (at_once <= 0 || (wanted > kMostRequests && kMostRequests < kFewestLives * at_once)) return std::nullopt;
  Scenario out = report.scenario;
  bool denser = false;
  change_serving(out, [&](ServingScenario& changed) {
    denser = make_denser(changed.traffic, factor);
    changed.traffic.requests = static_cast<std::uint64_t>(std::min(wanted, kMostRequests));
    changed.warm_up = changed.warm_up / factor;
  });
  return denser ? std::optional(std::move(out)) : std::nullopt;
}

LatencyMeans means_of(const ServingReport& report) {
  return {Seconds(report.all.ttft.mean()), Seconds(report.all.queueing.mean()), Seconds(report.all.tpot.mean())};
}

/// Queues of an overloaded twin grow with the requests that come: to as many as came here.
std::optional<LatencyMeans> means_of_twin(const ServingReport& report, double factor, const ServingOptions& options,
                                          const std::shared_ptr<KeptPrices>& prices) {
  const std::optional<Scenario> scenario = twin_of(report, factor);
  if (!scenario) return std::nullopt;
  ServingOptions quiet;
  quiet.power = options.power;
  quiet.prices = prices;
  if (options.keep_going)
    quiet.keep_going = [&](std::uint64_t) { return options.keep_going(report.all.arrived.requests); };
  const ServingReport twin = run_serving(*scenario, quiet);
  LatencyMeans means = means_of(twin);
  if (twin.state != LoadState::overloaded || twin.all.arrived.requests == 0) return means;
  const double times =
      static_cast<double>(report.all.arrived.requests) / static_cast<double>(twin.all.arrived.requests);
  const Seconds more = means.waited * std::max(0.0, times - 1);
  means.ttft += more;
  means.waited += more;
  return means;
}

}  // namespace

ServingReport run_serving(const Scenario& scenario, const ServingOptions& options) {
  check_published(scenario, [] { return serving_metrics(nullptr); });
  const ServingScenario& serving = *scenario.serving;
  ServingReport report{};
  report.scenario = scenario;
  const std::shared_ptr<KeptPrices> prices_kept = options.prices ? options.prices : std::make_shared<KeptPrices>();
  std::vector<BuiltPool> pools = build_pools(scenario, prices_kept.get());
  SessionConfig config;
  config.levels = serving.levels;
  config.failures = serving.failures;
  config.failures.failures_per_gpu_hour *= serving.haste();
  config.failures.repair /= serving.haste();
  if (serving.classes.ordered() || serving.classes.deadlines())
    config.classes = std::make_shared<const ClassRules>(serving.classes);
  find_slow_kinds(serving, pools, config.failures);
  if (serving.layer_wise_transfer) config.send_in_parts = serving.model().layers;
  config.seed = serving.seed;
  config.warm_up = serving.warm_up;
  config.cache_pace = {Seconds(serving.constants->cache_setup_us.value * 1e-6),
                       serving.constants->cache_efficiency.value};
  std::vector<PoolPricers> prices;
  for (const BuiltPool& pool : pools) {
    config.pools.push_back(pool.config);
    prices.push_back(pool.prices());
  }
  std::unique_ptr<Topology> topology;
  const bool moves = std::any_of(serving.pools.begin(), serving.pools.end(),
                                 [](const PoolSpec& pool) { return pool.next.has_value(); });
  if (moves) topology = std::make_unique<Topology>(trimmed(scenario.cluster, serving.gpus()));
  const TrafficConfig traffic = sample_of(serving);
  if (is_finite(traffic.duration) && !of_recorded_times(traffic)) {
    config.window = traffic.duration;
    config.most_requests = traffic.requests;
  }
  const std::unique_ptr<RequestSource> source = make_traffic(traffic);
  const EngineConfig& prompts = serving.pools[serving.prompt_pool_index()].engine;
  LongPrompts long_prompts(*source, prompts.scheduler.token_budget);
  const bool watched = refuses_long_prompts(prompts);
  ServingSession session(std::move(config), std::move(prices), topology.get(),
                         watched ? static_cast<RequestSource*>(&long_prompts) : source.get());
  if (options.on_result) session.on_result(options.on_result);
  replay(session, options);

  report.totals = session.totals();
  if (const int at_once = serving.answer_pool().stream_interval; at_once > 1)
    report.totals.gaps = report.totals.gaps.stretched(at_once);
  report.all = report.totals.metrics.all();
  if (report.all.completed.requests == 0 && report.totals.too_long > 0) {
    Diagnostic d;
    d.file = scenario.file;
    d.field = "serving";
    d.found = fmt::format("{} requests, none of which fits into a replica's KV cache", report.totals.too_long);
    d.expected = "requests that fit; `flopcast check` says how many tokens a replica holds";
    throw InputError(d);
  }
  for (std::size_t i = 0; i < pools.size(); ++i) {
    report.pools.push_back(pool_report(report.totals.pools[i], serving.pools[i], pools[i]));
    report.pools.back().sample = serving.sample;
  }
  report.state = judge(load_evidence(report.totals));
  rates(report);
  report.spread = options.spreads.at(report.answer_pool().mean_batch);
  if (report.spread.tpot.rows > 0 && report.all.tpot.count() > 0)
    report.latency = latency_range(report.spread, means_of(report),
                                   {means_of_twin(report, report.spread.tpot.high, options, prices_kept),
                                    means_of_twin(report, report.spread.tpot.low, options, prices_kept)});
  report.energy = energy_of(report, options.power);
  report.cost = cost_of(report, pools[serving.prompt_pool_index()]);
  const EngineConfig& answers = serving.answer_pool().engine;
  report.exchange_bound =
      nic_bound(answers, scenario.cluster, report.answer_pool().mean_batch / std::max(1, answers.plan.attention_data));
  report.notes.insert(report.notes.begin(), scenario.notes.begin(), scenario.notes.end());
  add_notes(report);
  if (std::string note = long_prompts.note(prompts.name); !note.empty()) report.notes.push_back(std::move(note));
  return report;
}

std::string serving_facts(const Scenario& scenario) {
  std::string out;
  for (const PoolSpec& spec : scenario.serving->pools) {
    const ReplicaMemory memory = replica_memory(spec.engine, scenario.cluster.node.gpu);
    out += fmt::format("; {}: {} x {} GPUs, {} of weights and workspace and {} tokens of KV cache per {}", spec.name,
                       spec.replicas, spec.engine.plan.gpus(), format_bytes(memory.table.total()),
                       format_integer(static_cast<double>(memory.kv_tokens)),
                       spec.engine.plan.attention_data > 1 ? "attention group" : "replica");
    if (spec.role != ReplicaRole::decode && refuses_long_prompts(spec.engine))
      out += fmt::format(", prompts of up to {} tokens (without chunked_prefill {} refuses longer ones)",
                         format_integer(spec.engine.scheduler.token_budget), spec.engine.name);
  }
  return out;
}

CurveSample sample_of(const ServingReport& report) {
  CurveSample sample;
  sample.requests_per_s = report.arrivals_per_s();
  sample.tokens_per_s_per_user = report.all.tpot.mean() > 0 ? 1 / report.all.tpot.mean() : 0;
  sample.tokens_per_s_per_gpu = report.output_per_gpu;
  sample.ttft_p90 = report.all.ttft.quantile(0.9);
  sample.tpot_p90 = report.all.tpot.quantile(0.9);
  sample.usd_per_million_output = report.cost.per_million_output.value();
  sample.state = report.state;
  return sample;
}

std::string limits_of(const ServiceLevel& promise) {
  std::vector<std::string> limits;
  if (promise.ttft < kNever) limits.push_back("TTFT " + format_time(promise.ttft));
  if (promise.tpot < kNever) limits.push_back("TPOT " + format_time(promise.tpot));
  if (promise.end_to_end < kNever) limits.push_back("end to end " + format_time(promise.end_to_end));
  return fmt::format("{}", fmt::join(limits, ", "));
}

}  // namespace flopcast
