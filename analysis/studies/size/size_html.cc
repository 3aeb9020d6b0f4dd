#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/page.h"
#include "analysis/render/text/format.h"
#include "analysis/studies/size/serving_size.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

std::string size_title(const Scenario& scenario) { return "Sizing: " + scenario.title; }
std::string short_number(double value) { return fmt::format("{:.4g}", value); }

DataTable sample_data(const std::vector<CurveSample>& samples) {
  DataTable table{
      {"deployment", "requests/s", "GPUs", "tok/s/user", "tok/s/GPU", "TTFT p90", "TPOT p90", "$/M out", ""},
      {},
      {Align::left, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right,
       Align::left}};
  for (const CurveSample& s : samples) {
    table.rows.push_back({s.deployment, fmt::format("{:.3g}", s.requests_per_s), fmt::format("{}", s.gpus),
                          fmt::format("{:.1f}", s.tokens_per_s_per_user), fmt::format("{:.0f}", s.tokens_per_s_per_gpu),
                          format_time(Seconds(s.ttft_p90)), format_time(Seconds(s.tpot_p90)),
                          s.usd_per_million_output > 0 ? fmt::format("{:.2f}", s.usd_per_million_output) : "-",
                          fmt::format("{}{}", name(s.state), s.meets ? ", meets" : "")});
  }
  return table;
}

/// Deployments that were tried, by GPUs and by what they leave users waiting.
void add_tried(const SizeOptions& options, const std::vector<CurveSample>& tried, Page& page) {
  const bool by_ttft = options.promise.ttft < kNever;
  LineChart chart;
  chart.title = fmt::format("{} deployment{} tried", tried.size(), tried.size() == 1 ? " was" : "s were");
  chart.caption = "Each point is a replay of the traffic; filled: it keeps the promise.";
  chart.x_title = "GPUs";
  chart.y_title = by_ttft ? "time to first token, p90, s" : "time per output token, p90, ms";
  chart.y_text = short_number;
  chart.x_text = [](double gpus) { return gpus == std::floor(gpus) ? format_integer(gpus) : ""; };  // no half GPUs
  chart.x_from_zero = false;
  const auto [least, most] =
      std::minmax_element(tried.begin(), tried.end(), [](auto& a, auto& b) { return a.ttft_p90 < b.ttft_p90; });
  if (by_ttft && least != tried.end() && least->ttft_p90 > 0 && most->ttft_p90 > 30 * least->ttft_p90)
    chart.y_scale = AxisScale::logarithmic;
  ChartLine keeps{"keeps the promise", {}, true, false, Tone::good}, misses{"misses it", {}, true, false, Tone::bad};
  for (const CurveSample& s : tried) {
    const double y = by_ttft ? s.ttft_p90 : s.tpot_p90 * 1e3;
    if (chart.y_scale == AxisScale::logarithmic && y <= 0) continue;
    (s.meets ? keeps : misses)
        .points.push_back({static_cast<double>(s.gpus), y, s.deployment, s.meets, s.deployment, {}});
  }
  chart.lines = {keeps, misses};
  Drawing drawing = drawing_of(chart);
  drawing.table = sample_data(tried);
  page.heading("Tried");
  page.figure(drawing);
}

}  // namespace

std::string to_html(const Scenario& scenario, const SizeOptions& options, const SizeResult& result) {
  Page page(size_title(scenario));
  page.headline(size_answer(scenario, options, result));
  add_tried(options, result.tried, page);
  if (!result.curve.empty()) {
    LineChart chart;
    double most = 0;
    ChartLine line{"", {}, true, true, Tone::first};
    for (const CurveSample& s : result.curve) {
      line.points.push_back({s.tokens_per_s_per_user,
                             s.tokens_per_s_per_gpu,
                             fmt::format("{:.3g} requests/s, TTFT p90 {}, {}", s.requests_per_s,
                                         format_time(Seconds(s.ttft_p90)), name(s.state)),
                             s.meets,
                             fmt::format("{:.3g}/s", s.requests_per_s),
                             {}});
      most = std::max(most, s.tokens_per_s_per_gpu);
    }
    chart.lines = {line};
    chart.title =
        result.saturation.rate > 0
            ? fmt::format("Queues grow to the end beyond {:.4g} requests per second, {:.3g} times this traffic",
                          result.saturation.rate, result.saturation.load)
            : fmt::format("At most {:.0f} output tokens per second and GPU", most);
    chart.caption = fmt::format("The same deployment at 10 % to 120 % of {}; points bear their requests per second.",
                                result.saturation.rate > 0 ? "that" : "the traffic");
    chart.x_title = "output tokens per second and user";
    chart.y_title = "output tokens per second and GPU";
    chart.x_text = chart.y_text = short_number;
    Drawing drawing = drawing_of(chart);
    drawing.table = sample_data(result.curve);
    page.heading("Throughput against speed");
    page.figure(drawing);
    if (!result.saturation.note.empty()) page.note("Saturation: " + result.saturation.note + ".");
  }
  return page.str();
}

std::string to_html(const Scenario& scenario, const SizeOptions& options, const std::vector<PoolRatio>& ratios) {
  Page page(size_title(scenario));
  page.headline(size_answer(options, ratios));
  const auto best = best_ratio(ratios);
  BarChart chart;
  chart.axis = "requests per second and GPU";
  chart.tick = short_number;
  chart.table = {
      {"prefill", "decode", "GPUs", "requests/s", "per GPU", "tok/s/GPU", "TTFT p90", "TPOT p90"},
      {},
      {Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right, Align::right}};
  for (const PoolRatio& r : ratios) {
    const CurveSample& s = r.at_most;
    const bool any = s.requests_per_s > 0, first = best != ratios.end() && &r == &*best;
    const std::string label = fmt::format("{} prefill, {} decode", r.prefill, r.decode);
    chart.rows.push_back({label,
                          any ? fmt::format("{:.3g}", r.requests_per_gpu()) : "none",
                          {{0, r.requests_per_gpu(), first ? Tone::good : Tone::first, label}},
                          {}});
    chart.table.rows.push_back({fmt::format("{}", r.prefill), fmt::format("{}", r.decode), fmt::format("{}", r.gpus),
                                short_number(s.requests_per_s), short_number(r.requests_per_gpu()),
                                short_number(s.tokens_per_s_per_gpu), format_time(Seconds(s.ttft_p90)),
                                format_time(Seconds(s.tpot_p90))});
  }
  chart.title = best == ratios.end()
                    ? "No split of the cluster serves any traffic within the promise"
                    : fmt::format("{} prefill to {} decode replicas serve most", best->prefill, best->decode);
  chart.caption = "Most traffic within the promise, split by split.";
  page.heading("Splits of the cluster");
  page.figure(drawing_of(chart));
  return page.str();
}

}  // namespace flopcast
