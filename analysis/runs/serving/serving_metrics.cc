// Metrics of a serving run: requests, latencies, rates, pools, streams, cost.
#include <algorithm>
#include <array>

#include "analysis/runs/parts/metric_rows.h"
#include "analysis/runs/serving/serving_report.h"

namespace flopcast {
namespace {

using ServingRef = const ServingReport&;
using PoolRef = const PoolReport&;
namespace as = metric_value;
namespace show = metric_text;

// Latencies.

constexpr std::array<MetricQuantile, 5> kLatencyQuantiles{{{"mean", ", mean", "mean"},
                                                           {"p50", ", p50", "half of them are faster"},
                                                           {"p90", ", p90", "90 % are faster"},
                                                           {"p95", ", p95", "95 % are faster"},
                                                           {"p99", ", p99", "99 % are faster"}}};
constexpr double kQuantileShares[] = {0, 0.5, 0.9, 0.95, 0.99};  // of the quantiles; the first is the mean

MetricValue latency_at(const QuantileSketch& sketch, std::size_t quantile) {
  if (sketch.count() == 0) return Absent{"no request has one", true};
  return as::number(quantile == 0 ? sketch.mean() : sketch.quantile(kQuantileShares[quantile]));
}

MetricValue latency_at(const GapHistogram& gaps, std::size_t quantile) {
  if (gaps.count() == 0) return Absent{"no answer has two tokens", true};
  return as::number(quantile == 0 ? gaps.mean() : gaps.quantile(kQuantileShares[quantile]));
}

constexpr QuantileRow<ServingReport, 5> kLatencyRows[] = {
    {"ttft_s", "s", "time to first token", "From a request's arrival to its first token, as users see it",
     [](ServingRef s, std::size_t q) { return latency_at(s.all.ttft, q); }, show::time},
    {"engine_ttft_s", "s", "time to first token, at the engine",
     "From a request's being queued at the engine, tokenised, to the end of its prompt",
     [](ServingRef s, std::size_t q) { return latency_at(s.all.engine_ttft, q); }, show::time},
    {"tpot_s", "s", "time per output token", "Time per token of an answer, the first left out",
     [](ServingRef s, std::size_t q) { return latency_at(s.all.tpot, q); }, show::time},
    {"inter_token_s", "s", "between tokens", "Time from one token of an answer to the next",
     [](ServingRef s, std::size_t q) { return latency_at(s.totals.gaps, q); }, show::time},
    {"end_to_end_s", "s", "end to end", "From a request's arrival to its last token",
     [](ServingRef s, std::size_t q) { return latency_at(s.all.end_to_end, q); }, show::time},
    {"queueing_s", "s", "queueing", "From a request's arrival to its first part in an iteration",
     [](ServingRef s, std::size_t q) { return latency_at(s.all.queueing, q); }, show::time},
};

// Requests.

constexpr MetricRow<ServingReport> kRequestRows[] = {
    {"requests", "count", "requests", "Requests that arrived",
     [](ServingRef s) { return as::count(s.all.arrived.requests); }, show::whole},
    {"completed", "count", "completed", "Requests that were answered to the end",
     [](ServingRef s) { return as::count(s.all.completed.requests); }, show::whole},
    {"rejected", "count", "rejected", "Requests never admitted: too long, or queues full",
     [](ServingRef s) { return as::count(s.all.rejected.requests); }, show::whole},
    {"lost", "count", "lost", "Requests admitted that then failed for good",
     [](ServingRef s) { return as::count(s.all.lost.requests); }, show::whole},
    {"expired", "count", "expired", "Requests dropped at their deadline",
     [](ServingRef s) { return as::count(s.all.expired.requests); }, show::whole},
    {"input_tokens", "tokens", "input tokens", "Tokens of the prompts of completed requests, cached ones included",
     [](ServingRef s) { return as::count(s.all.completed.input_tokens); }, show::whole},
    {"cached_tokens", "tokens", "cached tokens", "Of these, found in a cache of any tier",
     [](ServingRef s) { return as::count(s.all.cached_tokens); }, show::whole},
    {"output_tokens", "tokens", "output tokens", "Tokens of the answers of completed requests",
     [](ServingRef s) { return as::count(s.all.output_tokens); }, show::whole},
};

MetricValue per_duration(ServingRef s, double amount) {
  if (s.totals.duration() <= Seconds(0)) return Absent{"the run has no duration"};
  return as::number(amount / s.totals.duration().value());
}

MetricValue fullest_cache(ServingRef s) {
  double fullest = 0;
  for (const PoolReport& pool : s.pools) fullest = std::max(fullest, pool.totals.mean_kv_share);
  return as::number(fullest);
}

constexpr MetricRow<ServingReport> kRateRows[] = {
    {"output_tokens_per_s_per_gpu", "tokens/s", "output tokens/s, per GPU",
     "Tokens of answers per second, over all GPUs that are paid for",
     [](ServingRef s) { return as::number(s.output_per_gpu); }, show::plain},
    {"input_tokens_per_s_per_node", "tokens/s", "input tokens/s, per node",
     "Tokens of prompts per second, cached ones included, over the nodes that compute prompts",
     [](ServingRef s) { return as::number(s.input_per_node); }, show::whole},
    {"output_tokens_per_s_per_node", "tokens/s", "output tokens/s, per node",
     "Tokens of answers per second, over the nodes that give answers",
     [](ServingRef s) { return as::number(s.output_per_node); }, show::whole},
    {"output_tokens_per_s_per_user", "tokens/s", "output tokens/s, per user", "1 / mean time per output token",
     [](ServingRef s) -> MetricValue {
       if (s.all.tpot.mean() <= 0) return Absent{"no answer has two tokens"};
       return as::number(1 / s.all.tpot.mean());
     },
     show::plain},
    {"slo_attainment", "1", "within the promises",
     "Share of the requests that left which met all limits of their stream",
     [](ServingRef s) -> MetricValue {
       if (s.all.left() == 0) return Absent{"no request left"};
       return as::number(s.all.slo_attainment());
     },
     show::share},
    {"goodput_requests_per_s", "requests/s", "goodput", "Requests completed within the promises of their stream",
     [](ServingRef s) -> MetricValue {
       if (s.totals.duration() <= Seconds(0)) return Absent{"the run has no duration"};
       return as::number(s.all.goodput(s.totals.duration()));
     },
     show::plain},
    {"kv_utilization", "1", "KV cache in use", "Tokens held over tokens that fit, mean over time; of the fullest pool",
     fullest_cache, show::share},
    {"state", "text", "state", "stable, backlogged or overloaded",
     [](ServingRef s) -> MetricValue {
       if (s.all.arrived.requests == 0) return Absent{"no request arrived"};
       return as::word(std::string(name(s.state)));
     },
     nullptr},
    {"duration_s", "s", "duration",
     "From the first arrival to the last token; of a stated duration from 0 to its end, or to the last token",
     [](ServingRef s) { return as::number(s.totals.duration()); }, show::time},
    {"requests_per_s", "requests/s", "requests/s", "Requests that arrived, over the same time",
     [](ServingRef s) { return per_duration(s, static_cast<double>(s.all.arrived.requests)); }, show::plain},
    {"energy_j", "J", "energy", "Energy of all GPUs that are paid for, with their share of the node",
     [](ServingRef s) { return as::number(s.energy); }, show::energy},
    {"energy_j_per_output_token", "J", "energy per output token", "Energy over the tokens of all answers",
     [](ServingRef s) -> MetricValue {
       if (s.all.output_tokens == 0) return Absent{"no token was written"};
       return as::number(s.energy.value() / static_cast<double>(s.all.output_tokens));
     },
     show::plain},
    {"failures", "count", "failures", "Failures of replicas", [](ServingRef s) { return as::count(s.totals.failures); },
     show::whole},
    {"retried", "count", "retried", "Requests that started again after a failure",
     [](ServingRef s) { return as::count(s.totals.retried); }, show::whole},
    {"tpot_communication_bound_s", "s", "least time per output token",
     "No faster at this batch, for the bytes that experts exchange over the NICs; 0: nothing is exchanged",
     [](ServingRef s) { return as::number(s.exchange_bound); }, show::time},
    {"sample", "count", "sample", "One request in this many was replayed",
     [](ServingRef s) { return as::count(s.serving().sample); }, show::whole},
    {"mean_nodes", "count", "nodes", "Nodes that are paid for, mean over time: up, starting or broken, of all pools",
     [](ServingRef s) {
       return as::number(s.mean_gpus * s.serving().replicas_per_replica() / s.scenario.cluster.node.gpus);
     },
     show::plain},
    {"saturation_requests_per_s", "requests/s", "saturation",
     "The most requests per second that the deployment stands: at 1.05 times as many queues grow to the end",
     [](ServingRef s) -> MetricValue {
       if (s.saturation <= 0) return Absent{"not looked for (`flopcast size` does), or not found"};
       return as::number(s.saturation);
     },
     show::plain},
};

// Ranges.

/// An end of a mean time's range. @param which of ServingSpread @param end of LatencyRange
template <TimeSpread ServingSpread::*which, QuantileSketch ClassMetrics::*times, Seconds LatencyRange::*end>
MetricValue time_end(ServingRef s) {
  if ((s.all.*times).count() == 0) return Absent{"no request has one", true};
  if ((s.spread.*which).rows == 0) return Absent{"nothing was measured", true};
  return as::number((s.latency.*end).value());
}
template <Seconds LatencyRange::*end>
constexpr auto first_token_end = time_end<&ServingSpread::ttft, &ClassMetrics::ttft, end>;
template <Seconds LatencyRange::*end>
constexpr auto token_end = time_end<&ServingSpread::tpot, &ClassMetrics::tpot, end>;
/// Throughput of users who wait for their answers goes with the inverse of the time per token; at a given rate of
/// arrivals it is the rate's.
template <double TimeSpread::*end>
MetricValue rate_end(ServingRef s) {
  if (s.all.tpot.count() == 0) return Absent{"no request has one", true};
  if (s.spread.tpot.rows == 0) return Absent{"nothing was measured", true};
  return as::number(s.output_per_gpu / s.spread.tpot.*end);
}
template <double TimeSpread::*end>
MetricValue cost_end(ServingRef s) {
  if (s.all.tpot.count() == 0) return Absent{"no request has one", true};
  if (!s.cost.priced) return Absent{"GPUs have no price", true};
  if (s.spread.tpot.rows == 0) return Absent{"nothing was measured", true};
  return as::number(s.cost.per_million_output.value() * s.spread.tpot.*end);
}
constexpr auto kLow = &TimeSpread::low, kHigh = &TimeSpread::high;

constexpr MetricRow<ServingReport> kServingRangeRows[] = {
    {"ttft_s.low", "s", "time to first token, low",
     "Lower end of the mean's 90 % range: of the engine's time, and of the queue that its capacity makes",
     first_token_end<&LatencyRange::ttft_low>, show::time},
    {"ttft_s.high", "s", "time to first token, high", "Upper end of it", first_token_end<&LatencyRange::ttft_high>,
     show::time},
    {"tpot_s.low", "s", "time per output token, low", "Lower end of the mean's 90 % range",
     token_end<&LatencyRange::tpot_low>, show::time},
    {"tpot_s.high", "s", "time per output token, high", "Upper end of it", token_end<&LatencyRange::tpot_high>,
     show::time},
    {"output_tokens_per_s_per_gpu.low", "tokens/s", "output tokens/s, per GPU, low",
     "Lower end of the 90 % range of what the GPUs can give", rate_end<kHigh>, show::plain},
    {"output_tokens_per_s_per_gpu.high", "tokens/s", "output tokens/s, per GPU, high", "Upper end of it",
     rate_end<kLow>, show::plain},
    {"usd_per_million_output_tokens.low", "USD", "10^6 output tokens, low", "Lower end of the cost's 90 % range",
     cost_end<kLow>, show::small_usd},
    {"usd_per_million_output_tokens.high", "USD", "10^6 output tokens, high", "Upper end of it", cost_end<kHigh>,
     show::small_usd},
};

constexpr MetricRow<ServingReport> kTransferRows[] = {
    {"transfers", "count", "caches moved", "Caches moved between prefill and decode replicas",
     [](ServingRef s) { return as::count(s.totals.transfers); }, show::whole},
    {"contended", "count", "transfers that met another", "Of these, met another on a link",
     [](ServingRef s) { return as::count(s.totals.contended_transfers); }, show::whole},
    {"bytes", "bytes", "bytes moved", "Bytes of these caches",
     [](ServingRef s) { return as::number(s.totals.transferred); }, show::bytes},
    {"mean_s", "s", "time of a transfer", "Time of a transfer, mean",
     [](ServingRef s) { return as::number(s.totals.transfer_time.value() / static_cast<double>(s.totals.transfers)); },
     show::time},
};

// Pools.

MetricValue gpu_hours(PoolRef p, Seconds time) { return as::number(time.value() / 3600 * p.totals.gpus * p.sample); }

constexpr MetricRow<PoolReport> kPoolRows[] = {
    {"replicas", "count", "replicas", "Replicas of the pool", [](PoolRef p) { return as::count(p.totals.replicas); },
     show::whole},
    {"gpus_per_replica", "count", "GPUs each", "GPUs of a replica", [](PoolRef p) { return as::count(p.totals.gpus); },
     show::whole},
    {"mean_replicas_up", "count", "up", "Replicas that are up, mean over time",
     [](PoolRef p) { return as::number(p.totals.mean_replicas); }, show::plain},
    {"busy", "1", "busy", "Share of the time that replicas are up which they spend in iterations",
     [](PoolRef p) { return as::number(p.busy); }, show::share},
    {"gpu_power_w", "W", "board power",
     "Of a GPU, mean over the time that its replicas are up: idle power and what kernels add",
     [](PoolRef p) -> MetricValue {
       if (p.gpu_power <= Watts(0)) return Absent{"no power was measured on any chip"};
       return as::number(p.gpu_power);
     },
     show::plain},
    {"kv_utilization", "1", "KV in use", "Tokens held over tokens that fit, mean over time",
     [](PoolRef p) { return as::number(p.totals.mean_kv_share); }, show::share},
    {"kv_capacity_tokens", "tokens", "KV capacity", "Tokens that a replica's cache holds",
     [](PoolRef p) { return as::count(p.totals.kv_capacity_tokens / std::max(1, p.totals.replicas)); }, show::whole},
    {"kv_bytes_per_token", "bytes", "KV bytes per token", "Bytes that a token takes in the cache",
     [](PoolRef p) { return as::number(p.kv_per_token); }, show::whole},
    {"kv_logged_tokens", "tokens", "KV capacity as logged",
     "Tokens that a group's cache holds in requests of the model's longest context, as engines log it",
     [](PoolRef p) { return as::count(static_cast<std::int64_t>(p.logged.tokens)); }, show::whole},
    {"kv_logged_bytes_per_token", "bytes", "KV bytes per token as logged",
     "Bytes that a token of such a request takes, windows, states and prompts under way included",
     [](PoolRef p) { return as::number(p.logged.per_token); }, show::whole},
    {"weights_bytes_per_gpu", "bytes", "weights and workspace", "HBM of a GPU that is not KV cache",
     [](PoolRef p) { return as::number(p.memory.table.total()); }, show::bytes},
    {"iterations", "count", "iterations", "Iterations of all replicas",
     [](PoolRef p) { return as::count(p.totals.counters.iterations); }, show::whole},
    {"mean_batch", "count", "batch", "Requests per decoding iteration and replica, mean",
     [](PoolRef p) { return as::number(p.mean_batch); }, show::plain},
    {"mean_iteration_s", "s", "iteration", "Time of an iteration, mean",
     [](PoolRef p) { return as::number(p.mean_iteration); }, show::time},
    {"prompt_tokens_computed", "tokens", "prompt tokens computed", "Tokens of prompts that no cache held",
     [](PoolRef p) { return as::count(p.totals.counters.prompt_tokens); }, show::whole},
    {"recomputed_tokens", "tokens", "recomputed tokens", "Tokens computed again after a preemption",
     [](PoolRef p) { return as::count(p.totals.counters.recomputed_tokens); }, show::whole},
    {"preemptions", "count", "preemptions", "Requests that gave way, for lack of pages or to higher priority",
     [](PoolRef p) { return as::count(p.totals.counters.preemptions); }, show::whole},
    {"swaps", "count", "swaps", "Of these, by swapping to host memory",
     [](PoolRef p) { return as::count(p.totals.counters.swaps); }, show::whole},
    {"gave_way", "count", "gave way to priority", "Of these, for requests of higher priority",
     [](PoolRef p) { return as::count(p.totals.counters.made_way); }, show::whole},
    {"scaled_up", "count", "scaled up", "Replicas that autoscaling started",
     [](PoolRef p) { return as::count(p.totals.scaled_up); }, show::whole},
    {"scaled_down", "count", "scaled down", "Replicas that autoscaling gave back",
     [](PoolRef p) { return as::count(p.totals.scaled_down); }, show::whole},
    {"up_gpu_hours", "GPU-hours", "serving", "Of GPUs whose replicas took or answered requests",
     [](PoolRef p) { return gpu_hours(p, p.totals.up_time - p.totals.starting_time); }, show::plain},
    {"starting_gpu_hours", "GPU-hours", "starting", "Of GPUs whose replicas were starting: paid for",
     [](PoolRef p) { return gpu_hours(p, p.totals.starting_time); }, show::plain},
    {"broken_gpu_hours", "GPU-hours", "broken", "Of GPUs whose replicas had failed or restarted: paid for",
     [](PoolRef p) { return gpu_hours(p, p.totals.broken_time); }, show::plain},
    {"standby_gpu_hours", "GPU-hours", "standby", "Of GPUs whose replicas were not up, where they are kept: paid for",
     [](PoolRef p) { return gpu_hours(p, p.totals.standby_time); }, show::plain},
    {"hits.prompt_tokens", "tokens", "prompt tokens", "Tokens of prompts that were looked up in caches",
     [](PoolRef p) { return as::count(p.totals.kv.prompt_tokens); }, show::whole},
    {"hits.hbm_tokens", "tokens", "found in HBM", "Of these, found in HBM",
     [](PoolRef p) { return as::count(p.totals.kv.hit_tokens[KvTier::hbm]); }, show::whole},
    {"hits.host_tokens", "tokens", "found in host memory", "Of these, found in host memory",
     [](PoolRef p) { return as::count(p.totals.kv.hit_tokens[KvTier::host]); }, show::whole},
    {"hits.storage_tokens", "tokens", "found in storage", "Of these, found in storage",
     [](PoolRef p) { return as::count(p.totals.kv.hit_tokens[KvTier::storage]); }, show::whole},
    {"attention_share", "1", "attention", "Share of a mean decoding iteration that attention takes, bound by HBM",
     [](PoolRef p) { return as::number(p.attention_share); }, show::share},
    {"busiest_expert_gpu", "1", "busiest GPU's experts", "Rows of the GPU with the busiest experts over the mean",
     [](PoolRef p) { return as::number(p.busiest_expert_gpu); }, show::plain},
    {"series_width_s", "s", "width of the series", "Time that a value of the series over time is an average of",
     [](PoolRef p) { return as::number(p.totals.kv_share.width()); }, show::time},
};

// Streams.

/// A stream of requests with promises of its own.
struct ServedStream {
  const ClassMetrics& metrics;
  Seconds duration;
};

constexpr MetricRow<ServedStream> kStreamRows[] = {
    {"requests", "count", "requests", "Requests of the stream that arrived",
     [](const ServedStream& s) { return as::count(s.metrics.arrived.requests); }, show::whole},
    {"completed", "count", "completed", "Requests of the stream that were answered to the end",
     [](const ServedStream& s) { return as::count(s.metrics.completed.requests); }, show::whole},
    {"rejected", "count", "rejected", "Requests of the stream never admitted: too long, or queues full",
     [](const ServedStream& s) { return as::count(s.metrics.rejected.requests); }, show::whole},
    {"lost", "count", "lost", "Requests of the stream admitted that then failed for good",
     [](const ServedStream& s) { return as::count(s.metrics.lost.requests); }, show::whole},
    {"expired", "count", "expired", "Requests of the stream dropped at their deadline",
     [](const ServedStream& s) { return as::count(s.metrics.expired.requests); }, show::whole},
    {"slo_attainment", "1", "within the promises", "Share of the requests that left which met all limits",
     [](const ServedStream& s) { return as::number(s.metrics.slo_attainment()); }, show::share},
    {"goodput_requests_per_s", "requests/s", "goodput", "Requests completed within the promises, per second",
     [](const ServedStream& s) -> MetricValue {
       if (s.duration <= Seconds(0)) return Absent{"the run has no duration"};
       return as::number(s.metrics.goodput(s.duration));
     },
     show::plain},
};

constexpr QuantileRow<ServedStream, 5> kStreamLatencyRows[] = {
    {"ttft_s", "s", "time to first token", "From a request's arrival to its first token",
     [](const ServedStream& s, std::size_t q) { return latency_at(s.metrics.ttft, q); }, show::time},
    {"tpot_s", "s", "time per output token", "Time per token of an answer, the first left out",
     [](const ServedStream& s, std::size_t q) { return latency_at(s.metrics.tpot, q); }, show::time},
};

void add_pools_and_streams(MetricList& list, ServingRef report) {
  std::vector<std::string> pools;
  for (const PoolReport& pool : report.pools) pools.push_back(pool.totals.name);
  const std::vector<std::string> pool_keys = entry_keys(pools);
  for (std::size_t i = 0; i < pool_keys.size(); ++i)
    list.add<PoolReport>("serving.pools[" + pool_keys[i] + "].", kPoolRows, &report.pools[i]);
  const std::vector<std::string> stream_keys = entry_keys(report.serving().class_names);
  const auto classes = report.totals.metrics.classes();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const ServedStream stream{classes[i], report.totals.duration()};
    const std::string prefix = "serving.streams[" + stream_keys[i] + "].";
    list.add<ServedStream>(prefix, kStreamRows, &stream);
    list.add<ServedStream, 5>(prefix, kStreamLatencyRows, kLatencyQuantiles, &stream);
  }
}

void add_known_pools_and_streams(MetricList& list) {
  list.add<PoolReport>("serving.pools[NAME].", kPoolRows, nullptr);
  list.add<ServedStream>("serving.streams[NAME].", kStreamRows, nullptr);
  list.add<ServedStream, 5>("serving.streams[NAME].", kStreamLatencyRows, kLatencyQuantiles, nullptr);
}

// Cost.

/// Of a service whose GPUs have a price.
template <auto Figure>
MetricValue if_priced(ServingRef s) {
  if (!s.cost.priced) return Absent{"GPUs have no price"};
  return as::number(Figure(s));
}
/// Of prompts, where there were any: nothing over nothing is no price.
template <auto Figure>
MetricValue if_read(ServingRef s) {
  if (s.cost.priced && s.input_rate <= 0) return Absent{"no prompt was computed in the time that was measured"};
  return if_priced<Figure>(s);
}
/// Of one whose tokens have a price.
template <auto Figure>
MetricValue if_sold(ServingRef s) {
  if (s.cost.revenue <= UsdPerSecond(0)) return Absent{"tokens have no price"};
  return as::number(Figure(s));
}
/// Of one where both have.
template <auto Figure>
MetricValue if_sold_and_priced(ServingRef s) {
  return s.cost.priced ? if_sold<Figure>(s) : if_priced<Figure>(s);
}
double usd_per_day(ServingRef s, UsdPerSecond rate) {
  return rate.value() * 86400.0 * s.serving().replicas_per_replica();
}

constexpr MetricRow<ServingReport> kServingCostRows[] = {
    {"usd_per_million_input_tokens", "USD", "10^6 computed input tokens", "Cost of 10^6 input tokens that are computed",
     if_read<[](ServingRef s) { return s.cost.per_million_computed.value(); }>, show::small_usd},
    {"usd_per_million_prompt_tokens", "USD", "10^6 input tokens", "Cost of 10^6 input tokens, cached ones included",
     if_read<[](ServingRef s) { return s.cost.per_million_prompt.value(); }>, show::small_usd},
    {"usd_per_million_output_tokens", "USD", "10^6 output tokens", "Cost of 10^6 output tokens",
     [](ServingRef s) -> MetricValue {
       if (s.cost.priced && s.output_rate <= 0) return Absent{"no token was written in the time that was measured"};
       if (s.cost.priced && s.cost.per_million_output <= Usd())
         return Absent{"answers of one token are paid for with their prompts"};
       return if_priced<[](ServingRef r) { return r.cost.per_million_output.value(); }>(s);
     },
     show::small_usd},
    {"usd_per_day", "USD/day", "cost per day", "Cost of all GPUs that are paid for, per day",
     if_priced<[](ServingRef s) { return usd_per_day(s, s.cost.rate); }>, show::usd},
    {"revenue_usd_per_day", "USD/day", "revenue per day", "Tokens at the prices they are sold for, per day",
     if_sold<[](ServingRef s) { return usd_per_day(s, s.cost.revenue); }>, show::usd},
    {"margin", "1", "margin", "(revenue - cost) / cost: 5.45 is what is published as \"545 %\"",
     if_sold_and_priced<[](ServingRef s) { return s.cost.margin(); }>, show::share},
    {"gpu_usd_per_hour", "USD/h", "price of a GPU-hour", "What a GPU costs per hour",
     if_priced<[](ServingRef s) { return s.scenario.price.gpu.value() * 3600; }>, show::small_usd},
    {"usd_per_million_cached_tokens", "USD", "10^6 cached tokens",
     "Cost of 10^6 input tokens found in a cache, by the work that finding them leaves",
     if_read<[](ServingRef s) { return s.cost.per_million_cached.value(); }>, show::small_usd},
};

}  // namespace

std::vector<Metric> serving_metrics(const ServingReport* report) {
  MetricList list;
  add_scenario_metrics(list, report ? &report->scenario : nullptr);
  list.add<ServingReport>("serving.", kRequestRows, report);
  list.add<ServingReport, 5>("serving.", kLatencyRows, kLatencyQuantiles, report);
  list.add<ServingReport>("serving.", kRateRows, report);
  list.add<ServingReport>("serving.ranges.", kServingRangeRows,
                          report && report->spread.tpot.rows > 0 && report->all.tpot.count() > 0 ? report : nullptr,
                          "no answer has two tokens, or no server of the kind was measured");
  list.add<ServingReport>("serving.transfers.", kTransferRows,
                          report && report->totals.transfers > 0 ? report : nullptr,
                          "no cache was moved: prompts and answers share their GPUs");
  if (report)
    add_pools_and_streams(list, *report);
  else
    add_known_pools_and_streams(list);
  list.add<ServingReport>("cost.", kServingCostRows, report && report->all.arrived.requests > 0 ? report : nullptr,
                          "no request arrived");
  return list.take();
}

}  // namespace flopcast
