#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/svg.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

constexpr double kBar = 14, kTextLine = 17, kRowGap = 13, kAxisRoom = 24;

std::string tone_class(Tone tone) { return "t-" + std::string(row_of(tone).name); }

/// Label and value share a line where both fit into a picture so wide; else the label is broken.
std::vector<std::string> label_lines(const ChartRow& row, double width) {
  return svg::broken(row.label, std::max(16 * svg::kLetter, width - svg::text_width(row.value) - 2 * svg::kLetter));
}

/// Label and value above a bar, for narrow pages and for wide ones. @param y of the first line; below the last then
std::string heading(const ChartRow& row, double& y) {
  const std::vector<std::string> narrow = label_lines(row, svg::kNarrow), wide = label_lines(row, svg::kWide);
  const auto put = [&](const std::vector<std::string>& words, const std::string& only, double from) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i)
      out += svg::text(0, from + 12 + kTextLine * static_cast<double>(i), words[i], "start", only);
    if (!row.value.empty()) out += svg::text(1, from + 12, row.value, "end", only.empty() ? "value" : "value " + only);
    return out;
  };
  const double first = y;
  y += kTextLine * static_cast<double>(narrow.size());
  if (wide.size() >= narrow.size()) return put(narrow, "", first);
  return put(narrow, "n", first) + put(wide, "w", y - kTextLine * static_cast<double>(wide.size()));
}

Axis axis_of(const BarChart& chart) {
  double low = chart.low.value_or(0), high = chart.high.value_or(low);
  const auto take = [&](double value) { low = std::min(low, value), high = std::max(high, value); };
  for (const ChartRow& row : chart.rows) {
    for (const ChartSegment& segment : row.segments) take(segment.from), take(segment.to);
    if (row.range) take(row.range->first), take(row.range->second);
  }
  for (const ChartMark& mark : chart.marks) take(mark.at);
  return Axis(low, high, 6);
}

std::string whiskers(const Axis& axis, const std::pair<double, double>& range, double y) {
  const double low = axis.at(range.first), high = axis.at(range.second);
  return svg::line(low, y, high, y, "whisker") + svg::line(low, y - 4, low, y + 4, "whisker") +
         svg::line(high, y - 4, high, y + 4, "whisker");
}

std::string signed_text(double value, const ValueText& text) { return (value < 0 ? "−" : "+") + text(std::abs(value)); }

std::string described(const std::vector<ChartRow>& rows) {
  std::vector<std::string> parts;
  for (const ChartRow& row : rows) {
    if (parts.size() == 12) {
      parts.push_back(fmt::format("and {} more", rows.size() - parts.size()));
      break;
    }
    parts.push_back(row.label + ": " + row.value);
  }
  return fmt::format("{}.", fmt::join(parts, "; "));
}

}  // namespace

Drawing drawing_of(const BarChart& chart) {
  Drawing figure;
  figure.title = chart.title;
  figure.caption = chart.caption;
  figure.description = chart.description;
  figure.key = svg::key(chart.key);
  figure.table = chart.table;
  if (chart.rows.empty()) return figure;
  const Axis axis = axis_of(chart);
  const double top = static_cast<double>(chart.marks.size()) * kTextLine;
  double y = top + 2;
  std::string rows, headings;
  for (const ChartRow& row : chart.rows) {
    headings += heading(row, y);
    rows += svg::rect(0, y, 1, kBar, "track", "");
    for (const ChartSegment& segment : row.segments) {
      const double from = axis.at(std::min(segment.from, segment.to)), to = axis.at(std::max(segment.from, segment.to));
      rows += svg::rect(from, y, to - from, kBar, tone_class(segment.tone), segment.note);
    }
    if (row.range) rows += whiskers(axis, *row.range, y + kBar / 2);
    y += kBar + kRowGap;
  }
  const double bottom = y - kRowGap + 6;
  std::string marks;
  for (std::size_t i = 0; i < chart.marks.size(); ++i) {
    const double x = axis.at(chart.marks[i].at), line = static_cast<double>(i) * kTextLine;
    marks += svg::line(x, line + 4, x, bottom, "mark");
    marks += svg::text(x, line + 12, chart.marks[i].label, x > 0.5 ? "end" : "start", "", x > 0.5 ? -5 : 5);
  }
  figure.svg = svg::grid(axis, top, bottom, chart.tick, svg::kNarrow, svg::kWide) + rows;
  figure.svg += marks + headings;  // a mark's line does not run through words
  figure.height = bottom + kAxisRoom;
  if (!chart.axis.empty()) {
    const std::vector<std::string> axis_title = svg::broken(chart.axis, svg::kNarrow);
    figure.svg += svg::lines(0, bottom + 34, axis_title, "start", "quiet");
    figure.height += svg::kTextLine * static_cast<double>(axis_title.size());
  }
  if (figure.description.empty()) figure.description = described(chart.rows);
  return figure;
}

Drawing drawing_of(const WaterfallChart& from) {
  BarChart chart{from.title, from.caption, "", from.axis, {}, {}, {}, from.tick ? from.tick : from.text, {}, {}, {}};
  double low = 0, high = 0, at = 0;
  bool first = true;
  for (const WaterfallStep& step : from.steps) {
    at = step.sum ? step.value : at + step.value;
    low = first ? at : std::min(low, at);
    high = first ? at : std::max(high, at);
    first = false;
  }
  // Small changes of a large sum are seen only when the axis does not begin at zero.
  const bool from_zero = low < 3 * (high - low) || low <= 0;
  chart.low = from_zero ? std::min(low, 0.0) : low - (high - low) / 4;
  const double base = Axis(*chart.low, high, 6).low();
  chart.high = high;
  if (!from_zero) chart.axis += chart.axis.empty() ? "the axis does not begin at 0" : "; the axis does not begin at 0";
  chart.table = {{"", "adds", "then"}, {}, {Align::left, Align::right, Align::right}};
  double before = 0;
  for (const WaterfallStep& step : from.steps) {
    const double start = step.sum ? std::max(base, std::min(0.0, step.value)) : before;
    const double end = step.sum ? step.value : before + step.value;
    const bool worse = (end > start) == from.more_is_worse;
    const std::string value = step.sum ? from.text(step.value) : signed_text(step.value, from.text);
    const Tone tone = step.sum ? Tone::first : worse ? Tone::bad : Tone::good;
    chart.rows.push_back({step.name, value, {{start, end, tone, step.name + ": " + value}}, {}});
    chart.table.rows.push_back({step.name, step.sum ? "" : value, from.text(end)});
    before = end;
  }
  return drawing_of(chart);
}

Drawing drawing_of(const TornadoChart& from) {
  BarChart chart{from.title, from.caption, "", from.axis, {}, {}, {}, from.tick, from.centre, from.centre, {}};
  chart.key = {{Tone::first, "input low"}, {Tone::second, "input high"}};
  chart.marks = {{from.centre, from.tick(from.centre) + " at all medians"}};
  chart.table = {{"input", "low", "high", "result at low", "result at high"},
                 {},
                 {Align::left, Align::right, Align::right, Align::right, Align::right}};
  for (const TornadoBar& bar : from.bars) {
    chart.rows.push_back({bar.name,
                          bar.low + " to " + bar.high,
                          {{from.centre, bar.at_low, Tone::first, bar.low + ": " + from.tick(bar.at_low)},
                           {from.centre, bar.at_high, Tone::second, bar.high + ": " + from.tick(bar.at_high)}},
                          {}});
    chart.table.rows.push_back({bar.name, bar.low, bar.high, from.tick(bar.at_low), from.tick(bar.at_high)});
    chart.low = std::min({*chart.low, bar.at_low, bar.at_high});
  }
  return drawing_of(chart);
}

Drawing drawing_of(const StackedChart& from) {
  BarChart chart{from.title, from.caption, "", from.axis, {}, from.marks, {}, from.tick ? from.tick : from.text,
                 {},         {},           {}};
  const auto tone = [&](std::size_t i) { return i < from.tones.size() ? from.tones[i] : series_tone(i); };
  chart.table.header = {from.rows_are};
  chart.table.align = {Align::left};
  for (std::size_t i = 0; i < from.parts.size(); ++i) {
    const bool there = std::any_of(from.bars.begin(), from.bars.end(),
                                   [i](const StackedBar& bar) { return i < bar.parts.size() && bar.parts[i] > 0; });
    if (from.parts.size() > 1 && there) chart.key.push_back({tone(i), from.parts[i]});
    chart.table.header.push_back(from.parts[i]);
    chart.table.align.push_back(Align::right);
  }
  if (from.parts.size() > 1) {
    chart.table.header.push_back("together");
    chart.table.align.push_back(Align::right);
  }
  for (const StackedBar& bar : from.bars) {
    ChartRow row{bar.name, "", {}, bar.range};
    std::vector<std::string> cells{bar.name};
    double sum = 0;
    for (std::size_t i = 0; i < bar.parts.size(); ++i) {
      cells.push_back(from.text(bar.parts[i]));
      if (bar.parts[i] <= 0) continue;
      row.segments.push_back({sum, sum + bar.parts[i], tone(i),
                              fmt::format("{}: {} {}", bar.name, from.parts[i], from.text(bar.parts[i]))});
      sum += bar.parts[i];
    }
    row.value = from.text(sum) + (bar.remark.empty() ? "" : " (" + bar.remark + ")");
    if (!bar.value.empty()) row.value = bar.value;
    if (from.parts.size() > 1) cells.push_back(row.value);
    chart.rows.push_back(std::move(row));
    chart.table.rows.push_back(std::move(cells));
  }
  return drawing_of(chart);
}

Drawing drawing_of(const HeatChart& from) {
  constexpr double kCell = 22;
  Drawing figure;
  figure.title = from.title;
  figure.caption = from.caption;
  figure.table.header = {from.rows_are};
  figure.table.align = {Align::left};
  for (const std::string& column : from.columns) {
    figure.table.header.push_back(column);
    figure.table.align.push_back(Align::right);
  }
  figure.key = "<p class=\"key\">";
  for (const double share : {0.25, 0.5, 0.75, 1.0})
    figure.key += fmt::format("<span><i class=\"t-communication\" style=\"opacity:{}\"></i>{}</span> ", share,
                              html_escaped(from.text(share)));
  figure.key += "</p>\n";
  const double width = 1.0 / static_cast<double>(std::max<std::size_t>(from.columns.size(), 1));
  double most = 0;
  std::string where = "nothing is in use";
  double y = 2;
  for (std::size_t r = 0; r < from.rows.size(); ++r) {
    std::vector<std::string> cells{from.rows[r]};
    figure.svg += svg::text(0, y + 12, from.rows[r]);
    y += kTextLine;
    for (std::size_t c = 0; c < from.columns.size(); ++c) {
      const std::optional<double>& cell = from.cells[r][c];
      cells.push_back(cell ? from.text(*cell) : "");
      const double x = static_cast<double>(c) * width;
      const std::string name = fmt::format("{}, {} {}", from.rows[r], from.columns_are, from.columns[c]);
      // Opacity says how much: one ink on the paper's own band, so that dark pages need no other scale.
      figure.svg += svg::rect(x, y, width * 0.94, kCell, "track", name + ": none");
      if (!cell) continue;
      figure.svg += fmt::format("<g opacity=\"{:.3f}\">", std::clamp(*cell, 0.0, 1.0));
      figure.svg += svg::rect(x, y, width * 0.94, kCell, "t-communication", name + ": " + from.text(*cell)) + "</g>";
      if (*cell > most) most = *cell, where = name;
    }
    figure.table.rows.push_back(std::move(cells));
    y += kCell + 8;
  }
  for (std::size_t c = 0; c < from.columns.size(); ++c) {
    const auto fit = static_cast<std::size_t>(svg::kNarrow * width / svg::kLetter);
    const std::size_t every = (4 + fit) / std::max<std::size_t>(fit, 1);
    figure.svg += svg::text((static_cast<double>(c) + 0.47) * width, y + 8, from.columns[c], "middle",
                            c % std::max<std::size_t>(every, 1) == 0 ? "quiet" : "quiet w");
  }
  figure.svg += svg::text(0, y + 26, from.columns_are, "start", "quiet");
  figure.height = y + 34;
  figure.description = fmt::format("{} by {}. Most: {}, {}.", from.rows_are, from.columns_are, where, from.text(most));
  return figure;
}

}  // namespace flopcast
