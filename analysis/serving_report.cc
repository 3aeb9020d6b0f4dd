#include "analysis/serving_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "analysis/format.h"
#include "analysis/report_message.h"

namespace flopcast {
namespace {

constexpr std::size_t kWidth = 100;

// ------------------------------------------------------------------------------------------------- message

std::uint64_t count(std::int64_t value) { return static_cast<std::uint64_t>(value); }

void latency(const QuantileSketch& sketch, report::Latency& out) {
  const DistributionSummary s = sketch.summary();
  out.set_mean(s.mean);
  out.set_p50(s.p50);
  out.set_p90(s.p90);
  out.set_p95(s.p95);
  out.set_p99(s.p99);
}

void latency(const GapHistogram& gaps, report::Latency& out) {
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
  latency(all.ttft, *out.mutable_ttft_s());
  latency(all.tpot, *out.mutable_tpot_s());
  latency(r.totals.gaps, *out.mutable_inter_token_s());
  latency(all.end_to_end, *out.mutable_end_to_end_s());
  latency(all.queueing, *out.mutable_queueing_s());
  out.set_output_tokens_per_s_per_gpu(r.output_per_gpu);
  out.set_input_tokens_per_s_per_node(r.input_per_node);
  out.set_output_tokens_per_s_per_node(r.output_per_node);
  if (all.tpot.mean() > 0) out.set_output_tokens_per_s_per_user(1 / all.tpot.mean());
  out.set_slo_attainment(all.slo_attainment());
  const Seconds duration = r.totals.duration();
  if (duration > Seconds(0)) {
    out.set_goodput_requests_per_s(all.goodput(duration).value());
    out.set_requests_per_s(static_cast<double>(all.arrived.requests) / duration.value());
  }
  double fullest = 0;
  for (const PoolReport& pool : r.pools) fullest = std::max(fullest, pool.totals.mean_kv_share);
  out.set_kv_utilization(fullest);
  out.set_state(std::string(name(r.state)));
  out.set_duration_s(duration.value());
  out.set_energy_j(r.energy.value());
  if (all.output_tokens > 0) out.set_energy_j_per_output_token(r.energy.value() / static_cast<double>(all.output_tokens));
  for (const PoolReport& pool : r.pools) pool_message(pool, *out.add_pools());
  const auto classes = r.totals.metrics.classes();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    report::ServingStream& stream = *out.add_streams();
    stream.set_name(r.serving().class_names[i]);
    stream.set_requests(count(classes[i].arrived.requests));
    stream.set_completed(count(classes[i].completed.requests));
    stream.set_slo_attainment(classes[i].slo_attainment());
    if (duration > Seconds(0)) stream.set_goodput_requests_per_s(classes[i].goodput(duration).value());
    latency(classes[i].ttft, *stream.mutable_ttft_s());
    latency(classes[i].tpot, *stream.mutable_tpot_s());
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
  const double day = 86400.0 * r.serving().sample;
  out.set_usd_per_million_input_tokens(cost.per_million_computed.value());
  out.set_usd_per_million_cached_tokens(cost.per_million_cached.value());
  out.set_usd_per_million_prompt_tokens(cost.per_million_prompt.value());
  out.set_usd_per_million_output_tokens(cost.per_million_output.value());
  out.set_usd_per_day(cost.rate.value() * day);
  out.set_revenue_usd_per_day(cost.revenue.value() * day);
  out.set_margin(cost.margin());
  out.set_gpu_usd_per_hour(r.scenario.price.gpu.value() * 3600);
}

// ------------------------------------------------------------------------------------------------- text

std::string ms(double seconds) { return format_time(Seconds(seconds)); }

void latency_row(TextTable& table, const std::string& what, const DistributionSummary& s) {
  table.row({what, ms(s.mean), ms(s.p50), ms(s.p90), ms(s.p95), ms(s.p99)});
}

std::string latency_table(const ServingReport& r, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"latency", "mean", "p50", "p90", "p95", "p99"});
  latency_row(table, "time to first token (TTFT)", r.all.ttft.summary());
  latency_row(table, "  of it queueing", r.all.queueing.summary());
  latency_row(table, "time per output token (TPOT)", r.all.tpot.summary());
  const GapHistogram& g = r.totals.gaps;
  table.row({"between tokens", ms(g.mean().value()), ms(g.quantile(0.5).value()), ms(g.quantile(0.9).value()), ms(g.quantile(0.95).value()),
             ms(g.quantile(0.99).value())});
  latency_row(table, "end to end", r.all.end_to_end.summary());
  return table.render(style, kWidth);
}

std::string pool_table(const ServingReport& r, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"replicas", "GPUs each", "up", "busy", "KV in use", "batch", "iteration", "attention"});
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    table.row({fmt::format("{} x {}", t.replicas, t.name), fmt::format("{}", t.gpus), fmt::format("{:.2f}", t.mean_replicas), format_percent(pool.busy),
               format_percent(t.mean_kv_share), t.counters.decode_requests > 0 ? fmt::format("{:.1f}", pool.mean_batch) : "-",
               ms(pool.mean_iteration.value()), t.counters.decode_requests > 0 ? format_percent(pool.attention_share) : "-"});
  }
  return table.render(style, kWidth);
}

std::string memory_lines(const ServingReport& r) {
  std::string out;
  for (const PoolReport& pool : r.pools) {
    const Bytes capacity = r.scenario.cluster.node.gpu.hbm_capacity;
    out += fmt::format("  {}: {} of {} HBM for weights and workspace, {} for {} tokens of KV cache per attention group ({} bytes each)\n", pool.totals.name,
                       format_bytes(pool.memory.table.total()), format_bytes(capacity), format_bytes(pool.memory.usable - pool.memory.table.total()),
                       format_integer(static_cast<double>(pool.memory.kv_tokens)), format_integer(pool.kv_per_token.value()));
  }
  return out;
}

std::string cache_lines(const ServingReport& r) {
  std::string out;
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    if (t.kv.hit_tokens.total() > 0) {
      const auto part = [&](KvTier tier) { return format_percent(static_cast<double>(t.kv.hit_tokens[tier]) / static_cast<double>(t.kv.prompt_tokens)); };
      out += fmt::format("  prompts found in {}'s cache: {} in HBM, {} in host memory, {} in storage\n", t.name, part(KvTier::hbm), part(KvTier::host),
                         part(KvTier::storage));
    }
    if (t.counters.preemptions > 0)
      out += fmt::format("  {}: {} requests gave way for lack of pages, {} of them by swapping; {} tokens computed again\n", t.name,
                         format_integer(static_cast<double>(t.counters.preemptions)), format_integer(static_cast<double>(t.counters.swaps)),
                         format_integer(static_cast<double>(t.counters.recomputed_tokens)));
    if (pool.busiest_expert_gpu > 1)
      out += fmt::format("  {}: the busiest GPU's experts get {:.2f} times the mean number of tokens and set the pace\n", t.name, pool.busiest_expert_gpu);
  }
  if (r.totals.transfers > 0)
    out += fmt::format("  {} caches moved over the fabric, {} each on average; {} met another on a link\n", format_integer(static_cast<double>(r.totals.transfers)),
                       format_time(r.totals.transfer_time / static_cast<double>(r.totals.transfers)), format_integer(static_cast<double>(r.totals.contended_transfers)));
  if (r.exchange_bound > Seconds(0))
    out += fmt::format("  no TPOT below {} at this batch: what experts exchange takes the NICs that long\n", format_time(r.exchange_bound));
  return out;
}

std::string cost_lines(const ServingReport& r, const TextStyle& style) {
  if (!r.cost.priced) return "";
  const ServingCostReport& c = r.cost;
  const double day = 86400.0 * r.serving().sample;
  std::string out = style.bold("Cost") + fmt::format("  at ${:.2f} per GPU-hour\n", r.scenario.price.gpu.value() * 3600);
  out += fmt::format("  ${:.3f} per million input tokens (computed), ${:.3f} cached ones included, ${:.3f} per million output tokens\n",
                     c.per_million_computed.value(), c.per_million_prompt.value(), c.per_million_output.value());
  out += fmt::format("  {} per day for {:.0f} GPUs", format_usd(Usd(c.rate.value() * day)), r.mean_gpus * r.serving().sample);
  if (c.revenue > UsdPerSecond(0))
    out += fmt::format("; revenue {} per day, margin {:.0f} % of cost", format_usd(Usd(c.revenue.value() * day)), 100 * c.margin());
  return out + "\n\n";
}

std::string published_table(const ServingReport& r, const TextStyle& style) {
  if (r.comparisons.empty()) return "";
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left});
  table.header({"", "predicted", "published", "error", "source"});
  for (const Comparison& c : r.comparisons)
    table.row({c.field, fmt::format("{:.6g}", c.predicted), fmt::format("{:.6g}", c.published), c.has_error() ? format_error(c.error()) : "", c.source});
  return style.bold("Predicted beside published") + "\n" + table.render(style, kWidth) + "\n";
}

std::string headline(const ServingReport& r) {
  const ClassMetrics& all = r.all;
  std::string out = fmt::format("{} requests in {}: {} completed", format_integer(static_cast<double>(all.arrived.requests)), format_time(r.totals.duration()),
                                format_integer(static_cast<double>(all.completed.requests)));
  if (all.rejected.requests > 0) out += fmt::format(", {} rejected", format_integer(static_cast<double>(all.rejected.requests)));
  if (all.lost.requests > 0) out += fmt::format(", {} lost", format_integer(static_cast<double>(all.lost.requests)));
  out += fmt::format(". The deployment is {}. ", name(r.state));
  out += fmt::format("It takes in {} tokens per second and node ({} of them found in caches) and gives {} per second and node, {:.0f} per GPU",
                     format_count(r.input_per_node), format_percent(all.completed.input_tokens > 0 ? static_cast<double>(all.cached_tokens) / static_cast<double>(all.completed.input_tokens) : 0),
                     format_count(r.output_per_node), r.output_per_gpu);
  if (all.tpot.mean() > 0) out += fmt::format("; a user sees {:.1f} tokens per second", 1 / all.tpot.mean());
  return wrap(out + ".", kWidth, "") + "\n";
}

std::string promises(const ServingReport& r, const TextStyle& style) {
  const auto classes = r.totals.metrics.classes();
  const auto levels = r.totals.metrics.levels();
  std::string out;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const ServiceLevel& level = levels[i];
    std::vector<std::string> limits;
    if (level.ttft < kNever) limits.push_back("TTFT " + format_time(level.ttft));
    if (level.tpot < kNever) limits.push_back("TPOT " + format_time(level.tpot));
    if (level.end_to_end < kNever) limits.push_back("end to end " + format_time(level.end_to_end));
    if (limits.empty()) continue;
    const double kept = classes[i].slo_attainment();
    const std::string text = fmt::format("{} within {}", format_percent(kept), fmt::join(limits, ", "));
    out += fmt::format("  {}: {}\n", r.serving().class_names[i], kept >= 0.99 ? style.good(text) : style.bad(text));
  }
  return out;
}

/// "waiting" over time in eight levels: a queue that grows shows at a glance.
std::string spark(const std::vector<double>& values, std::size_t columns) {
  static constexpr const char* kLevels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty()) return "";
  std::string out;
  const double most = *std::max_element(values.begin(), values.end());
  columns = std::min(columns, values.size());
  for (std::size_t c = 0; c < columns; ++c) {
    const std::size_t from = c * values.size() / columns, to = std::max(from + 1, (c + 1) * values.size() / columns);
    double sum = 0;
    for (std::size_t i = from; i < to; ++i) sum += values[i];
    const double level = most > 0 ? sum / static_cast<double>(to - from) / most : 0;
    out += kLevels[static_cast<std::size_t>(level * 8 + 0.5)];
  }
  return out;
}

std::string curves(const ServingReport& r) {
  std::string out;
  constexpr std::size_t kColumns = 56;
  for (const PoolReport& pool : r.pools) {
    const auto line = [&](const char* what, const TimeSeries& values, const auto& text) {
      const std::vector<double> v = values.averages();
      if (v.empty()) return;
      out += fmt::format("  {}|{}| to {}\n", pad_right(fmt::format("{} {}", pool.totals.name, what), 22), pad_right(spark(v, kColumns), kColumns),
                         text(*std::max_element(v.begin(), v.end())));
    };
    const auto plain = [](double v) { return fmt::format("{:.0f}", v); };
    line("running", pool.totals.running, plain);
    line("waiting", pool.totals.waiting, plain);
    line("KV in use", pool.totals.kv_share, [](double v) { return format_percent(v); });
    if (r.serving().autoscale.on) line("up", pool.totals.up, plain);
  }
  return out;
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
  cost_message(r, *message.mutable_cost());
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

std::string to_text(const ServingReport& r, const TextStyle& style) {
  std::string out = style.bold(r.scenario.title.empty() ? r.scenario.name : r.scenario.title) + "\n";
  out += fmt::format("{} on {} x {}, {}\n\n", r.serving().model().title.empty() ? r.serving().model().name : r.serving().model().title, r.serving().gpus(),
                     r.scenario.cluster.node.gpu.title, r.scenario.cluster.fabric.title);
  out += headline(r) + "\n" + published_table(r, style) + latency_table(r, style) + "\n";
  const std::string kept = promises(r, style);
  if (!kept.empty()) out += style.bold("Promises kept") + "\n" + kept + "\n";
  out += pool_table(r, style) + "\n" + memory_lines(r) + cache_lines(r) + "\n" + style.bold("Over time") + "\n" + curves(r) + "\n";
  out += cost_lines(r, style);
  out += fmt::format("Energy {}, {:.2f} J per output token.\n", format_energy(r.energy),
                     r.all.output_tokens > 0 ? r.energy.value() / static_cast<double>(r.all.output_tokens) : 0.0);
  if (!r.notes.empty()) out += "\n" + style.bold("Notes") + "\n";
  for (const std::string& note : r.notes) out += "  - " + wrap(note, kWidth - 4, "    ") + "\n";
  if (!r.scenario.defaults_used.empty()) out += "\n" + style.bold("Defaults used") + "\n";
  for (const std::string& setting : r.scenario.defaults_used) out += "  " + shorten(setting, kWidth - 2) + "\n";
  return out;
}

void ServingTrace::add(const Request&, const RequestResult& result) {
  if (results_.size() < kMostRequests && result.outcome == RequestOutcome::completed) results_.push_back(result);
}

std::string ServingTrace::json(const ServingReport& report) const {
  std::string out = "{\"traceEvents\":[\n";
  const auto event = [&](const std::string& text) { out += (out.back() == '[' || out[out.size() - 2] == '[' ? "" : ",\n") + text; };
  int process = 1;
  for (const PoolReport& pool : report.pools) {
    event(fmt::format(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"{}"}}}})", process, pool.totals.name));
    const auto counter = [&](const char* what, const TimeSeries& values) {
      const std::vector<double> v = values.averages();
      for (std::size_t i = 0; i < v.size(); ++i)
        event(fmt::format(R"({{"name":"{}","ph":"C","pid":{},"ts":{:.0f},"args":{{"value":{:.6g}}}}})", what, process,
                          static_cast<double>(i) * values.width().value() * 1e6, v[i]));
    };
    counter("running requests", pool.totals.running);
    counter("waiting requests", pool.totals.waiting);
    counter("KV in use", pool.totals.kv_share);
    counter("replicas up", pool.totals.up);
    ++process;
  }
  event(fmt::format(R"({{"name":"process_name","ph":"M","pid":{},"args":{{"name":"requests"}}}})", process));
  for (const RequestResult& r : results_) {
    const auto span = [&](const char* what, Seconds from, Seconds to) {
      event(fmt::format(R"({{"name":"{}","cat":"request","ph":"b","id":{},"pid":{},"tid":{},"ts":{:.3f}}})", what, r.id, process, r.id, from.value() * 1e6));
      event(fmt::format(R"({{"name":"{}","cat":"request","ph":"e","id":{},"pid":{},"tid":{},"ts":{:.3f}}})", what, r.id, process, r.id, to.value() * 1e6));
    };
    if (r.scheduled > r.arrival) span("queueing", r.arrival, r.scheduled);
    span("prompt", r.scheduled, r.first_token);
    if (r.finish > r.first_token) span("answer", r.first_token, r.finish);
  }
  return out + "\n],\"displayTimeUnit\":\"ms\"}\n";
}

}  // namespace flopcast
