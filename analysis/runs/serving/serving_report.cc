#include "analysis/runs/serving/serving_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/runs/report_message.h"

namespace flopcast {
namespace {

// ------------------------------------------------------------------------------------------------- message

std::uint64_t count(std::int64_t value) { return static_cast<std::uint64_t>(value); }

/// Absent where nothing was measured.
template <class Message>
void latency(const QuantileSketch& sketch, Message& owner, report::Latency* (Message::*field)()) {
  if (sketch.count() == 0) return;
  report::Latency& out = *(owner.*field)();
  const DistributionSummary s = sketch.summary();
  out.set_mean(s.mean);
  out.set_p50(s.p50);
  out.set_p90(s.p90);
  out.set_p95(s.p95);
  out.set_p99(s.p99);
}

void latency(const GapHistogram& gaps, report::Serving& owner) {
  if (gaps.count() == 0) return;
  report::Latency& out = *owner.mutable_inter_token_s();
  out.set_mean(gaps.mean().value());
  out.set_p50(gaps.quantile(0.5).value());
  out.set_p90(gaps.quantile(0.9).value());
  out.set_p95(gaps.quantile(0.95).value());
  out.set_p99(gaps.quantile(0.99).value());
}

void series(const TimeSeries& from, google::protobuf::RepeatedField<double>& out) {
  for (const double value : from.averages()) out.Add(value);
}

void pool_message(const PoolReport& pool, report::ServingPool& out) {
  const PoolTotals& t = pool.totals;
  out.set_name(t.name);
  out.set_replicas(t.replicas);
  out.set_gpus_per_replica(t.gpus);
  out.set_mean_replicas_up(t.mean_replicas);
  out.set_busy(pool.busy);
  out.set_kv_utilization(t.mean_kv_share);
  out.set_kv_capacity_tokens(count(t.kv_capacity_tokens / std::max(1, t.replicas)));
  out.set_kv_bytes_per_token(pool.kv_per_token.value());
  out.set_weights_bytes_per_gpu(pool.memory.table.total().value());
  out.set_iterations(count(t.counters.iterations));
  out.set_mean_batch(pool.mean_batch);
  out.set_mean_iteration_s(pool.mean_iteration.value());
  out.set_prompt_tokens_computed(count(t.counters.prompt_tokens));
  out.set_recomputed_tokens(count(t.counters.recomputed_tokens));
  out.set_preemptions(count(t.counters.preemptions));
  out.set_swaps(count(t.counters.swaps));
  report::CacheHits& hits = *out.mutable_hits();
  hits.set_prompt_tokens(count(t.kv.prompt_tokens));
  hits.set_hbm_tokens(count(t.kv.hit_tokens[KvTier::hbm]));
  hits.set_host_tokens(count(t.kv.hit_tokens[KvTier::host]));
  hits.set_storage_tokens(count(t.kv.hit_tokens[KvTier::storage]));
  out.set_attention_share(pool.attention_share);
  out.set_busiest_expert_gpu(pool.busiest_expert_gpu);
  out.set_series_width_s(t.kv_share.width().value());
  series(t.kv_share, *out.mutable_kv_share());
  series(t.running, *out.mutable_running());
  series(t.waiting, *out.mutable_waiting());
  series(t.up, *out.mutable_replicas_up());
  series(t.busy, *out.mutable_busy_share());
}

void serving_message(const ServingReport& r, report::Serving& out) {
  const ClassMetrics& all = r.all;
  out.set_requests(count(all.arrived.requests));
  out.set_completed(count(all.completed.requests));
  out.set_rejected(count(all.rejected.requests));
  out.set_lost(count(all.lost.requests));
  out.set_input_tokens(count(all.completed.input_tokens));
  out.set_cached_tokens(count(all.cached_tokens));
  out.set_output_tokens(count(all.output_tokens));
  latency(all.ttft, out, &report::Serving::mutable_ttft_s);
  latency(all.tpot, out, &report::Serving::mutable_tpot_s);
  latency(r.totals.gaps, out);
  latency(all.end_to_end, out, &report::Serving::mutable_end_to_end_s);
  latency(all.queueing, out, &report::Serving::mutable_queueing_s);
  out.set_output_tokens_per_s_per_gpu(r.output_per_gpu);
  out.set_input_tokens_per_s_per_node(r.input_per_node);
  out.set_output_tokens_per_s_per_node(r.output_per_node);
  if (all.tpot.mean() > 0) out.set_output_tokens_per_s_per_user(1 / all.tpot.mean());
  if (all.left() > 0) out.set_slo_attainment(all.slo_attainment());
  const Seconds duration = r.totals.duration();
  if (duration > Seconds(0)) {
    out.set_goodput_requests_per_s(all.goodput(duration).value());
    out.set_requests_per_s(static_cast<double>(all.arrived.requests) / duration.value());
  }
  double fullest = 0;
  for (const PoolReport& pool : r.pools) fullest = std::max(fullest, pool.totals.mean_kv_share);
  out.set_kv_utilization(fullest);
  if (all.arrived.requests > 0) out.set_state(std::string(name(r.state)));
  out.set_duration_s(duration.value());
  out.set_energy_j(r.energy.value());
  if (all.output_tokens > 0)
    out.set_energy_j_per_output_token(r.energy.value() / static_cast<double>(all.output_tokens));
  for (const PoolReport& pool : r.pools) pool_message(pool, *out.add_pools());
  const auto classes = r.totals.metrics.classes();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    report::ServingStream& stream = *out.add_streams();
    stream.set_name(r.serving().class_names[i]);
    stream.set_requests(count(classes[i].arrived.requests));
    stream.set_completed(count(classes[i].completed.requests));
    stream.set_slo_attainment(classes[i].slo_attainment());
    if (duration > Seconds(0)) stream.set_goodput_requests_per_s(classes[i].goodput(duration).value());
    latency(classes[i].ttft, stream, &report::ServingStream::mutable_ttft_s);
    latency(classes[i].tpot, stream, &report::ServingStream::mutable_tpot_s);
  }
  if (r.totals.transfers > 0) {
    report::CacheTransfers& moves = *out.mutable_transfers();
    moves.set_transfers(count(r.totals.transfers));
    moves.set_contended(count(r.totals.contended_transfers));
    moves.set_bytes(r.totals.transferred.value());
    moves.set_mean_s(r.totals.transfer_time.value() / static_cast<double>(r.totals.transfers));
  }
  out.set_failures(count(r.totals.failures));
  out.set_retried(count(r.totals.retried));
  out.set_tpot_communication_bound_s(r.exchange_bound.value());
  out.set_sample(static_cast<std::uint64_t>(r.serving().sample));
  out.set_mean_nodes(r.mean_gpus * r.serving().replicas_per_replica() / r.scenario.cluster.node.gpus);
  out.set_saturation_requests_per_s(r.saturation);
  for (const CurveSample& sample : r.curve) {
    report::CurvePoint& point = *out.add_curve();
    point.set_requests_per_s(sample.requests_per_s);
    point.set_output_tokens_per_s_per_user(sample.tokens_per_s_per_user);
    point.set_output_tokens_per_s_per_gpu(sample.tokens_per_s_per_gpu);
    point.set_ttft_s(sample.ttft_p90);
    point.set_tpot_s(sample.tpot_p90);
    point.set_usd_per_million_output_tokens(sample.usd_per_million_output);
    point.set_state(std::string(name(sample.state)));
    point.set_gpus(sample.gpus);
    point.set_meets(sample.meets);
    point.set_deployment(sample.deployment);
  }
}

void cost_message(const ServingReport& r, report::ServingCost& out) {
  const ServingCostReport& cost = r.cost;
  const double day = 86400.0 * r.serving().replicas_per_replica();
  out.set_usd_per_million_input_tokens(cost.per_million_computed.value());
  out.set_usd_per_million_cached_tokens(cost.per_million_cached.value());
  out.set_usd_per_million_prompt_tokens(cost.per_million_prompt.value());
  out.set_usd_per_million_output_tokens(cost.per_million_output.value());
  out.set_usd_per_day(cost.rate.value() * day);
  out.set_revenue_usd_per_day(cost.revenue.value() * day);
  out.set_margin(cost.margin());
  out.set_gpu_usd_per_hour(r.scenario.price.gpu.value() * 3600);
}

}  // namespace

report::Report to_message(const ServingReport& r) {
  report::Report message;
  report::ScenarioFacts& facts = *message.mutable_scenario();
  facts.set_name(r.scenario.name);
  facts.set_title(r.scenario.title);
  facts.set_cluster(r.scenario.cluster.name);
  facts.set_node(r.scenario.cluster.node.name);
  facts.set_gpu(r.scenario.cluster.node.gpu.name);
  facts.set_fabric(r.scenario.cluster.fabric.name);
  facts.set_model(r.serving().model().name);
  facts.set_nodes(r.scenario.cluster.nodes);
  facts.set_gpus(r.serving().gpus());
  serving_message(r, *message.mutable_serving());
  if (r.all.arrived.requests > 0) cost_message(r, *message.mutable_cost());
  for (const Comparison& c : r.comparisons) {
    report::Comparison& item = *message.add_published();
    item.set_field(c.field);
    item.set_predicted(c.predicted);
    item.set_published(c.published);
    if (c.has_error()) item.set_error(c.error());
    item.set_source(c.source);
  }
  for (const std::string& note : r.notes) message.add_notes(note);
  for (const std::string& setting : r.scenario.defaults_used) message.add_defaults_used(setting);
  return message;
}

void compare_with_published(ServingReport& r) {
  const report::Report message = to_message(r);
  for (const auto& published : r.scenario.published) {
    const auto predicted = number_at(message, published.field);
    if (predicted)
      r.comparisons.push_back({published.field, *predicted, published.value, published.source});
    else
      r.notes.push_back(fmt::format("published {} is not in this report", published.field));
  }
}

void ServingTrace::add(const Request&, const RequestResult& result) {
  if (results_.size() < kMostRequests && result.outcome == RequestOutcome::completed) results_.push_back(result);
}

std::string ServingTrace::json(const ServingReport& report) const {
  std::string out = "{\"traceEvents\":[\n";
  const auto event = [&](const std::string& text) {
    out += (out.back() == '[' || out[out.size() - 2] == '[' ? "" : ",\n") + text;
  };
  int process = 1;
  for (const PoolReport& pool : report.pools) {
    event(fmt::format(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"{}"}}}})", process,
                      pool.totals.name));
    const auto counter = [&](const char* what, const TimeSeries& values) {
      const std::vector<double> v = values.averages();
      for (std::size_t i = 0; i < v.size(); ++i)
        event(fmt::format(R"({{"name":"{}","ph":"C","pid":{},"ts":{:.0f},"args":{{"value":{:.6g}}}}})", what, process,
                          static_cast<double>(i) * values.width().value() * 1e6, v[i]));
    };
    counter("running requests", pool.totals.running);
    counter("waiting requests", pool.totals.waiting);
    counter("KV in use", pool.totals.kv_share);
    counter("busy", pool.totals.busy);
    counter("replicas up", pool.totals.up);
    ++process;
  }
  event(fmt::format(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"requests"}}}})", process));
  for (const RequestResult& r : results_) {
    const auto span = [&](const char* what, Seconds from, Seconds to) {
      event(fmt::format(R"({{"name":"{}","cat":"request","ph":"b","id":{},"pid":{},"tid":{},"ts":{:.3f}}})", what, r.id,
                        process, r.id, from.value() * 1e6));
      event(fmt::format(R"({{"name":"{}","cat":"request","ph":"e","id":{},"pid":{},"tid":{},"ts":{:.3f}}})", what, r.id,
                        process, r.id, to.value() * 1e6));
    };
    if (r.scheduled > r.arrival) span("queueing", r.arrival, r.scheduled);
    span("prompt", r.scheduled, r.first_token);
    if (r.finish > r.first_token) span("answer", r.first_token, r.finish);
  }
  return out + "\n],\"displayTimeUnit\":\"ms\"}\n";
}

}  // namespace flopcast
