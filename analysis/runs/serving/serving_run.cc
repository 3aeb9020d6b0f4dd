#include "analysis/runs/serving/serving_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/render/text/format.h"
#include "analysis/runs/notes.h"
#include "analysis/runs/published.h"
#include "hwmodels/fabric/node_count.h"
#include "sim/replay.h"
#include "workloads/serving/pricing/block_shapes.h"
#include "workloads/serving/pricing/deployment.h"
#include "workloads/serving/pricing/expert_pace.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/pricing/limits.h"
#include "workloads/serving/pricing/pass_energy.h"
#include "workloads/serving/pricing/steady_load.h"
#include "workloads/serving/session/session.h"
#include "workloads/serving/traffic/clients.h"

namespace flopcast {
namespace {

/// Periods for which a drift of expert load is drawn; then it repeats.
constexpr int kDriftPeriods = 256;

/// As stated; a named engine runs behind a real router, and places experts by their loads only where it has copies: by
/// what the same traffic gave before.
ExpertPaceConfig expert_pace_of(const ServingScenario& serving, const PoolSpec& spec) {
  ExpertPaceConfig pace = serving.expert_pace;
  if (serving.expert_pace_stated || spec.engine.name.empty() || spec.engine.model.moe.experts == 0) return pace;
  pace.variation = router_variation(spec.engine.model, *serving.constants);
  pace.eplb = spec.engine.redundant_experts > 0;
  return pace;
}

std::vector<double> busiest_loads(const ServingScenario& serving, const PoolSpec& spec, const ClusterSpec& cluster) {
  const EngineConfig& engine = spec.engine;
  const ExpertPaceConfig pace = expert_pace_of(serving, spec);
  if (pace.variation <= 0 || engine.plan.expert <= 1) return {};
  ExpertGroup group;
  group.experts = engine.model.moe.experts;
  group.experts_per_token = engine.model.moe.experts_per_token;
  group.redundant = engine.redundant_experts;
  group.groups = engine.model.moe.groups;
  group.ranks = engine.plan.expert;
  group.ranks_per_node = std::min(engine.plan.expert, cluster.node.gpus);
  if (group.groups % std::max(1, group.ranks / group.ranks_per_node) != 0) group.groups = 1;
  if (!serving.expert_pace_stated && group.redundant > 0) {
    const Fitted& alike = hands_on(spec.role) ? serving.constants->prompts_alike : serving.constants->answers_alike;
    return {steady_busiest_load(pace.variation, alike.value, group, engine.model.moe_layers(), serving.seed)};
  }
  return busiest_rank_loads(pace, group, kDriftPeriods, serving.seed + (spec.role == ReplicaRole::decode));
}

/// The cluster with as many nodes as replicas take: a day on 278 nodes needs no graph of 2,048.
ClusterSpec trimmed(ClusterSpec cluster, int gpus) {
  cluster.nodes = std::min(cluster.nodes, nodes_for(gpus, cluster.node));
  return cluster;
}

TrafficConfig sample_of(const ServingScenario& serving) {
  if (serving.sample == 1) return serving.traffic;
  return serving.sample_time ? hastened(serving.traffic, serving.sample) : sampled(serving.traffic, serving.sample);
}

/// Mean power of a GPU of the pool: its decoding iterations at their mean batch and cache, its iterations with prompts
/// at their mean size.
Watts gpu_power(const PoolTotals& totals, const PoolReport& pool, const BuiltPool& built) {
  const ForwardModel* model = built.pricers.front()->forward();
  if (model == nullptr || totals.up_time <= Seconds(0)) return Watts(0);
  const ReplicaCounters& c = totals.counters;
  const double groups = built.config.replica.groups, batch = pool.mean_batch / groups;
  Joules work;
  if (batch > 0) {
    const double cached =
        totals.mean_kv_share * static_cast<double>(totals.kv_capacity_tokens) / totals.replicas / groups;
    const double decoding = static_cast<double>(c.decode_requests) / pool.mean_batch;
    work += decode_energy(*model, std::max(1.0, batch), cached / std::max(1.0, batch)) * decoding;
  }
  if (c.prompt_iterations > 0) {
    const auto times = static_cast<double>(c.prompt_iterations);
    const double tokens = static_cast<double>(c.prompt_tokens) / times / groups;
    const double requests = std::max(1.0, static_cast<double>(c.prompts_done) / times / groups);
    const double whole = share(static_cast<double>(c.prompt_tokens_done), static_cast<double>(c.prompts_done));
    work += prompt_energy(*model, requests, tokens / requests, whole) * times;
  }
  return mean_power(*model->setting().kernels, work, to_seconds(c.busy), totals.up_time);
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

/// GPUs draw what their kernels ask for over idle power (hwmodels/chips/power.h); where no power is known, a measured
/// share of the rated power while at work. Broken ones idle; nodes draw their part beside.
Joules energy_of(const ServingReport& report, const PowerModel& power) {
  const NodeSpec& node = report.scenario.cluster.node;
  const Watts beside = node.overhead_power / node.gpus * power.busy_fraction;
  Joules sum;
  for (const PoolReport& pool : report.pools) {
    const Watts gpu = pool.gpu_power > Watts(0) ? pool.gpu_power + beside : step_power(node, power, pool.busy).training;
    sum += gpu * (pool.totals.up_time * pool.totals.gpus);
    sum += step_power(node, power, 0).training * (pool.totals.idle_time() * pool.totals.gpus);
  }
  return sum * report.scenario.price.pue;
}

/// Iterations full of mean prompts, as they are and with nothing before them: what a cached token adds over
/// what another takes.
double cached_work(const ServingReport& report, BuiltPool& pool) {
  const auto requests = static_cast<double>(report.all.completed.requests);
  const auto cached = static_cast<std::int64_t>(share(static_cast<double>(report.all.cached_tokens), requests));
  const auto whole = static_cast<std::int64_t>(share(static_cast<double>(report.all.completed.input_tokens), requests));
  if (cached < 1 || whole <= cached) return 0;
  const int budget = pool.config.replica.scheduler.token_budget;
  const std::int64_t computed = std::min<std::int64_t>(whole - cached, budget);
  PromptLoad with, without;
  for (std::int64_t n = std::max<std::int64_t>(1, budget / computed); n > 0; --n) {
    with.add(computed, cached, true);
    without.add(computed, 0, true);
  }
  IterationPricer& pricer = *pool.pricers.front();
  const Ticks base = pricer.prompt(without, 0, 0), more = pricer.prompt(with, 0, 0);
  return std::max(0.0, share(static_cast<double>(more - base), static_cast<double>(base)) *
                           static_cast<double>(computed) / static_cast<double>(cached));
}

/// Prefill replicas and those before them are paid by prompts, decode replicas by answers; where one does both, prompts
/// pay for what they add to the time of iterations, and both for the idle time in that proportion. Tokens are those of
/// the steady span.
ServingCostReport cost_of(const ServingReport& report, BuiltPool& prompt_pool) {
  ServingCostReport cost;
  const UsdPerSecond gpu = report.scenario.price.gpu;
  cost.priced = gpu > UsdPerSecond(0);
  const double seconds = report.totals.duration().value();
  if (seconds <= 0) return cost;
  double prompts = 0, answers = 0;  // GPUs
  for (const PoolReport& pool : report.pools) {
    const ReplicaCounters& did = pool.totals.counters;
    // What a decode replica computes again after a preemption belongs to its answers, and so do prompts that are
    // computed again after a failure and the time that is lost.
    const double again =
        share(static_cast<double>(report.totals.retried_tokens), static_cast<double>(did.prompt_tokens));
    const double up = pool.totals.up_time.value() / seconds * pool.totals.gpus;
    const double broken = pool.totals.idle_time().value() / seconds * pool.totals.gpus;
    const double part =
        pool.totals.role == ReplicaRole::decode ? 0
        : hands_on(pool.totals.role)
            ? 1
            : (1 - std::min(1.0, again)) * share(to_seconds(did.prompt_time).value(), to_seconds(did.busy).value());
    prompts += up * part + broken * hands_on(pool.totals.role);
    answers += up * (1 - part) + broken * gives_answers(pool.totals.role);
  }
  cost.rate = gpu * (prompts + answers);
  cost.prompt_share = share(prompts, prompts + answers);
  cost.cached_work = cached_work(report, prompt_pool);
  const double cached = report.input_rate * share(static_cast<double>(report.all.cached_tokens),
                                                  static_cast<double>(report.all.completed.input_tokens));
  const double computed = report.input_rate - cached, output = report.output_rate;
  const auto per_million = [&](double gpus, double rate) {
    return rate > 0 ? Usd(gpu.value() * gpus / rate * 1e6) : Usd();
  };
  cost.per_million_computed = per_million(prompts, computed + cost.cached_work * cached);
  cost.per_million_cached = cost.cached_work * cost.per_million_computed;
  cost.per_million_prompt = per_million(prompts, report.input_rate);
  cost.per_million_output = per_million(answers, output);
  const TokenPriceTable& prices = report.serving().token_prices;
  cost.revenue = UsdPerSecond(
      1e-6 * (prices.input.value() * computed + prices.cached.value() * cached + prices.output.value() * output));
  return cost;
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

/// Users whose answers have one length ask again together, for ever: each waits for the prompts of all.
void note_step(ServingReport& report) {
  constexpr int kFewUsers = 8;
  constexpr double kInStep = 0.25;  // of the users, on average
  const ServingScenario& serving = report.serving();
  for (std::size_t i = 0; i < serving.class_names.size(); ++i) {
    const auto* loop = std::get_if<ClosedLoop>(&serving.traffic.classes[i].arrivals);
    if (loop == nullptr || loop->users < kFewUsers) continue;
    const double together = report.totals.together[i];
    if (together < kInStep * loop->users) continue;
    report.notes.push_back(fmt::format(
        "{}: {:.0f} of the {} users ask at the same moment, again and again: their answers take equally long, so that "
        "they march in step, and TTFT is that of many prompts at once. Lengths that are drawn (client: \"inferencex\", "
        "shape: \"up_to\") or a ramp bring them apart",
        serving.class_names[i], together, loop->users));
  }
}

void note_clients(ServingReport& report) {
  for (const std::string& client : report.serving().clients) {
    const ClientRow* row = find_policy(benchmark_clients(), client.substr(client.rfind(' ') + 1));
    std::string text = fmt::format("client of {} ({})", client, row->title);
    text += fmt::format("; its warm-up ({}) is not replayed", row->warm_up);
    const EngineConfig& engine = report.serving().pools.front().engine;
    if (const Seconds cold = cold_prompts(engine); cold > Seconds(0))
      text += fmt::format(
          ", and leaves {} to compile kernels of other lengths for {} while the first users wait (host.cold_prompts)",
          engine.name, format_time(cold));
    report.notes.push_back(std::move(text));
  }
}

/// A trace lends its lengths alone where it is stated how requests come.
void note_times(ServingReport& report) {
  for (const TrafficClass& c : report.serving().traffic.classes) {
    const auto* trace = std::get_if<TraceTraffic>(&c.lengths);
    if (trace == nullptr || !trace->summary.has_times() || std::holds_alternative<TraceTimes>(c.arrivals)) continue;
    report.notes.push_back(
        fmt::format("{}: lengths are those of the trace, in its order and again from its beginning; its own times are "
                    "not used, since {} say how requests come",
                    c.name.empty() ? "the stream" : c.name,
                    std::holds_alternative<ClosedLoop>(c.arrivals) ? "users" : "requests_per_second"));
  }
}

void notes_of(ServingReport& report) {
  const ServingScenario& serving = report.serving();
  note_clients(report);
  note_times(report);
  note_step(report);
  for (const PoolSpec& pool : serving.pools) {
    if (std::string refused = refused_blocks(pool.engine); !refused.empty())
      report.notes.push_back(refused + "; replayed as if it did");
  }
  if (serving.warm_up > Seconds(0))
    report.notes.push_back(
        report.steady_rates
            ? fmt::format("warm-up {}: left out of tokens per second, not of latencies and promises",
                          format_time(serving.warm_up))
            : fmt::format("warm-up {}: it leaves too little before the last arrival, which came at {}, to be measured; "
                          "nothing is left out, and tokens per second are of the whole run",
                          format_time(serving.warm_up), format_time(report.totals.backlog.until())));
  if (std::string note = filling_note(report); !note.empty()) report.notes.push_back(std::move(note));
  if (serving.sample > 1 && serving.sample_time)
    report.notes.push_back(
        fmt::format("one request in {} was replayed, at full rates on all replicas: the day, autoscaling, "
                    "failures and drift of "
                    "expert load passed {} times as fast",
                    serving.sample, serving.sample));
  else if (serving.sample > 1)
    report.notes.push_back(
        fmt::format("one request in {} was replayed on one replica in {}", serving.sample, serving.sample));
  if (report.all.arrived.requests == 0) report.notes.push_back("no request arrived: nothing was measured");
  if (report.totals.cut)
    report.notes.push_back(
        fmt::format("the session was cut after {:.0f} days, the longest that its clock counts: {} requests had "
                    "arrived, {} of them were "
                    "still inside, and their latencies are not counted",
                    kLongestSession.value() / 86400, report.all.arrived.requests, report.totals.live));
  if (too_short_to_tell(report.totals))
    report.notes.push_back(
        "requests came for less than four times what one takes: too short to tell how the deployment would "
        "stand this load for long");
  if (report.totals.too_long > 0)
    report.notes.push_back(
        fmt::format("{} requests were rejected because no replica could ever hold them", report.totals.too_long));
  if (report.all.expired.requests > 0)
    report.notes.push_back(
        fmt::format("{} requests were dropped at their deadline; what had been computed of them "
                    "counts for nothing",
                    report.all.expired.requests));
  if (report.all.arrived.requests > 0 && report.all.completed.requests == 0)
    report.notes.push_back("no request was answered to the end: latencies of answers are those of nobody");
  for (const StatedFault& fault : serving.failures.stated) {
    if (fault.at > report.totals.end)
      report.notes.push_back(fmt::format("the fault stated at {} comes after the end, at {}: it changed nothing",
                                         format_time(fault.at), format_time(report.totals.end)));
    else if (fault.one_by_one)
      report.notes.push_back(fmt::format("a rolling restart from {} on: {} replicas one by one, {} each",
                                         format_time(fault.at), fault.replicas.size(), format_time(fault.repair)));
  }
  for (const PoolSpec& pool : serving.pools)
    for (std::size_t i = 0; i < pool.slow.size(); ++i)
      if (!(pool.slow[i] == ReplicaSpeed{}))
        report.notes.push_back(
            fmt::format("{}: replica {} has parts slower than their data sheets (cluster.slow) and "
                        "goes at their pace",
                        pool.name, i));
  if (report.totals.failures > 0)
    report.notes.push_back(fmt::format("{} failures of replicas; {} requests started again, {} were lost",
                                       report.totals.failures, report.totals.retried, report.all.lost.requests));
  if (serving.answer_pool().engine.speculation.depth > 0)
    report.notes.push_back("drafts are accepted at their mean rate, by all requests of an iteration alike");
  for (const PoolSpec& pool : serving.pools)
    if (!serving.expert_pace_stated && expert_pace_of(serving, pool).variation > 0)
      report.notes.push_back(fmt::format(
          "{}: loads of experts are not stated (expert_skew): as behind a real router, coefficient of variation {:g}",
          pool.name, router_variation(pool.engine.model, *serving.constants)));
  for (const PoolSpec& pool : serving.pools) {
    const EngineConfig& engine = pool.engine;
    const auto published = static_cast<std::size_t>(engine.model.published_weights);
    const auto experts = static_cast<std::size_t>(engine.model.published_experts);
    if (engine.weights_as_published)
      report.notes.push_back(fmt::format(
          "{}: weights as {} publishes them, {}{}: neither weights nor weight_format is stated", pool.name,
          engine.model.title, enum_names(engine.model.published_weights)[published],
          experts == 0 ? "" : fmt::format(", experts {}", enum_names(engine.model.published_experts)[experts])));
    else if (published + experts != 0 && engine.precision.linear == Precision::bf16 &&
             engine.precision.stored == WeightFormat::as_multiplied)
      report.notes.push_back(fmt::format("{}: weights in BF16; {} publishes them as {}", pool.name, engine.model.title,
                                         enum_names(engine.model.published_weights)[published]));
    for (const auto& [field, on] : {std::pair("two_micro_batches", engine.two_micro_batches),
                                    std::pair("redundant_experts", engine.redundant_experts > 0)})
      if (on && engine.came_later.find(field) != std::string::npos)
        report.notes.push_back(fmt::format("{}: {} is no feature of {} yet: replayed as a later version has it",
                                           pool.name, field, engine.name));
    if (!engine.name.empty())
      report.notes.push_back(fmt::format("{}: engine {}, {}", pool.name, engine.name,
                                         engine.calibrated_on.empty() ? "not calibrated on a server of yours"
                                                                      : "calibrated on " + engine.calibrated_on));
  }
  for (std::string note : {unmeasured_note(report.scenario), unkept_limit_note(report.scenario)})
    if (!note.empty()) report.notes.push_back(std::move(note));
}

}  // namespace

namespace {

/// A replica whose GPUs go at a share of their speed, other parts being as they are.
ReplicaSpeed slowed(const PoolSpec& spec, std::size_t replica, double speed) {
  ReplicaSpeed out = replica < spec.slow.size() ? spec.slow[replica] : ReplicaSpeed{};
  out.gpu = std::min(out.gpu, speed);
  return out;
}

/// Which kind of slow replica each of a fault's is, among those that were priced.
void find_slow_kinds(const ServingScenario& serving, const std::vector<BuiltPool>& pools, FailureConfig& failures) {
  for (StatedFault& fault : failures.stated) {
    if (!fault.speed) continue;
    for (std::size_t replica : fault.replicas) {
      std::size_t pool = 0;
      for (; replica >= static_cast<std::size_t>(serving.pools[pool].replicas); ++pool)
        replica -= static_cast<std::size_t>(serving.pools[pool].replicas);
      const std::vector<ReplicaSpeed>& speeds = pools[pool].speeds;
      const auto kind = std::find(speeds.begin(), speeds.end(), slowed(serving.pools[pool], replica, *fault.speed));
      fault.slow.push_back(static_cast<int>(kind - speeds.begin()));
    }
  }
}

}  // namespace

std::string filling_note(const ServingReport& report) {
  constexpr double kWorthSaying = 0.03;
  const ServingScenario& serving = report.serving();
  const bool waits = std::any_of(serving.traffic.classes.begin(), serving.traffic.classes.end(), [](const auto& c) {
    return std::holds_alternative<ClosedLoop>(c.arrivals);  // who asks again when answered offers no rate
  });
  if (waits || serving.warm_up > Seconds(0) || report.state != LoadState::stable) return "";
  const SessionTotals& totals = report.totals;
  const bool to_window = totals.counted_to > totals.end || totals.counted_from < totals.begin;
  const Seconds until = to_window ? std::max(totals.backlog.until(), totals.steady_end.at) : totals.backlog.until();
  const double span = (until - totals.counted_from).value();
  if (span <= 0 || report.all.completed.requests < 2) return "";
  const double offered = static_cast<double>(report.all.output_tokens) / span;
  if (report.output_rate >= (1 - kWorthSaying) * offered) return "";
  return fmt::format(
      "the servers are empty when the first request comes, and no warm_up is stated: {} output tokens/s were written "
      "of {} that were asked for, so that tokens per second are {} too low for a service in full swing, and what a "
      "token costs {} too high; serving.warm_up, some times the {} that a request takes, leaves the filling out, where "
      "requests come for long enough",
      format_integer(report.output_rate), format_integer(offered), format_percent(1 - report.output_rate / offered),
      report.output_rate > 0 ? format_percent(offered / report.output_rate - 1) : "far",
      format_time(Seconds(report.all.end_to_end.mean())));
}

std::vector<BuiltPool> build_pools(const Scenario& scenario) {
  const ServingScenario& serving = *scenario.serving;
  PriceSources sources;
  sources.cluster = scenario.cluster;
  sources.links = scenario.links;
  sources.constants = serving.constants;
  std::map<KernelLibrary, std::shared_ptr<const KernelModel>> kernels_of;  // one for all pools that share them
  std::vector<BuiltPool> pools;
  int first_gpu = 0;
  std::size_t first_replica = 0;
  for (PoolSpec spec : serving.pools) {
    spec.replicas /= serving.replicas_per_replica();
    spec.autoscale.minimum = std::max(1, spec.autoscale.minimum / serving.replicas_per_replica());
    AutoscaleConfig& scaling = spec.autoscale;
    scaling.interval /= serving.haste();
    scaling.startup /= serving.haste();
    scaling.hold /= serving.haste();
    scaling.day /= serving.haste();
    for (ScaleStep& step : scaling.steps) {
      step.at /= serving.haste();
      step.replicas = std::max(1, step.replicas / serving.replicas_per_replica());
    }
    for (const StatedFault& fault : serving.failures.stated)
      for (const std::size_t replica : fault.replicas)
        if (fault.speed && replica >= first_replica &&
            replica < first_replica + static_cast<std::size_t>(spec.replicas))
          spec.slow_later.push_back(slowed(spec, replica - first_replica, *fault.speed));
    first_replica += static_cast<std::size_t>(spec.replicas);
    spec.expert_variation = expert_pace_of(serving, spec).variation;
    std::shared_ptr<const KernelModel>& kernels = kernels_of[spec.engine.kernels];
    if (!kernels) kernels = engine_kernels(spec.engine, scenario.cluster.node.gpu, scenario.kernels);
    sources.kernels = kernels;
    pools.push_back(build_pool(spec, sources, first_gpu, busiest_loads(serving, spec, scenario.cluster),
                               serving.expert_pace.drift_period / serving.haste()));
    pools.back().config.replica.jump = serving.jump;
    first_gpu += spec.replicas * spec.engine.plan.gpus();
  }
  return pools;
}

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

}  // namespace

ServingReport run_serving(const Scenario& scenario, const ServingOptions& options) {
  check_published(scenario);
  const ServingScenario& serving = *scenario.serving;
  ServingReport report{};
  report.scenario = scenario;
  report.spread = options.spread;
  std::vector<BuiltPool> pools = build_pools(scenario);
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
  report.energy = energy_of(report, options.power);
  report.cost = cost_of(report, pools[serving.prompt_pool_index()]);
  const EngineConfig& answers = serving.answer_pool().engine;
  report.exchange_bound =
      nic_bound(answers, scenario.cluster, report.answer_pool().mean_batch / std::max(1, answers.plan.attention_data));
  report.notes.insert(report.notes.begin(), scenario.notes.begin(), scenario.notes.end());
  notes_of(report);
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
