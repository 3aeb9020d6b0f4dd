#include "analysis/runs/parts/page_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/render/text/format.h"
#include "analysis/runs/parts/metric_paths.h"

namespace flopcast {
namespace {

// Errors beyond this are written, not drawn to scale: one wild figure would flatten all others.
constexpr double kMostError = 1;

std::string error_title(const std::vector<Comparison>& comparisons) {
  std::vector<double> errors;
  for (const Comparison& c : comparisons) {
    if (c.is_prediction()) errors.push_back(std::abs(c.error()));
  }
  if (errors.empty()) return "Predicted beside published";
  std::sort(errors.begin(), errors.end());
  if (errors.size() == 1) return fmt::format("The published figure is met within {}", format_percent(errors.back()));
  return fmt::format("Half of the {} published figures are met within {}, all within {}", errors.size(),
                     format_percent(errors[(errors.size() - 1) / 2]), format_percent(errors.back()));
}

}  // namespace

void add_published(const std::vector<Comparison>& comparisons, std::span<const Metric> metrics, Page& page) {
  if (comparisons.empty()) return;
  BarChart chart;
  chart.title = error_title(comparisons);
  chart.caption = "How far predictions lie from what was published: predicted / published, and the error.";
  chart.axis = "error of the prediction, %";
  chart.tick = [](double error) { return fmt::format("{:g}", 100 * error); };
  chart.table = {{"", "predicted", "published", "error", "source"},
                 {},
                 {Align::left, Align::right, Align::right, Align::right, Align::left}};
  double most = 0.02;
  for (const Comparison& c : comparisons) {
    const FigureLabel figure = find_label(metrics, c.field);
    const std::string error = c.verdict();
    ChartRow row{
        figure.name, fmt::format("{} / {}  {}", figure.text(c.predicted), figure.text(c.published), error), {}, {}};
    if (c.is_prediction()) {
      const double shown = std::clamp(c.error(), -kMostError, kMostError);
      row.segments.push_back({0, shown, Tone::first, figure.name + ": " + error});
      most = std::max(most, std::abs(shown));
    }
    chart.rows.push_back(std::move(row));
    chart.table.rows.push_back({figure.name, figure.text(c.predicted), figure.text(c.published), error, c.source});
  }
  chart.low = -most;
  chart.high = most;
  chart.marks = {{0, "published"}};
  page.heading("Predicted beside published");
  const auto is = [&](auto property) { return std::any_of(comparisons.begin(), comparisons.end(), property); };
  if (is([](const Comparison& c) { return c.is_prediction(); }))
    page.figure(drawing_of(chart));
  else
    page.table(chart.table.header, chart.table.rows, chart.table.align);
  if (is([](const Comparison& c) { return c.kind == PublishedKind::input; }))
    page.note("An input went into the scenario: that it comes back is no prediction.");
  std::vector<std::string> sources;
  for (const Comparison& c : comparisons) {
    if (!c.source.empty() && std::find(sources.begin(), sources.end(), c.source) == sources.end())
      sources.push_back(c.source);
  }
  if (!sources.empty()) page.note(fmt::format("Published in: {}.", fmt::join(sources, "; ")));
}

void add_small_print(const std::vector<std::string>& notes, const std::vector<std::string>& defaults, Page& page) {
  if (!notes.empty()) page.heading("Assumptions and notes");
  page.list(notes);
  if (defaults.empty()) return;
  page.heading("Defaults used");
  page.note(fmt::format("{}", fmt::join(defaults, "; ")));
}

void add_metrics(std::span<const Metric> metrics, Page& page) {
  DataTable table{{"figure", "value", "what it is", "name in JSON and CSV"},
                  {},
                  {Align::left, Align::right, Align::left, Align::left}};
  for (const Metric& metric : metrics) {
    if (std::holds_alternative<Absent>(metric.value)) continue;
    const std::string shown = metric.shown();
    const bool word = std::holds_alternative<std::string>(metric.value);
    table.rows.push_back({metric.title, word ? shorten(shown, 60) : shown, metric.meaning, metric.name});
  }
  page.heading("Every figure");
  page.folded_table(fmt::format("{} figures of this report", table.rows.size()), table);
}

void add_key_figure(std::span<const Metric> metrics, std::string_view name, std::vector<KeyFigure>& figures,
                    std::string_view title, std::string_view remark) {
  const Metric* const metric = find_metric(metrics, name);
  if (metric == nullptr || std::holds_alternative<Absent>(metric->value)) return;
  figures.push_back({title.empty() ? metric->title : std::string(title), metric->shown(), std::string(remark)});
}

StackedChart memory_chart(const std::vector<MemoryBar>& bars, const std::string& rows_are) {
  StackedChart chart;
  std::map<std::string, Bytes> most;  // that any bar has of an item
  for (const MemoryBar& bar : bars) {
    for (const MemoryRow& row : bar.table->rows) {
      Bytes& known = most[row.item];
      known = std::max(known, row.bytes);
      if (std::find(chart.parts.begin(), chart.parts.end(), row.item) == chart.parts.end())
        chart.parts.push_back(row.item);
    }
  }
  // As many items as there are colours: the smallest ones together, else.
  constexpr std::size_t kMostParts = 8;
  const bool merges = chart.parts.size() > kMostParts;
  while (merges && chart.parts.size() > kMostParts - 1)
    chart.parts.erase(std::min_element(chart.parts.rbegin(), chart.parts.rend(),
                                       [&](const auto& a, const auto& b) { return most.at(a) < most.at(b); })
                          .base() -
                      1);
  if (merges) chart.parts.push_back("smaller items");
  bool one_capacity = true;
  for (const MemoryBar& bar : bars) {
    StackedBar drawn{
        bar.name, std::vector<double>(chart.parts.size()), format_percent(bar.table->total() / bar.capacity, 0), {}};
    for (const MemoryRow& row : bar.table->rows) {
      const auto at = std::find(chart.parts.begin(), chart.parts.end(), row.item);
      drawn.parts[at == chart.parts.end() ? chart.parts.size() - 1 : std::size_t(at - chart.parts.begin())] +=
          row.bytes.value();
    }
    chart.bars.push_back(std::move(drawn));
    one_capacity = one_capacity && bar.capacity == bars.front().capacity;
  }
  if (one_capacity && !bars.empty()) chart.marks = {{bars.front().capacity.value(), "capacity"}};
  chart.axis = "GB (10^9 bytes)";
  chart.rows_are = rows_are;
  chart.text = [](double bytes) { return format_bytes(Bytes(bytes)); };
  chart.tick = [](double bytes) { return fmt::format("{:g}", bytes / 1e9); };
  return chart;
}

}  // namespace flopcast
