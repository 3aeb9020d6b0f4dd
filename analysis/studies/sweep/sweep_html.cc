// A sweep as one page.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "analysis/render/escape.h"
#include "analysis/render/format.h"
#include "analysis/render/page.h"
#include "analysis/studies/sweep/sweep_show.h"

namespace flopcast {
namespace {

constexpr double kPageWidth = 900;

/// A scale from figures to places, logarithmic where it spans more than a factor of three and all are positive.
class PageScale {
 public:
  PageScale(double low, double high, double from, double to)
      : logarithmic_(low > 0 && high > 3 * low), low_(at(low)), high_(at(high)), from_(from), to_(to) {}
  double operator()(double value) const {
    return high_ > low_ ? from_ + (to_ - from_) * (at(value) - low_) / (high_ - low_) : (from_ + to_) / 2;
  }
  /// About five round figures.
  std::vector<double> ticks() const {
    std::vector<double> out;
    const double span = high_ - low_;
    if (span <= 0) return {logarithmic_ ? std::exp(low_) : low_};
    if (logarithmic_) {
      for (double power = std::floor(low_ / std::log(10.0)); power <= high_ / std::log(10.0); power += 1)
        for (const double step : {1.0, 2.0, 5.0}) {
          const double value = step * std::pow(10.0, power);
          if (at(value) >= low_ - 1e-9 && at(value) <= high_ + 1e-9) out.push_back(value);
        }
      return out;
    }
    const double rough = span / 5, power = std::pow(10.0, std::floor(std::log10(rough)));
    const double step = (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : rough / power < 7.5 ? 5 : 10) * power;
    for (double value = std::ceil(low_ / step) * step; value <= high_ + step * 1e-9; value += step)
      out.push_back(value);
    return out;
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
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kPageWidth, height,
                     html_escaped(what));
}

std::string svg_text(double x, double y, const std::string& anchor, const std::string& text, bool quiet = true) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor,
                     quiet ? " class=\"quiet\"" : "", html_escaped(text));
}

std::string svg_line(double x1, double y1, double x2, double y2) {
  return fmt::format("<line class=\"line\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", x1, y1, x2,
                     y2);
}

/// What a row sets, for those who point at it.
std::string inputs_of(const SweepFrame& frame, std::size_t row) {
  std::vector<std::string> parts{fmt::format("number {}", frame.number[row])};
  for (const FrameAxis& axis : frame.axes)
    parts.push_back(
        fmt::format("{}: {}", axis.name.substr(axis.name.rfind('.') + 1), axis.levels[axis.level_of_row[row]]));
  for (const FrameGoal& goal : frame.goals)
    parts.push_back(fmt::format("{}: {}", goal.title, shown_goal(goal, goal.of_row[row])));
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

std::string legend(const FrameAxis* axis, double y) {
  if (!axis) return "";
  std::string out = svg_text(70, y, "start", axis->name.substr(axis->name.rfind('.') + 1) + ":");
  double x = 80 + 7.5 * static_cast<double>(axis->name.size() - axis->name.rfind('.') % axis->name.size());
  for (std::size_t i = 0; i < axis->levels.size(); ++i) {
    const std::string text = shorten(axis->levels[i], 18);
    out += fmt::format("<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/>\n", i % 8, x, y - 4);
    out += svg_text(x + 9, y, "start", text, false);
    x += 26 + 7.5 * static_cast<double>(display_width(text));
  }
  return out;
}

struct PagePoint {
  double x, y;
  std::size_t row;
};

/// Points of two figures, the front joined by a line.
std::string scatter(const SweepFrame& frame, const std::vector<double>& xs, const std::vector<double>& ys,
                    const std::string& x_title, const std::string& y_title, const std::vector<std::size_t>& front,
                    const FrameAxis* colours, const FrameGoal* x_goal, const FrameGoal& y_goal) {
  constexpr double kLeft = 90, kRight = 20, kTop = 40, kBottom = 50, kHeight = 440;
  constexpr std::size_t kMostPoints = 3000;
  const PageScale x = scale_of(xs, kLeft, kPageWidth - kRight), y = scale_of(ys, kHeight - kBottom, kTop);
  std::string out = svg_begin(kHeight, y_title + " over " + x_title) + legend(colours, 18);
  for (const double tick : x.ticks()) {
    out += svg_line(x(tick), kTop, x(tick), kHeight - kBottom);
    out += svg_text(x(tick), kHeight - kBottom + 18, "middle",
                    x_goal ? shown_goal(*x_goal, tick) : fmt::format("{:.4g}", tick));
  }
  for (const double tick : y.ticks()) {
    out += svg_line(kLeft, y(tick), kPageWidth - kRight, y(tick));
    out += svg_text(kLeft - 8, y(tick) + 4, "end", shown_goal(y_goal, tick));
  }
  out += svg_text((kLeft + kPageWidth) / 2, kHeight - 8, "middle", x_title, false);
  out += svg_text(8, 34, "start", "", false);
  std::string path;
  for (const std::size_t row : front)
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : " L", x(xs[row]), y(ys[row]));
  if (!path.empty()) out += fmt::format("<path class=\"path\" d=\"{}\"/>\n", path);
  for (const std::size_t row : drawn_rows(frame.rows(), kMostPoints, front)) {
    const bool on_front = std::find(front.begin(), front.end(), row) != front.end();
    out += fmt::format(
        "<circle class=\"c{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill-opacity=\"{}\"><title>{}</title></circle>\n",
        colours ? colours->level_of_row[row] % 8 : 0, x(xs[row]), y(ys[row]), on_front ? 5 : 3.2,
        on_front ? "1" : "0.6", html_escaped(inputs_of(frame, row)));
  }
  return out + "</svg>\n";
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
    out += line_of(row, "style=\"stroke:var(--c7)\" stroke-opacity=\"0.25\"");
  for (auto row = leading.rbegin(); row != leading.rend(); ++row)
    out += line_of(*row, "style=\"stroke:var(--c1)\" stroke-width=\"1.6\" stroke-opacity=\"0.8\"");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    out += fmt::format("<line class=\"ink\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>\n", place_x(i), kTop,
                       kHeight - kBottom);
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

/// The best figure for each pair of levels.
std::string heat_map(const SweepFrame& frame, std::size_t across, std::size_t down) {
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
  std::vector<double> all;
  for (const auto& line : best)
    for (const auto& cell : line)
      if (cell) all.push_back(*cell);
  const PageScale strength = scale_of(all, goal.smallest ? 0.85 : 0.08, goal.smallest ? 0.08 : 0.85);
  constexpr double kLeft = 170, kTop = 58, kCell = 34;
  const double width = (kPageWidth - kLeft - 10) / static_cast<double>(columns),
               height = kTop + kCell * static_cast<double>(lines) + 8;
  std::string out = svg_begin(height, "best by two axes") +
                    svg_text((kLeft + kPageWidth) / 2, 16, "middle", x.name, false) +
                    svg_text(8, 16, "start", y.name, false);
  for (std::size_t i = 0; i < columns; ++i)
    out += svg_text(kLeft + width * (static_cast<double>(i) + 0.5), kTop - 10 - (width < 60 && i % 2 == 1 ? 14 : 0),
                    "middle", shorten(x.levels[i], width < 60 ? 10 : 18));
  for (std::size_t j = 0; j < lines; ++j) {
    const double top = kTop + kCell * static_cast<double>(j);
    out += svg_text(kLeft - 8, top + kCell / 2 + 4, "end", shorten(y.levels[j], 22));
    for (std::size_t i = 0; i < columns; ++i) {
      const double left = kLeft + width * static_cast<double>(i);
      if (!best[j][i]) continue;
      out += fmt::format(
          "<rect class=\"c0\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
          "fill-opacity=\"{:.2f}\"><title>{}</title></rect>\n",
          left + 1, top + 1, width - 2, kCell - 2, strength(*best[j][i]) * 0.6,
          html_escaped(fmt::format("{}, {}: {}", x.levels[i], y.levels[j], shown_goal(goal, *best[j][i]))));
      if (width >= 44)
        out += svg_text(left + width / 2, top + kCell / 2 + 4, "middle",
                        width >= 70 ? shown_goal(goal, *best[j][i]) : fmt::format("{:.3g}", *best[j][i]), false);
    }
  }
  return out + "</svg>\n";
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
<style>.sorts th button { all: unset; cursor: pointer; } .sorts th button:focus-visible { outline: 2px solid var(--c0); }
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
  for (const FrameGoal& goal : frame.goals) heading(goal.title, true);
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

}  // namespace

std::string to_html(const SweepFrame& frame) {
  const StoreCounts& counts = frame.sweep.counts;
  Page page(frame.sweep.title.empty() ? frame.sweep.name : frame.sweep.title);
  page.lead(fmt::format("{} candidates: {} with figures, {} refused, {} failed. Goal: {}.",
                        format_integer(static_cast<double>(counts.all())),
                        format_integer(static_cast<double>(counts.ok)), counts.refused, counts.failed,
                        frame.goals.front().text));
  if (frame.rows() == 0) {
    page.paragraph("No candidate has figures to show.");
    return page.str();
  }
  const std::vector<std::size_t> ranked = ranked_rows(frame);
  const std::vector<AxisEffect> effects = axis_effects(frame);
  const FrameAxis* const colours = colour_axis(frame, effects);
  const FrameGoal& first = frame.goals.front();
  page.paragraph(fmt::format("Best: {}.", inputs_of(frame, ranked.front())));
  const std::vector<std::size_t> front = frame.goals.size() > 1 ? pareto_rows(frame) : std::vector<std::size_t>{};
  if (frame.goals.size() > 1) {
    page.heading("Pareto front");
    const FrameGoal& second = frame.goals[1];
    const std::vector<std::size_t> line = frame.goals.size() == 2 ? front : std::vector<std::size_t>{};
    page.own_figure(
        fmt::format("{} (up) over {} (right). {} candidates are beaten by no other; a line joins them.", second.title,
                    first.title, front.size()),
        scatter(frame, first.of_row, second.of_row, first.title, second.title, line, colours, &first, second));
  }
  std::vector<std::size_t> mains;
  for (const AxisEffect& effect : effects)
    if (!effect.other) mains.push_back(effect.axis);
  if (!mains.empty() && frame.goals.size() == 1) {
    const FrameAxis& axis = frame.axes[mains.front()];
    std::vector<double> xs;
    for (const std::uint32_t level : axis.level_of_row) xs.push_back(axis.values.empty() ? level : axis.values[level]);
    page.heading("Scatter");
    page.own_figure(
        fmt::format("{} (up) over {} (right){}.", first.title, axis.name,
                    axis.values.empty() ? ", by the order of its values" : ""),
        scatter(frame, xs, first.of_row, axis.name, first.title, {},
                mains.size() > 1 && frame.axes[mains[1]].levels.size() <= 8 ? &frame.axes[mains[1]] : nullptr, nullptr,
                first));
  }
  if (!effects.empty()) {
    page.heading("What matters");
    std::vector<std::vector<std::string>> rows;
    for (const AxisEffect& effect : effects) {
      if (effect.share < 0.001 || rows.size() >= 12) continue;
      std::string name = frame.axes[effect.axis].name;
      if (effect.other) name += " with " + frame.axes[*effect.other].name;
      rows.push_back({name, fmt::format("{:.1f} %", 100 * effect.share)});
    }
    page.table({"axis", "share of the variance"}, rows, {Align::left, Align::right});
    page.note(
        "Of the goal's variance (of its logarithm where all figures are positive), by axis and by pair beyond what "
        "each has alone. Where candidates are missing the shares overlap.");
  }
  if (mains.size() > 1) {
    page.heading("Two axes");
    page.own_figure(
        fmt::format("The best {} for each pair of values; darker is better, empty has no result.", first.title),
        heat_map(frame, mains[0], mains[1]));
  }
  page.heading("All axes at once");
  page.own_figure("A line per candidate; the best tenth in colour.", parallel(frame, ranked));
  constexpr std::size_t kTableRows = 500;
  page.heading("Candidates");
  page.own_figure(
      ranked.size() > kTableRows
          ? fmt::format("The best {} of {}; a click on a heading sorts.", kTableRows, ranked.size())
          : "A click on a heading sorts.",
      sorted_table(
          frame, {ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(std::min(ranked.size(), kTableRows))}));
  return page.str();
}

}  // namespace flopcast
