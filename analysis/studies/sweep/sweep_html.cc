// A sweep as one page.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/page.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/metrics.h"
#include "analysis/studies/sweep/sweep_show.h"

namespace flopcast {
namespace {

/// As reports call it: "step", where the goal is a metric by itself.
std::string goal_name(const FrameGoal& goal) {
  const std::optional<Metric> metric = describe_metric(goal.title);
  return metric ? metric->title : goal.title;
}

constexpr double kPageWidth = 900;

/// A scale from figures to places, logarithmic where it spans more than a factor of three and all are positive.
class PageScale {
 public:
  PageScale(double low, double high, double from, double to)
      : logarithmic_(low > 0 && high > 3 * low), low_(at(low)), high_(at(high)), from_(from), to_(to) {}
  double operator()(double value) const {
    return high_ > low_ ? from_ + (to_ - from_) * (at(value) - low_) / (high_ - low_) : (from_ + to_) / 2;
  }

 private:
  double at(double value) const { return logarithmic_ ? std::log(value) : value; }
  bool logarithmic_;
  double low_, high_, from_, to_;
};

PageScale scale_of(const std::vector<double>& values, double from, double to) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high, from, to};
}

std::string svg_begin(double height, const std::string& what) {
  return fmt::format(
      "<svg viewBox=\"0 0 {} {}\" style=\"min-width:44rem;width:100%;height:auto;display:block;font-size:13px\" "
      "role=\"img\" aria-label=\"{}\">\n",
      kPageWidth, height, html_escaped(what));
}

std::string svg_text(double x, double y, const std::string& anchor, const std::string& text, bool quiet = true) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor,
                     quiet ? " class=\"quiet\"" : "", html_escaped(text));
}

/// What a row sets, for those who point at it.
std::string inputs_of(const SweepFrame& frame, std::size_t row) {
  std::vector<std::string> parts{fmt::format("number {}", frame.number[row])};
  for (const FrameAxis& axis : frame.axes)
    parts.push_back(
        fmt::format("{}: {}", axis.name.substr(axis.name.rfind('.') + 1), axis.levels[axis.level_of_row[row]]));
  for (const FrameGoal& goal : frame.goals)
    parts.push_back(fmt::format("{}: {}", goal_name(goal), shown_goal(goal, goal.of_row[row])));
  return fmt::format("{}", fmt::join(parts, "; "));
}

/// Rows to be drawn: all where they are few, else evenly many of them and all of `always`.
std::vector<std::size_t> drawn_rows(std::size_t count, std::size_t at_most, const std::vector<std::size_t>& always) {
  std::vector<std::size_t> out;
  const std::size_t step = std::max<std::size_t>(1, (count + at_most - 1) / at_most);
  for (std::size_t row = 0; row < count; row += step) out.push_back(row);
  out.insert(out.end(), always.begin(), always.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

/// The axis that matters most by itself and has few levels: it gives the colours.
const FrameAxis* colour_axis(const SweepFrame& frame, const std::vector<AxisEffect>& effects) {
  constexpr std::size_t kColours = 8;
  for (const AxisEffect& effect : effects) {
    const FrameAxis& axis = frame.axes[effect.axis];
    if (!effect.other && axis.levels.size() <= kColours) return &axis;
  }
  return nullptr;
}

/// Figures along one axis: candidates as points, those on the front joined.
Drawing scatter(const SweepFrame& frame, const std::vector<double>& xs, const std::vector<double>& ys, LineChart chart,
                const std::vector<std::size_t>& front, const FrameAxis* colours) {
  constexpr std::size_t kMostPoints = 1500;
  const auto spans = [](const std::vector<double>& values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return *low > 0 && *high > 3 * *low ? AxisScale::logarithmic : AxisScale::linear;
  };
  chart.x_scale = spans(xs);
  chart.y_scale = spans(ys);
  chart.x_from_zero = chart.y_from_zero = false;
  const std::size_t groups = colours ? colours->levels.size() : 1;
  std::vector<ChartLine> lines(groups);
  for (std::size_t i = 0; i < groups; ++i) {
    lines[i].name = colours ? colours->levels[i] : "candidates";
    lines[i].marks = true;
    lines[i].line = false;
    lines[i].tone = series_tone(i);
  }
  for (const std::size_t row : drawn_rows(frame.rows(), kMostPoints, front)) {
    ChartPoint point;
    point.x = xs[row];
    point.y = ys[row];
    point.note = inputs_of(frame, row);
    lines[colours ? colours->level_of_row[row] : 0].points.push_back(std::move(point));
  }
  if (!front.empty()) {
    ChartLine line;
    line.name = "Pareto front";
    line.tone = Tone::bubble;
    for (const std::size_t row : front) {
      ChartPoint point;
      point.x = xs[row];
      point.y = ys[row];
      line.points.push_back(point);
    }
    lines.push_back(std::move(line));
  }
  if (colours) chart.caption += (chart.caption.empty() ? "" : " ") + fmt::format("Colours: {}.", colours->name);
  std::erase_if(lines, [](const ChartLine& line) { return line.points.empty(); });
  chart.lines = std::move(lines);
  return drawing_of(chart);
}

/// A line per row over all axes and goals; the best tenth stands out.
std::string parallel(const SweepFrame& frame, const std::vector<std::size_t>& ranked) {
  constexpr double kTop = 60, kBottom = 24, kSide = 70, kHeight = 420;
  constexpr std::size_t kMostLines = 600;
  struct Column {
    std::string title, low, high;
    std::vector<double> place;  // of each row, 0 to 1
    std::vector<std::string> marks;
  };
  std::vector<Column> columns;
  for (const FrameAxis& axis : frame.axes) {
    if (axis.levels.size() < 2) continue;
    Column column{axis.name.substr(axis.name.rfind('.') + 1), "", "", {}, {}};
    for (const std::uint32_t level : axis.level_of_row)
      column.place.push_back(static_cast<double>(level) / static_cast<double>(axis.levels.size() - 1));
    if (axis.levels.size() <= 12) column.marks = axis.levels;
    column.low = axis.levels.front();
    column.high = axis.levels.back();
    columns.push_back(std::move(column));
  }
  for (const FrameGoal& goal : frame.goals) {
    const PageScale scale = scale_of(goal.of_row, 0, 1);
    const auto [low, high] = std::minmax_element(goal.of_row.begin(), goal.of_row.end());
    Column column{goal.title.substr(goal.title.find('.') + 1), shown_goal(goal, *low), shown_goal(goal, *high), {}, {}};
    for (const double value : goal.of_row) column.place.push_back(scale(value));
    columns.push_back(std::move(column));
  }
  const double step = columns.size() > 1 ? (kPageWidth - 2 * kSide) / static_cast<double>(columns.size() - 1) : 0;
  const auto place_x = [&](std::size_t i) { return kSide + step * static_cast<double>(i); };
  const auto place_y = [&](double at) { return kHeight - kBottom - at * (kHeight - kBottom - kTop); };
  std::string out = svg_begin(kHeight, "candidates over all axes");
  const std::size_t best = std::max<std::size_t>(1, std::min<std::size_t>(ranked.size() / 10, 40));
  const std::vector<std::size_t> leading(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(best));
  const auto line_of = [&](std::size_t row, const char* style) {
    std::string path;
    for (std::size_t i = 0; i < columns.size(); ++i)
      path += fmt::format("{}{:.1f},{:.1f}", i == 0 ? "M" : " L", place_x(i), place_y(columns[i].place[row]));
    return fmt::format("<path d=\"{}\" fill=\"none\" {}><title>{}</title></path>\n", path, style,
                       html_escaped(inputs_of(frame, row)));
  };
  for (const std::size_t row : drawn_rows(frame.rows(), kMostLines, {}))
    out += line_of(row, "style=\"stroke:var(--quiet);stroke-width:1\" stroke-opacity=\"0.25\"");
  for (auto row = leading.rbegin(); row != leading.rend(); ++row)
    out += line_of(*row, "style=\"stroke:var(--second);stroke-width:1.6\" stroke-opacity=\"0.8\"");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    out += fmt::format("<line style=\"stroke:var(--ink)\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>\n",
                       place_x(i), kTop, kHeight - kBottom);
    out += svg_text(place_x(i), i % 2 == 0 ? 16 : 32, "middle", shorten(columns[i].title, 24), false);
    for (std::size_t level = 0; level < columns[i].marks.size(); ++level) {
      const double at = static_cast<double>(level) / static_cast<double>(columns[i].marks.size() - 1);
      out += svg_text(place_x(i) + 4, place_y(at) - 3, "start", shorten(columns[i].marks[level], 14));
    }
    if (!columns[i].marks.empty()) continue;
    out += svg_text(place_x(i), kHeight - 6, "middle", shorten(columns[i].low, 16));
    out += svg_text(place_x(i), kTop - 8, "middle", shorten(columns[i].high, 16));
  }
  return out + "</svg>\n";
}

/// The best figure for each pair of levels: the better, the stronger.
Drawing heat_map(const SweepFrame& frame, std::size_t across, std::size_t down) {
  const FrameAxis &x = frame.axes[across], &y = frame.axes[down];
  const FrameGoal& goal = frame.goals.front();
  constexpr std::size_t kMost = 24;
  const std::size_t columns = std::min(x.levels.size(), kMost), lines = std::min(y.levels.size(), kMost);
  std::vector<std::vector<std::optional<double>>> best(lines, std::vector<std::optional<double>>(columns));
  for (std::size_t row = 0; row < frame.rows(); ++row) {
    const std::size_t i = x.level_of_row[row], j = y.level_of_row[row];
    if (i >= columns || j >= lines) continue;
    if (!best[j][i] || goal.better(goal.of_row[row], *best[j][i])) best[j][i] = goal.of_row[row];
  }
  double top = 0;
  for (const auto& line : best)
    for (const auto& cell : line)
      if (cell && (top == 0 || goal.better(*cell, top))) top = *cell;
  HeatChart chart;
  chart.title = fmt::format("The best {} for each pair of {} and {}", goal_name(goal), x.name, y.name);
  chart.caption = "As a share of the best of all: 100 % is the best, an empty cell has no result.";
  chart.columns.assign(x.levels.begin(), x.levels.begin() + static_cast<std::ptrdiff_t>(columns));
  chart.rows.assign(y.levels.begin(), y.levels.begin() + static_cast<std::ptrdiff_t>(lines));
  chart.rows_are = y.name;
  chart.columns_are = x.name;
  chart.text = [](double share) { return format_percent(share, 0); };
  for (auto& line : best)
    for (auto& cell : line)
      if (cell && *cell != 0 && top != 0) cell = std::clamp(goal.smallest ? top / *cell : *cell / top, 0.0, 1.0);
  chart.cells = std::move(best);
  return drawing_of(chart);
}

/// Sorts by a click on a heading, with the keyboard too.
constexpr std::string_view kSorter = R"html(<script>
for (const table of document.querySelectorAll("table.sorts")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th button").forEach((button, column) => button.addEventListener("click", () => {
    const th = button.parentNode, up = th.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => { const cell = row.cells[column], value = cell.dataset.value; return value === undefined ? cell.textContent : Number(value); };
    [...body.rows].sort((a, b) => { const x = key(a), y = key(b); return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1); }).forEach(row => body.append(row));
  }));
}
</script>
<style>.sorts th button { all: unset; cursor: pointer; } .sorts th button:focus-visible { outline: 2px solid var(--accent); }
.sorts th[aria-sort=ascending] button::after { content: " \2191"; } .sorts th[aria-sort=descending] button::after { content: " \2193"; }
.sorts td:not(.r) { min-width: 0; }</style>
)html";

std::string sorted_table(const SweepFrame& frame, const std::vector<std::size_t>& rows) {
  std::string out = "<div class=\"scroll\"><table class=\"sorts\"><thead><tr>";
  const auto heading = [&](const std::string& text, bool right) {
    out += fmt::format("<th scope=\"col\"{}><button type=\"button\">{}</button></th>", right ? " class=\"r\"" : "",
                       html_escaped(text));
  };
  heading("number", true);
  for (const FrameAxis& axis : frame.axes) heading(axis.name.substr(axis.name.rfind('.') + 1), !axis.values.empty());
  for (const FrameGoal& goal : frame.goals) heading(goal_name(goal), true);
  out += "</tr></thead><tbody>\n";
  for (const std::size_t row : rows) {
    out += fmt::format("<tr><td class=\"r\" data-value=\"{0}\">{0}</td>", frame.number[row]);
    for (const FrameAxis& axis : frame.axes) {
      const std::uint32_t level = axis.level_of_row[row];
      const std::string number =
          axis.values.empty() ? "" : fmt::format(" class=\"r\" data-value=\"{}\"", axis.values[level]);
      out += fmt::format("<td{}>{}</td>", number, html_escaped(axis.levels[level]));
    }
    for (const FrameGoal& goal : frame.goals)
      out += fmt::format("<td class=\"r\" data-value=\"{}\">{}</td>", goal.of_row[row],
                         html_escaped(shown_goal(goal, goal.of_row[row])));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n" + std::string(kSorter);
}

void add_pictures(Page& page, const SweepFrame& frame, const std::vector<std::size_t>& ranked) {
  const std::vector<AxisEffect> effects = axis_effects(frame);
  const FrameGoal& first = frame.goals.front();
  std::vector<std::size_t> mains;
  for (const AxisEffect& effect : effects)
    if (!effect.other) mains.push_back(effect.axis);
  LineChart chart;
  if (frame.goals.size() > 1) {
    const FrameGoal& second = frame.goals[1];
    const std::vector<std::size_t> front = pareto_rows(frame);
    page.heading("Pareto front");
    chart.title = fmt::format("{} of {} candidates are beaten by no other", front.size(), frame.rows());
    chart.x_title = goal_name(first);
    chart.y_title = goal_name(second);
    chart.x_text = [&first](double value) { return shown_goal(first, value); };
    chart.y_text = [&second](double value) { return shown_goal(second, value); };
    page.figure(scatter(frame, first.of_row, second.of_row, chart,
                        frame.goals.size() == 2 ? front : std::vector<std::size_t>{}, colour_axis(frame, effects)));
  } else if (!mains.empty()) {
    const FrameAxis& axis = frame.axes[mains.front()];
    std::vector<double> xs;
    for (const std::uint32_t level : axis.level_of_row)
      xs.push_back(axis.values.empty() ? level + 1.0 : axis.values[level]);
    page.heading("Scatter");
    chart.title = fmt::format("{} by {}", goal_name(first), axis.name);
    if (axis.values.empty()) chart.caption = "The values of the axis in their order.";
    chart.x_title = axis.name;
    chart.y_title = goal_name(first);
    chart.x_text = [](double value) { return fmt::format("{:.4g}", value); };
    chart.y_text = [&first](double value) { return shown_goal(first, value); };
    const bool second_colours = mains.size() > 1 && frame.axes[mains[1]].levels.size() <= 8;
    page.figure(scatter(frame, xs, first.of_row, chart, {}, second_colours ? &frame.axes[mains[1]] : nullptr));
  }
  if (!effects.empty()) {
    page.heading("What matters");
    std::vector<std::vector<std::string>> rows;
    for (const AxisEffect& effect : effects) {
      if (effect.share < 0.001 || rows.size() >= 12) continue;
      std::string name = frame.axes[effect.axis].name;
      if (effect.other) name += " with " + frame.axes[*effect.other].name;
      rows.push_back({name, format_percent(effect.share)});
    }
    page.table({"axis", "share of the variance"}, rows, {Align::left, Align::right});
    page.note(
        "Of the goal's variance (of its logarithm where all figures are positive), by axis and by pair beyond what "
        "each "
        "has alone. Where candidates are missing the shares overlap.");
  }
  if (mains.size() > 1) {
    page.heading("Two axes");
    page.figure(heat_map(frame, mains[0], mains[1]));
  }
  page.heading("All axes at once");
  page.own_figure("A line per candidate; the best tenth in colour.",
                  "<div class=\"scroll\" tabindex=\"0\">" + parallel(frame, ranked) + "</div>\n");
}

}  // namespace

std::string to_html(const SweepFrame& frame) {
  const StoreCounts& counts = frame.sweep.counts;
  Page page(frame.sweep.title.empty() ? frame.sweep.name : frame.sweep.title);
  std::vector<std::string> goals;
  for (const FrameGoal& goal : frame.goals) goals.push_back((goal.smallest ? "least " : "most ") + goal_name(goal));
  page.lead(fmt::format("{} candidates: {} with figures, {} refused, {} failed. Goal{}: {}.",
                        format_integer(static_cast<double>(counts.all())),
                        format_integer(static_cast<double>(counts.ok)), counts.refused, counts.failed,
                        goals.size() == 1 ? "" : "s", fmt::join(goals, ", ")));
  if (frame.rows() == 0) {
    page.paragraph("No candidate has figures to show.");
    return page.str();
  }
  const std::vector<std::size_t> ranked = ranked_rows(frame);
  page.headline(fmt::format("Best: {}.", inputs_of(frame, ranked.front())));
  add_pictures(page, frame, ranked);
  constexpr std::size_t kTableRows = 500;
  const auto shown = static_cast<std::ptrdiff_t>(std::min(ranked.size(), kTableRows));
  page.heading("Candidates");
  page.own_figure(fmt::format("The best {} of {}; a click on a heading sorts.", shown, ranked.size()),
                  sorted_table(frame, {ranked.begin(), ranked.begin() + shown}));
  return page.str();
}

}  // namespace flopcast
