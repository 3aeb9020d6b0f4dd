#include "analysis/runs/serving/serving_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/parts/page_parts.h"
#include "analysis/runs/serving/served_figures.h"
#include "analysis/runs/serving/serving_report.h"

namespace flopcast {
namespace {

std::string seconds(double value) { return format_time(Seconds(value)); }
std::string milliseconds(double value) {
  return (std::abs(value) >= 1e3 ? format_integer(value) : fmt::format("{:.4g}", value)) + " ms";
}
std::string plain(double value) {
  return std::abs(value) >= 1e3 ? format_integer(value) : fmt::format("{:.4g}", value);
}
std::string percent(double value) { return format_percent(value, 0); }

void latencies(const ServingReport& r, Page& page) {
  std::vector<std::vector<std::string>> rows;
  const auto row = [&rows](const std::string& what, const DistributionSummary& s) {
    if (s.count == 0) return rows.push_back({what, "-", "-", "-", "-", "-"});
    rows.push_back({what, seconds(s.mean), seconds(s.p50), seconds(s.p90), seconds(s.p95), seconds(s.p99)});
  };
  row("Time to first token (TTFT)", r.all.ttft.summary());
  row("of it queueing", r.all.queueing.summary());
  row("at the engine: tokenised to computed", r.all.engine_ttft.summary());
  row("Time per output token (TPOT)", r.all.tpot.summary());
  const GapHistogram& gaps = r.totals.gaps;
  if (gaps.count() > 0)
    rows.push_back({"Between tokens", format_time(gaps.mean()), format_time(gaps.quantile(0.5)),
                    format_time(gaps.quantile(0.9)), format_time(gaps.quantile(0.95)),
                    format_time(gaps.quantile(0.99))});
  row("End to end", r.all.end_to_end.summary());
  page.heading("Latency");
  page.table({"", "mean", "p50", "p90", "p95", "p99"}, rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right});
}

/// Share of requests within a time, from none to 99 %, stream by stream.
void add_distribution(LineChart chart, const std::string& what, const ServingReport& r,
                      QuantileSketch ClassMetrics::*times, Page& page) {
  const auto classes = r.totals.metrics.classes();
  double longest = 0;
  for (const auto& one : classes) longest = std::max(longest, (one.*times).quantile(0.99));
  const bool in_seconds = longest >= 1;  // one unit for the whole axis
  for (std::size_t i = 0; i < classes.size(); ++i) {
    ChartLine line{r.serving().class_names[i], {}, false};
    for (int p = 0; p <= 99; ++p)
      line.points.push_back({(classes[i].*times).quantile(p / 100.0) * (in_seconds ? 1 : 1e3), p / 100.0, "", true});
    chart.lines.push_back(std::move(line));
  }
  chart.x_title = what + (in_seconds ? ", s" : ", ms");
  chart.x_text = plain;
  chart.y_title = "share of requests that have it";
  chart.y_text = percent;
  page.figure(drawing_of(chart));
}

void distributions(const ServingReport& r, Page& page) {
  if (r.all.completed.requests == 0) return;
  LineChart first, tokens;
  first.title = fmt::format("90 % of the requests have their first token within {}", seconds(r.all.ttft.summary().p90));
  first.caption = "How many requests have their first token after so long.";
  add_distribution(first, "time to first token", r, &ClassMetrics::ttft, page);
  tokens.title = fmt::format("90 % of the requests get a token every {} or faster", seconds(r.all.tpot.summary().p90));
  tokens.caption = "How many requests get their tokens at this pace or faster.";
  add_distribution(tokens, "time per output token", r, &ClassMetrics::tpot, page);
}

ChartLine over_time(const std::string& name, const TimeSeries& series) {
  ChartLine line{name, {}, false};
  const std::vector<double> values = series.averages();
  for (std::size_t i = 0; i < values.size(); ++i)
    line.points.push_back({(static_cast<double>(i) + 0.5) * series.width().value(), values[i], "", true});
  return line;
}

/// The highest point of the series whose names end so.
double most_of(const LineChart& chart, std::string_view ending) {
  double most = 0;
  for (const ChartLine& line : chart.lines) {
    if (!line.name.ends_with(ending)) continue;
    for (const ChartPoint& p : line.points) most = std::max(most, p.y);
  }
  return most;
}

void time_series(const ServingReport& r, Page& page) {
  LineChart requests, shares;
  requests.x_title = shares.x_title = "seconds since the start";
  requests.x_text = shares.x_text = plain;
  requests.y_title = "requests";
  requests.y_text = plain;
  shares.y_title = "share";
  shares.y_text = percent;
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    requests.lines.push_back(over_time(t.name + ": running", t.running));
    requests.lines.push_back(over_time(t.name + ": waiting", t.waiting));
    shares.lines.push_back(over_time(t.name + ": computing", t.busy));
    shares.lines.push_back(over_time(t.name + ": KV cache in use", t.kv_share));
  }
  LineChart replicas;
  if (r.serving().autoscaled()) {
    replicas.x_title = requests.x_title;
    replicas.x_text = replicas.y_text = plain;
    replicas.y_title = "replicas";
    std::int64_t up = 0, down = 0;
    for (const PoolReport& pool : r.pools) {
      replicas.lines.push_back(over_time(pool.totals.name + ": up", pool.totals.up));
      up += pool.totals.scaled_up;
      down += pool.totals.scaled_down;
    }
    replicas.title =
        fmt::format("Replicas follow the load: {} times one was started, {} times one given back", up, down);
    replicas.caption = "Replicas that take or answer requests.";
  }
  requests.title = fmt::format("At most {} requests are worked on at once, and {} wait",
                               format_integer(std::ceil(most_of(requests, "running"))),
                               format_integer(std::ceil(most_of(requests, "waiting"))));
  requests.caption = "Requests that replicas work on, and that wait for them.";
  shares.title = fmt::format("Replicas compute {} of their time at the most, and the KV cache is {} full",
                             percent(most_of(shares, "computing")), percent(most_of(shares, "KV cache in use")));
  shares.caption = "Share of their time in which replicas compute, and of the KV cache that requests hold.";
  page.heading("Over time");
  page.figure(drawing_of(requests));
  page.figure(drawing_of(shares));
  if (!replicas.lines.empty()) page.figure(drawing_of(replicas));
}

void ladder(const LatencyLadder& from, Page& page) {
  WaterfallChart chart;
  chart.text = milliseconds;
  constexpr double kMs = 1e3;
  chart.steps.push_back({"kernels alone", from.bare.value() * kMs, true});
  for (const auto& [name, adds] : from.adds) chart.steps.push_back({name, adds.value() * kMs, false});
  chart.steps.push_back({"mean of the replay", from.total.value() * kMs, true});
  const auto largest =
      std::max_element(from.adds.begin(), from.adds.end(), [](auto& a, auto& b) { return a.second < b.second; });
  chart.title = fmt::format("{}: {}", from.title, format_time(from.total));
  if (largest != from.adds.end() && largest->second > Seconds(0))
    chart.title += fmt::format(", of it {} for {}", format_time(largest->second), largest->first);
  page.figure(drawing_of(chart));
}

void mechanisms(const ServingExplanation& explanation, Page& page) {
  page.heading("Where the time goes");
  for (const LatencyLadder& one : explanation.ladders) ladder(one, page);
  for (const ExplainedIteration& e : explanation.iterations) {
    std::vector<std::vector<std::string>> rows;
    const Seconds total = e.iteration.total();
    for (const IterationPart& part : e.iteration.parts)
      rows.push_back({part.name, format_time(part.pass.time), format_percent(part.pass.time / total)});
    rows.push_back({"together", format_time(total), ""});
    page.paragraph(e.what == "decode" ? fmt::format("A decoding iteration of {}: {:.1f} requests per attention group, "
                                                    "{} cached tokens behind each.",
                                                    e.pool, e.requests, format_integer(e.kv_tokens))
                                      : fmt::format("A prompt on {}: {} tokens behind {} cached ones.", e.pool,
                                                    format_integer(e.tokens), format_integer(e.kv_tokens)));
    page.table({"", "time", "share"}, rows, {Align::left, Align::right, Align::right});
  }
}

void deployment(const ServingReport& r, Page& page) {
  page.heading("Replicas");
  std::vector<std::vector<std::string>> rows;
  for (const PoolReport& pool : r.pools) {
    const PoolTotals& t = pool.totals;
    rows.push_back({fmt::format("{} x {}", t.replicas, t.name), fmt::format("{}", t.gpus),
                    fmt::format("{:.2f}", t.mean_replicas), format_percent(pool.busy), format_percent(t.mean_kv_share),
                    fmt::format("{:.1f}", pool.mean_batch), format_time(pool.mean_iteration),
                    format_bytes(pool.memory.table.total()),
                    format_integer(static_cast<double>(pool.memory.kv_tokens))});
  }
  page.table({"", "GPUs each", "up", "busy", "KV in use", "batch", "iteration", "weights and workspace",
              "KV tokens per group"},
             rows,
             {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
              Align::right, Align::right});
}

/// What nobody asked for in the time that was measured has no price.
std::string price_of_million(Usd million, double tokens_per_s) {
  return tokens_per_s > 0 ? fmt::format("${:.3f}", million.value()) : std::string("none measured");
}

void cost(const ServingReport& r, Page& page) {
  const ServingCostReport& c = r.cost;
  if (!c.priced) return;
  page.heading("Cost");
  const double day = 86400.0 * r.serving().replicas_per_replica();
  const double gpus = r.mean_gpus * r.serving().replicas_per_replica();
  const bool whole =
      std::abs(gpus - std::round(gpus)) < 1e-6;  // else decimals, so that the product is seen to be right
  std::vector<std::vector<std::string>> rows = {
      {"a million input tokens, computed", price_of_million(c.per_million_computed, r.input_rate)},
      {"a million input tokens, cached", price_of_million(c.per_million_cached, r.input_rate)},
      {"a million output tokens", price_of_million(c.per_million_output, r.output_rate)},
      {fmt::format("a day of {} GPUs at ${:.2f} per hour", whole ? format_integer(gpus) : fmt::format("{:.2f}", gpus),
                   r.scenario.price.gpu.value() * 3600),
       format_usd(Usd(c.rate.value() * day))}};
  if (c.revenue > UsdPerSecond(0)) {
    rows.push_back({"sold in a day", format_usd(Usd(c.revenue.value() * day))});
    rows.push_back({"margin, of cost", fmt::format("{:.0f} %", 100 * c.margin())});
  }
  page.table({"", ""}, rows, {Align::left, Align::right});
}

}  // namespace

std::string to_html(const ServingExplanation& explanation, const std::string& title) {
  Page page("What a token's time consists of: " + title);
  mechanisms(explanation, page);
  return page.str();
}

std::string to_html(const ServingReport& r, const ServingExplanation& explanation) {
  Page page(r.scenario.title);
  page.lead(fmt::format("{} on {} x {}. {} of {} requests completed in {}; the deployment is {}.",
                        r.serving().model().title, r.serving().gpus(), r.scenario.cluster.node.gpu.title,
                        format_integer(static_cast<double>(r.all.completed.requests)),
                        format_integer(static_cast<double>(r.all.arrived.requests)), format_time(r.totals.duration()),
                        name(r.state)));
  // Where prompts and answers have GPUs of their own, a figure per node is of those alone.
  const bool apart = r.pools.size() > 1;
  std::string found = fmt::format("{:.1f} output tokens per second and GPU{}", r.output_per_gpu,
                                  apart ? ", over GPUs of every kind" : "");
  const int node = r.scenario.cluster.node.gpus;
  if (r.serving().gpus() < node)  // part of a node gives no node's tokens
    found += fmt::format("; {:.1f} input tokens per second and GPU{}. ", r.input_per_node / node,
                         apart ? " that computes prompts" : "");
  else
    found += fmt::format(", {} per {}; {} input tokens per second and {}. ", format_count(r.output_per_node),
                         apart ? "node that answers" : "node", format_count(r.input_per_node),
                         apart ? "node that computes prompts" : "node");
  if (r.all.tpot.mean() > 0) found += fmt::format("A user sees {:.1f} tokens per second. ", 1 / r.all.tpot.mean());
  if (promises_something(r))
    found += fmt::format("{} of requests are answered as promised.", format_percent(r.all.slo_attainment()));
  page.headline(found);
  const std::vector<Metric> found_metrics = serving_metrics(&r);
  add_published(r.comparisons, found_metrics, page);
  latencies(r, page);
  distributions(r, page);
  time_series(r, page);
  mechanisms(explanation, page);
  deployment(r, page);
  cost(r, page);
  add_small_print(r.notes, r.scenario.defaults_used, page);
  add_metrics(found_metrics, page);
  return page.str();
}

}  // namespace flopcast
