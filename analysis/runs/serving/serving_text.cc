#include <fmt/format.h>

#include <algorithm>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/text_parts.h"
#include "analysis/runs/serving/serving_report.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {
namespace {

std::string time_text(double value) { return format_time(Seconds(value)); }
std::string whole(std::int64_t count) { return format_integer(static_cast<double>(count)); }

std::string served_headline(const ServingReport& r, const TextStyle& style) {
  const ClassMetrics& all = r.all;
  if (all.arrived.requests == 0) return "No request arrived: nothing was measured.\n";
  std::string out = fmt::format("{} requests in {}: {} completed", whole(all.arrived.requests),
                                format_time(r.totals.duration()), whole(all.completed.requests));
  if (all.rejected.requests > 0) out += fmt::format(", {} rejected", whole(all.rejected.requests));
  if (all.lost.requests > 0) out += fmt::format(", {} lost", whole(all.lost.requests));
  if (all.expired.requests > 0) out += fmt::format(", {} dropped at their deadline", whole(all.expired.requests));
  if (r.totals.live > 0) out += fmt::format(", {} still inside when the session was cut", whole(r.totals.live));
  out += fmt::format(". The deployment is {}.", name(r.state));
  if (all.tpot.mean() > 0) out += fmt::format(" A user sees {:.1f} tokens per second.", 1 / all.tpot.mean());
  return wrap(out, style.width(), "") + "\n";
}

std::string latency_table(const ServingReport& r, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"latency", "mean", "p50", "p90", "p95", "p99"});
  const auto row = [&table](const std::string& what, const DistributionSummary& s) {
    if (s.count == 0) return table.row({what, "-", "-", "-", "-", "-"});
    table.row({what, time_text(s.mean), time_text(s.p50), time_text(s.p90), time_text(s.p95), time_text(s.p99)});
  };
  row("time to first token (TTFT)", r.all.ttft.summary());
  row("  of it queueing", r.all.queueing.summary());
  row("  at the engine", r.all.engine_ttft.summary());
  row("time per output token (TPOT)", r.all.tpot.summary());
  const GapHistogram& gaps = r.totals.gaps;
  if (gaps.count() > 0)
    table.row({"between tokens", format_time(gaps.mean()), format_time(gaps.quantile(0.5)),
               format_time(gaps.quantile(0.9)), format_time(gaps.quantile(0.95)), format_time(gaps.quantile(0.99))});
  row("end to end", r.all.end_to_end.summary());
  return table.render(style);
}

/// Users who have one request under way each ask as fast as they are answered.
bool users_wait(const ServingReport& r) {
  return std::ranges::all_of(r.serving().traffic.classes, [](const TrafficClass& traffic) {
    return std::holds_alternative<ClosedLoop>(traffic.arrivals);
  });
}

/// Where nine of ten measured servers would lie.
std::string range_fact(const ServingReport& r, const TextStyle& style) {
  const ServingSpread& spread = r.spread;
  if (spread.tpot.rows == 0 || r.all.tpot.mean() <= 0) return "";
  const auto range = [](Seconds low, Seconds high) {
    return fmt::format("{} to {}", time_text(low.value()), time_text(high.value()));
  };
  std::string text = fmt::format("nine of ten: mean TPOT {}", range(r.latency.tpot_low, r.latency.tpot_high));
  if (spread.ttft.rows > 0) text += fmt::format(", mean TTFT {}", range(r.latency.ttft_low, r.latency.ttft_high));
  if (users_wait(r))
    text += fmt::format(", output {:.1f} to {:.1f} tokens/s per GPU", r.output_per_gpu / spread.tpot.high,
                        r.output_per_gpu / spread.tpot.low);
  text += fmt::format(" (errors of {} published figures; {})", spread.tpot.rows, spread.kind);
  return fact(text, style);
}

/// Tokens per second: in all, and over the nodes and GPUs that handle them.
std::string throughput_table(const ServingReport& r, const TextStyle& style) {
  const double node = r.scenario.cluster.node.gpus;
  const double span = r.totals.duration().value();
  double prompts = 0, answers = 0;  // GPUs
  for (const PoolReport& pool : r.pools) {
    const double gpus = span > 0 ? pool.totals.paid_time().value() / span * pool.totals.gpus : 0;
    if (pool.totals.role != ReplicaRole::decode) prompts += gpus;
    if (gives_answers(pool.totals.role)) answers += gpus;
  }
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left});
  table.header({"throughput", "tokens/s", "per node", "per GPU", ""});
  const auto row = [&](const char* what, double per_node, double gpus, const std::string& note) {
    // Part of a node gives no node's tokens: what a whole one would give is said nowhere.
    table.row({what, format_count(per_node * gpus / node), gpus < node ? "" : format_count(per_node),
               fmt::format("{:.1f}", per_node / node), note});
  };
  const double cached =
      share(static_cast<double>(r.all.cached_tokens), static_cast<double>(r.all.completed.input_tokens));
  row("input", r.input_per_node, prompts, fmt::format("{} of them found in caches", format_percent(cached)));
  const bool apart = r.pools.size() > 1;
  row("output", r.output_per_node, answers,
      apart ? fmt::format("{:.1f} per GPU of either kind", r.output_per_gpu) : "");
  return table.render(style);
}

/// "all", or "1,540, 84 rejected, 3 dropped"
std::string answered(const ClassMetrics& c) {
  if (c.completed.requests == c.arrived.requests) return "all";
  std::string out = whole(c.completed.requests);
  if (c.rejected.requests > 0) out += fmt::format(", {} rejected", whole(c.rejected.requests));
  if (c.expired.requests > 0) out += fmt::format(", {} dropped", whole(c.expired.requests));
  if (c.lost.requests > 0) out += fmt::format(", {} lost", whole(c.lost.requests));
  return out;
}

/// Streams one by one, where there are several or something was promised.
std::string stream_table(const ServingReport& r, const TextStyle& style) {
  const auto classes = r.totals.metrics.classes();
  const auto levels = r.totals.metrics.levels();
  const bool promised =
      std::any_of(levels.begin(), levels.end(), [](const ServiceLevel& level) { return !limits_of(level).empty(); });
  if (classes.size() < 2 && !promised) return "";
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::left});
  table.header({"stream", "requests", "answered", "TTFT p90", "TPOT p90", "in time", "goodput", "promised"});
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const ClassMetrics& c = classes[i];
    const std::string limits = limits_of(levels[i]), kept = format_percent(c.slo_attainment());
    table.row({r.serving().class_names[i], whole(c.arrived.requests), answered(c),
               c.ttft.count() > 0 ? time_text(c.ttft.quantile(0.9)) : "-",
               c.tpot.count() > 0 ? time_text(c.tpot.quantile(0.9)) : "-",
               limits.empty()               ? "-"
               : c.slo_attainment() >= 0.99 ? style.good(kept)
                                            : style.bad(kept),
               fmt::format("{:.3g} /s", c.goodput(r.totals.duration()).value()), limits.empty() ? "nothing" : limits});
  }
  return table.render(style) + "\n";
}

std::string pool_table(const ServingReport& r, const TextStyle& style) {
  TextTable table(
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right});
  table.header({"replicas", "GPUs each", "up", "busy", "KV in use", "batch", "iteration", "attention"});
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    const bool decodes = t.counters.decode_requests > 0;
    table.row({fmt::format("{} x {}", t.replicas, t.name), fmt::format("{}", t.gpus),
               fmt::format("{:.2f}", t.mean_replicas), format_percent(pool.busy), format_percent(t.mean_kv_share),
               decodes ? fmt::format("{:.1f}", pool.mean_batch) : "-", format_time(pool.mean_iteration),
               decodes ? format_percent(pool.attention_share) : "-"});
  }
  return table.render(style);
}

std::string memory_facts(const ServingReport& r, const TextStyle& style) {
  std::string out;
  for (const PoolReport& pool : r.pools) {
    const Bytes weights = pool.memory.table.total();
    out += fact(fmt::format("{}: of {} HBM, {} hold weights and workspace, {} a cache of {} tokens per "
                            "attention group ({} bytes each)",
                            pool.totals.name, format_bytes(r.scenario.cluster.node.gpu.hbm_usable()),
                            format_bytes(weights), format_bytes(pool.memory.usable - weights - pool.memory.state_pool),
                            whole(pool.memory.kv_tokens), format_integer(pool.kv_per_token.value())),
                style);
    if (pool.memory.state_pool > Bytes(0)) {
      out += fact(fmt::format("{}: {} beside it for states of layers, {} each with the places kept for prefixes and "
                              "drafts: no more than {} requests run at once in an attention group",
                              pool.totals.name, format_bytes(pool.memory.state_pool),
                              format_bytes(pool.memory.state_pool / pool.memory.state_requests),
                              format_integer(pool.memory.state_requests)),
                  style);
    } else if (pool.memory.kv_per_state > Bytes(0)) {
      out += fact(fmt::format("{}: each request takes {} of it besides, for states of layers", pool.totals.name,
                              format_bytes(pool.memory.kv_per_state)),
                  style);
    }
    if (pool.memory.window > 0) {
      const LoggedCache& logged = pool.logged;
      out += fact(fmt::format("{}: layers that look back at {} tokens take {} of it besides for a request as long as "
                              "that, and a shorter one's share; counted as engines log it, in requests of {} tokens "
                              "while their prompts are computed, the cache holds {} tokens of {} bytes",
                              pool.totals.name, whole(pool.memory.window), format_bytes(pool.memory.kv_per_window),
                              format_integer(logged.length), format_integer(logged.tokens),
                              format_integer(logged.per_token.value())),
                  style);
    }
  }
  return out;
}

std::string cache_fact(const PoolTotals& t, const TextStyle& style) {
  const auto part = [&](KvTier tier) {
    return format_percent(share(static_cast<double>(t.kv.hit_tokens[tier]), static_cast<double>(t.kv.prompt_tokens)));
  };
  return fact(fmt::format("{}: of prompts' tokens, {} were found in HBM, {} in host memory, {} in storage", t.name,
                          part(KvTier::hbm), part(KvTier::host), part(KvTier::storage)),
              style);
}

std::string pool_facts(const PoolReport& pool, const TextStyle& style) {
  const PoolTotals& t = pool.totals;
  std::string out;
  if (t.kv.hit_tokens.total() > 0) out += cache_fact(t, style);
  if (t.counters.preemptions > 0) {
    // Those of the second kind are among the first.
    const std::int64_t made_way = t.counters.made_way, short_of_pages = t.counters.preemptions - made_way;
    std::string why = short_of_pages > 0 ? fmt::format("{} for lack of pages", whole(short_of_pages)) : "";
    if (made_way > 0) why += fmt::format("{}{} to others of higher priority", why.empty() ? "" : ", ", whole(made_way));
    out += fact(fmt::format("{}: requests gave way, {}; {} by swapping; {} tokens were computed again", t.name, why,
                            whole(t.counters.swaps), whole(t.counters.recomputed_tokens)),
                style);
  }
  const Seconds beside = t.starting_time + t.idle_time();
  if (t.scaled_up + t.scaled_down > 0 || beside > Seconds(0)) {
    const auto hours = [&](Seconds time) { return fmt::format("{:.4g}", time.value() / 3600 * t.gpus * pool.sample); };
    out += fact(
        fmt::format("{}: scaled up {} times and down {} times; paid for: {} GPU-hours serving, {} starting, {} broken, "
                    "{} on standby",
                    t.name, t.scaled_up, t.scaled_down, hours(t.up_time - t.starting_time), hours(t.starting_time),
                    hours(t.broken_time), hours(t.standby_time)),
        style);
  }
  if (pool.busiest_expert_gpu > 1)
    out += fact(fmt::format("{}: the busiest GPU's experts get {:.2f} times the mean number of tokens and set the pace",
                            t.name, pool.busiest_expert_gpu),
                style);
  return out;
}

std::string deployment_facts(const ServingReport& r, const TextStyle& style) {
  std::string out = memory_facts(r, style);
  for (const PoolReport& pool : r.pools) out += pool_facts(pool, style);
  const SessionTotals& t = r.totals;
  if (t.transfers > 0)
    out += fact(
        fmt::format("{} caches moved over the fabric, {} each on average; {} met another on a link", whole(t.transfers),
                    format_time(t.transfer_time / static_cast<double>(t.transfers)), whole(t.contended_transfers)),
        style);
  if (r.exchange_bound > Seconds(0))
    out += fact(fmt::format("no TPOT below {} at this batch: what experts exchange takes the NICs that long",
                            format_time(r.exchange_bound)),
                style);
  return out;
}

/// Levels from nothing to the most: a queue that grows shows at a glance.
std::string spark(const std::vector<double>& values, double most, std::size_t columns) {
  static constexpr const char* kLevels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
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

std::string curves(const ServingReport& r, const TextStyle& style) {
  // Of what the line is of and how far it goes the rest is for.
  const std::size_t columns = std::clamp<std::size_t>(style.width() - 44, 12, 56);
  std::string out;
  const double end = r.totals.end.value();
  const auto line = [&](const std::string& what, const TimeSeries& series, const auto& text) {
    std::vector<double> values = series.averages();
    if (values.empty()) return;
    // All lines go on to the end of the run, however early theirs was.
    values.resize(std::max(values.size(), static_cast<std::size_t>(end / series.width().value())));
    const double most = *std::max_element(values.begin(), values.end());
    out += fmt::format("  {}|{}| to {}\n", pad_right(what, 22), pad_right(spark(values, most, columns), columns),
                       text(most));
  };
  const auto plain = [](double v) { return v > 0 && v < 10 ? fmt::format("{:.1f}", v) : fmt::format("{:.0f}", v); };
  const auto percent = [](double v) { return format_percent(v); };
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    line(t.name + " running", t.running, plain);
    line(t.name + " waiting", t.waiting, plain);
    line(t.name + " computing", t.busy, percent);
    line(t.name + " KV in use", t.kv_share, percent);
    if (r.serving().autoscaled()) line(t.name + " up", t.up, plain);
  }
  return out;
}

std::string cost_lines(const ServingReport& r, const TextStyle& style) {
  const ServingCostReport& c = r.cost;
  if (!c.priced) return "";
  const double day = 86400.0 * r.serving().replicas_per_replica();
  std::string out =
      style.bold("Cost") + fmt::format("  at ${:.2f} per GPU-hour\n", r.scenario.price.gpu.value() * 3600);
  const std::string cached =
      c.per_million_cached > Usd(0) ? fmt::format(", ${:.3f} cached", c.per_million_cached.value()) : "";
  // What nobody asked for in the time that was measured has no price.
  const std::string input = r.input_rate > 0
                                ? fmt::format("${:.3f} input computed{}, ${:.3f} input on the whole",
                                              c.per_million_computed.value(), cached, c.per_million_prompt.value())
                                : "no input was measured";
  out += fact(fmt::format("per million tokens: {}, {}", input,
                          r.output_rate > 0 ? fmt::format("${:.3f} output", c.per_million_output.value())
                                            : "no output was measured"),
              style);
  std::string whole_service = fmt::format("{} per day for {:.0f} GPUs", format_usd(Usd(c.rate.value() * day)),
                                          r.mean_gpus * r.serving().replicas_per_replica());
  if (c.revenue > UsdPerSecond(0))
    whole_service += fmt::format("; revenue {} per day, margin {:.0f} % of cost",
                                 format_usd(Usd(c.revenue.value() * day)), 100 * c.margin());
  return out + fact(whole_service, style) + "\n";
}

std::string title_lines(const ServingReport& r, const TextStyle& style) {
  const ModelConfig& model = r.serving().model();
  const ClusterSpec& cluster = r.scenario.cluster;
  const std::string on = fmt::format("{} on {} x {}, {}", model.title.empty() ? model.name : model.title,
                                     r.serving().gpus(), cluster.node.gpu.title, cluster.fabric.title);
  return style.bold(wrap(r.scenario.title, style.width(), "")) + "\n" + wrap(on, style.width(), "") + "\n\n";
}

}  // namespace

std::string to_text(const ServingReport& r, const TextStyle& style) {
  std::string out = title_lines(r, style) + served_headline(r, style) + "\n";
  if (r.all.arrived.requests > 0) {
    const std::string published = published_text(r.comparisons, serving_metrics(&r), style);
    if (!published.empty()) out += published + "\n";
    out += latency_table(r, style) + range_fact(r, style) + "\n";
    out += throughput_table(r, style) + "\n" + stream_table(r, style) + pool_table(r, style) + "\n";
    out += deployment_facts(r, style) + "\n" + style.bold("Over time") + "\n" + curves(r, style) + "\n" +
           cost_lines(r, style);
    out += fmt::format("Energy {}, {:.2f} J per output token.\n", format_energy(r.energy),
                       share(r.energy.value(), static_cast<double>(r.all.output_tokens)));
  }
  if (!r.notes.empty()) out += "\n" + style.bold("Notes") + "\n" + bullets(r.notes, style);
  if (!r.scenario.defaults_used.empty())
    out += "\n" + style.bold("Defaults used") + "\n" + default_facts(r.scenario.defaults_used, style);
  return out;
}

}  // namespace flopcast
