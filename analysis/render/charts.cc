#include "analysis/render/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/format.h"
#include "analysis/render/html_page.h"

namespace flopcast {
namespace {

constexpr double kPageWidth = 920, kRow = 28, kBar = 18, kLabel = 270, kRight = 150;
/// Of a letter in the page's font at 13 px: wide enough for what stands in labels.
constexpr double kLetter = 7.1;
constexpr int kColours = 8;

double text_width(const std::string& text) { return kLetter * static_cast<double>(display_width(text)); }

std::string text(double x, double y, const std::string& words, const char* anchor = "start", const char* style = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor,
                     *style ? fmt::format(" class=\"{}\"", style) : "", html_escaped(words));
}

std::string rect(double x, double y, double width, double height, const std::string& style, const std::string& title) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
      "class=\"{}\"><title>{}</title></rect>\n",
      x, y, std::max(width, 1.0), height, style, html_escaped(title));
}

std::string line(double x1, double y1, double x2, double y2, const char* style, bool dashed = false) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"{}/>\n", x1, y1, x2, y2,
                     style, dashed ? " stroke-dasharray=\"3 3\"" : "");
}

std::string svg(double height, const std::string& label, const std::string& body) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n", kPageWidth,
                     height, html_escaped(label), body);
}

/// Cut so that it fits beside the bars.
std::string label(double y, const std::string& name) {
  return text(kLabel - 10, y, shorten(name, static_cast<std::size_t>((kLabel - 14) / kLetter)), "end");
}

/// The next of 1, 2, 5 times a power of ten.
double round_step(double at_least) {
  const double power = std::pow(10.0, std::floor(std::log10(std::max(at_least, 1e-300))));
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= at_least * (1 - 1e-9)) return digit * power;
  }
  return 10 * power;
}

/// A straight axis with round ticks.
class Axis {
 public:
  Axis(double low, double high, double from, double to, int ticks) : from_(from), to_(to) {
    if (!(high > low)) high = low + std::max(std::abs(low) * 0.1, 1e-9);
    step_ = round_step((high - low) / ticks);
    low_ = std::floor(low / step_ + 1e-9) * step_;
    high_ = std::ceil(high / step_ - 1e-9) * step_;
  }
  double at(double value) const { return from_ + (value - low_) / (high_ - low_) * (to_ - from_); }
  double low() const { return low_; }
  std::vector<double> ticks() const {
    std::vector<double> out;
    const int count = static_cast<int>(std::lround((high_ - low_) / step_));
    for (int i = 0; i <= count; ++i) out.push_back(std::abs(low_ + i * step_) < step_ * 1e-9 ? 0 : low_ + i * step_);
    return out;
  }

 private:
  double from_, to_, step_ = 1, low_ = 0, high_ = 1;
};

/// Vertical grid lines with their values below.
std::string grid(const Axis& axis, double top, double bottom, ValueText value) {
  std::string out;
  for (const double tick : axis.ticks()) {
    out += line(axis.at(tick), top, axis.at(tick), bottom, "line");
    out += text(axis.at(tick), bottom + 17, value(tick), "middle", "quiet");
  }
  return out;
}

std::string signed_text(double value, ValueText text) { return (value < 0 ? "−" : "+") + text(std::abs(value)); }

/// Where labels stand already, so that further ones keep off.
class Occupied {
 public:
  void mark(double x, double y, double width, double height) { boxes_.push_back({x, y, x + width, y + height}); }

  /// Marks the line from one place to another.
  void mark_line(double x1, double y1, double x2, double y2) {
    const int steps = 1 + static_cast<int>(std::hypot(x2 - x1, y2 - y1) / 6);
    for (int i = 0; i <= steps; ++i) {
      const double t = static_cast<double>(i) / steps;
      mark(std::lerp(x1, x2, t) - 2, std::lerp(y1, y2, t) - 2, 4, 4);
    }
  }

  /// Marks a place that is free; false where it is not.
  bool take(double x, double y, double width, double height) {
    const bool free = std::none_of(boxes_.begin(), boxes_.end(), [&](const Box& other) {
      return x < other.x2 && other.x1 < x + width && y < other.y2 && other.y1 < y + height;
    });
    if (free) mark(x, y, width, height);
    return free;
  }

 private:
  struct Box {
    double x1, y1, x2, y2;
  };
  std::vector<Box> boxes_;
};

}  // namespace

std::string svg_of(const WaterfallChart& chart) {
  double low = 0, high = 0, at = 0;
  bool first = true;
  for (const WaterfallStep& step : chart.steps) {
    at = step.sum ? step.value : at + step.value;
    low = first ? at : std::min(low, at);
    high = first ? at : std::max(high, at);
    first = false;
  }
  // Small changes of a large sum are seen only when the axis does not begin at zero.
  const double span = high - low;
  const bool from_zero = low < 3 * span || low <= 0;
  const Axis axis(from_zero ? std::min(low, 0.0) : low - span / 4, high, kLabel, kPageWidth - kRight, 6);
  const double bottom = 10 + kRow * static_cast<double>(chart.steps.size());
  std::string out = grid(axis, 4, bottom, chart.tick ? chart.tick : chart.text);
  double before = 0, y = 10;
  for (const WaterfallStep& step : chart.steps) {
    const double start = step.sum ? std::max(axis.low(), std::min(0.0, step.value)) : before;
    const double end = step.sum ? step.value : before + step.value;
    const double left = axis.at(std::min(start, end)), right = axis.at(std::max(start, end));
    const bool worse = (end > start) == chart.more_is_worse;
    const std::string value = step.sum ? chart.text(step.value) : signed_text(step.value, chart.text);
    out += label(y + 14, step.name);
    out += rect(left, y, right - left, kBar, step.sum ? "sum" : worse ? "more" : "less", step.name + ": " + value);
    out += text(right + 6, y + 14, value);
    if (&step != &chart.steps.back()) out += line(axis.at(end), y + kBar, axis.at(end), y + kRow, "ink", true);
    before = end;
    y += kRow;
  }
  if (!from_zero) out += text(kPageWidth - 4, bottom + 34, "axis does not begin at 0", "end", "quiet");
  return svg(bottom + (from_zero ? 26 : 42), "Waterfall", out);
}

std::string svg_of(const TornadoChart& chart) {
  double low = chart.centre, high = chart.centre, widest = 0;
  for (const TornadoBar& bar : chart.bars) {
    low = std::min({low, bar.at_low, bar.at_high});
    high = std::max({high, bar.at_low, bar.at_high});
    widest = std::max({widest, text_width(bar.low), text_width(bar.high)});
  }
  // What the input is stands outside the bars on both sides.
  const double margin = widest + 14;
  const Axis axis(low, high, kLabel + margin, kPageWidth - margin - 4, 5);
  const double bottom = 10 + kRow * static_cast<double>(chart.bars.size());
  std::string out = grid(axis, 4, bottom, chart.tick);
  double y = 10;
  for (const TornadoBar& bar : chart.bars) {
    out += label(y + 14, bar.name);
    const bool rises = bar.at_high >= bar.at_low;
    const double left = axis.at(std::min(bar.at_low, bar.at_high)), right = axis.at(std::max(bar.at_low, bar.at_high));
    const double centre = std::clamp(axis.at(chart.centre), left, right);
    out += rect(left, y, centre - left, kBar, rises ? "c0" : "c1", bar.name + " " + (rises ? bar.low : bar.high));
    out += rect(centre, y, right - centre, kBar, rises ? "c1" : "c0", bar.name + " " + (rises ? bar.high : bar.low));
    out += text(left - 6, y + 14, rises ? bar.low : bar.high, "end", "quiet");
    out += text(right + 6, y + 14, rises ? bar.high : bar.low, "start", "quiet");
    y += kRow;
  }
  out += line(axis.at(chart.centre), 4, axis.at(chart.centre), bottom, "ink");
  return svg(bottom + 26, "Tornado: what matters most", out);
}

std::string svg_of(const StackedChart& chart) {
  double most = 0;
  for (const StackedBar& bar : chart.bars) {
    double sum = 0;
    for (const double part : bar.parts) sum += part;
    most = std::max(most, sum);
  }
  std::string out;
  double x = 0, y = 12;
  for (std::size_t i = 0; i < chart.parts.size(); ++i) {
    const double width = 18 + text_width(chart.parts[i]) + 16;
    if (x + width > kPageWidth) x = 0, y += 22;
    out += rect(x, y - 11, 12, 12, fmt::format("c{}", i % kColours), chart.parts[i]);
    out += text(x + 18, y, chart.parts[i]);
    x += width;
  }
  const double top = y + 14;
  constexpr double kNames = 110, kSums = 220;
  const double bottom = top + 6 + kRow * static_cast<double>(chart.bars.size());
  const Axis axis(0, most, kNames, kPageWidth - kSums, 6);
  out += grid(axis, top, bottom, chart.tick ? chart.tick : chart.text);
  y = top + 6;
  for (const StackedBar& bar : chart.bars) {
    out += text(kNames - 10, y + 14, bar.name, "end");
    double sum = 0;
    for (std::size_t i = 0; i < bar.parts.size(); ++i) {
      if (bar.parts[i] <= 0) continue;
      out += rect(axis.at(sum), y, axis.at(sum + bar.parts[i]) - axis.at(sum), kBar, fmt::format("c{}", i % kColours),
                  chart.parts[i] + ": " + chart.text(bar.parts[i]));
      sum += bar.parts[i];
    }
    out += text(axis.at(sum) + 6, y + 14, chart.text(sum) + (bar.range.empty() ? "" : "  (" + bar.range + ")"));
    y += kRow;
  }
  return svg(bottom + 26, "Parts", out);
}

std::string svg_of(const FrontierChart& chart) {
  constexpr double kLeft = 90, kTop = 26, kBottom = 400, kEnd = kPageWidth - 30;
  double x1 = 1e300, x2 = -1e300, y1 = 1e300, y2 = -1e300;
  for (const FrontierPoint& p : chart.points) {
    x1 = std::min(x1, p.x), x2 = std::max(x2, p.x);
    y1 = std::min(y1, p.y), y2 = std::max(y2, p.y);
  }
  if (chart.points.empty()) return svg(40, "Frontier", text(kPageWidth / 2, 24, "nothing to show", "middle", "quiet"));
  const Axis across(x1, x2, kLeft, kEnd, 7), up(y1, y2, kBottom, kTop, 6);
  std::string out = grid(across, kTop, kBottom, chart.x_text);
  for (const double tick : up.ticks()) {
    out += line(kLeft, up.at(tick), kEnd, up.at(tick), "line");
    out += text(kLeft - 8, up.at(tick) + 4, chart.y_text(tick), "end", "quiet");
  }
  out += text(kLeft, 12, chart.y_title) + text(kEnd, kBottom + 36, chart.x_title, "end");

  std::vector<FrontierPoint> frontier;
  for (const FrontierPoint& p : chart.points) {
    if (p.on_frontier) frontier.push_back(p);
  }
  std::sort(frontier.begin(), frontier.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
  std::string path;
  for (const FrontierPoint& p : frontier)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", across.at(p.x), up.at(p.y));
  if (!path.empty()) out += "<path class=\"path\" d=\"" + path + "\"/>\n";

  Occupied taken;
  for (const FrontierPoint& p : chart.points) taken.mark(across.at(p.x) - 6, up.at(p.y) - 6, 12, 12);
  for (std::size_t i = 1; i < frontier.size(); ++i) {
    taken.mark_line(across.at(frontier[i - 1].x), up.at(frontier[i - 1].y), across.at(frontier[i].x),
                    up.at(frontier[i].y));
  }
  // Names of the frontier's points first: a name that finds no room is left to the tooltip.
  std::vector<const FrontierPoint*> order;
  for (const FrontierPoint& p : chart.points) order.push_back(&p);
  std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->on_frontier > b->on_frontier; });
  for (const FrontierPoint* p : order) {
    const double x = across.at(p->x), y = up.at(p->y), width = text_width(p->name);
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" class=\"{}\"><title>{}: {}, {}</title></circle>\n",
                       x, y, p->on_frontier ? "c0" : "c7", html_escaped(p->name), html_escaped(chart.x_text(p->x)),
                       html_escaped(chart.y_text(p->y)));
    const double starts[][2] = {{x + 9, y - 8},          {x - 9 - width, y - 8},  {x + 8, y - 23},
                                {x + 8, y + 7},          {x - 8 - width, y - 23}, {x - 8 - width, y + 7},
                                {x - width / 2, y - 25}, {x - width / 2, y + 9}};
    for (const auto& [left, top] : starts) {
      if (left < kLeft || left + width > kPageWidth || top < 14 || top + 16 > kBottom ||
          !taken.take(left, top, width, 16))
        continue;
      out += text(left, top + 12, p->name);
      break;
    }
  }
  return svg(kBottom + 46, "Frontier", out);
}

namespace {

std::string path_of(const ChartLine& line, const Axis& across, const Axis& up, int colour) {
  std::string path;
  for (const ChartPoint& p : line.points)
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", across.at(p.x), up.at(p.y));
  return fmt::format("<path d=\"{}\" style=\"fill:none;stroke:var(--c{});stroke-width:{}\"/>\n", path, colour,
                     line.marks ? 2 : 1.5);
}

std::string mark_of(const ChartPoint& p, const ChartLine& line, const LineChart& chart, const Axis& across,
                    const Axis& up, int colour) {
  const std::string note = fmt::format("{}: {}, {}{}{}", line.name, chart.x_text(p.x), chart.y_text(p.y),
                                       p.note.empty() ? "" : "; ", p.note);
  return fmt::format(
      "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" "
      "style=\"fill:var(--{});stroke:var(--c{});stroke-width:2\"><title>{}</title></circle>\n",
      across.at(p.x), up.at(p.y), p.strong ? fmt::format("c{}", colour) : "paper", colour, html_escaped(note));
}

}  // namespace

std::string svg_of(const LineChart& chart) {
  constexpr double kLeft = 90, kEnd = kPageWidth - 30, kLegendRow = 20;
  double most_x = 0, most_y = 0;
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& p : line.points) most_x = std::max(most_x, p.x), most_y = std::max(most_y, p.y);
  }
  if (most_x <= 0) return svg(40, "Lines", text(kPageWidth / 2, 24, "nothing to show", "middle", "quiet"));
  std::string out;
  double top = 14;
  if (chart.lines.size() > 1) {
    for (std::size_t i = 0; i < chart.lines.size(); ++i, top += kLegendRow) {
      out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" class=\"c{}\"/>\n", kLeft,
                         top - 10, static_cast<int>(i) % kColours);
      out += text(kLeft + 18, top, chart.lines[i].name);
    }
    top += 8;
  }
  out += text(kLeft, top, chart.y_title);
  top += 14;
  const double bottom = top + (chart.lines.front().marks ? 340 : 200);
  const Axis across(0, most_x, kLeft, kEnd, 7), up(0, most_y, bottom, top, 5);
  out += grid(across, top, bottom, chart.x_text);
  for (const double tick : up.ticks()) {
    out += line(kLeft, up.at(tick), kEnd, up.at(tick), "line");
    out += text(kLeft - 8, up.at(tick) + 4, chart.y_text(tick), "end", "quiet");
  }
  out += text(kEnd, bottom + 36, chart.x_title, "end");
  for (std::size_t i = 0; i < chart.lines.size(); ++i)
    out += path_of(chart.lines[i], across, up, static_cast<int>(i) % kColours);
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    if (!chart.lines[i].marks) continue;
    for (const ChartPoint& p : chart.lines[i].points)
      out += mark_of(p, chart.lines[i], chart, across, up, static_cast<int>(i) % kColours);
  }
  return svg(bottom + 46, "Lines", out);
}

}  // namespace flopcast
