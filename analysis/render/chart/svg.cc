#include "analysis/render/chart/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/text/escape.h"
#include "analysis/render/text/format.h"

namespace flopcast::svg {
namespace {

std::string percent(double share) { return fmt::format("{:.5g}%", std::round(share * 1e5) / 1e3); }

std::string class_of(std::string_view classes) { return classes.empty() ? "" : fmt::format(" class=\"{}\"", classes); }

}  // namespace

double text_width(std::string_view text) { return kLetter * static_cast<double>(display_width(text)); }

std::string text(double x, double y, std::string_view words, std::string_view anchor, std::string_view classes,
                 double dx) {
  return fmt::format("<text x=\"{}\" y=\"{:.4g}\"{}{}{}>{}</text>\n", percent(x), y,
                     anchor == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor),
                     dx == 0 ? "" : fmt::format(" dx=\"{:.4g}\"", dx), class_of(classes), html_escaped(words));
}

std::string rect(double x, double y, double width, double height, std::string_view classes, std::string_view note) {
  constexpr double kLeast = 0.0015;  // what is there is seen
  return fmt::format("<rect x=\"{}\" y=\"{:.4g}\" width=\"{}\" height=\"{:.4g}\"{}><title>{}</title></rect>\n",
                     percent(std::min(x, 1 - kLeast)), y, percent(std::max(width, kLeast)), height, class_of(classes),
                     html_escaped(note));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view classes) {
  return fmt::format("<line x1=\"{}\" y1=\"{:.4g}\" x2=\"{}\" y2=\"{:.4g}\"{}/>\n", percent(x1), y1, percent(x2), y2,
                     class_of(classes));
}

std::vector<std::string> broken(std::string_view words, double pixels) {
  const auto letters = static_cast<std::size_t>(std::max(8.0, pixels / kLetter));
  const std::string text = wrap(words, letters, "");
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(shorten(text.substr(at, end - at), letters));
    at = end + 1;
  }
  return out;
}

std::string lines(double x, double y, const std::vector<std::string>& words, std::string_view anchor,
                  std::string_view classes, double dx) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += text(x, y + kTextLine * static_cast<double>(i), words[i], anchor, classes, dx);
  return out;
}

std::string_view anchor_at(double x) { return x < 0.02 ? "start" : x > 0.98 ? "end" : "middle"; }

std::string grid(const Axis& axis, double top, double bottom, const ValueText& value, double narrow, double wide) {
  const std::vector<double>& ticks = axis.ticks();
  double widest = 0;
  for (const double tick : ticks) widest = std::max(widest, text_width(value(tick)));
  // The outer labels stand inside the picture: they take half as much again from their neighbours.
  const auto every_in = [&](double width, std::size_t unit) {
    std::size_t every = unit;
    while (every < ticks.size() &&
           static_cast<double>(ticks.size() - 1) / static_cast<double>(every) * (1.5 * widest + 8) > width)
      every += unit;
    return every;
  };
  // What has room wherever the class "w" is shown, and of that what has on a phone.
  const std::size_t often = every_in(std::max(narrow, wide), 1), seldom = every_in(narrow, often);
  std::string out;
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    const double x = axis.at(ticks[i]);
    out += line(x, top, x, bottom, "line");
    if (i % often == 0)
      out += text(x, bottom + 16, value(ticks[i]), anchor_at(x), i % seldom == 0 ? "quiet" : "quiet w");
  }
  return out;
}

std::string key(const std::vector<ChartKey>& key) {
  if (key.empty()) return {};
  std::string out = "<p class=\"key\">";
  for (const ChartKey& entry : key) {
    out += fmt::format("<span><i class=\"t-{}\"></i>{}</span> ", row_of(entry.tone).name, html_escaped(entry.name));
  }
  return out + "</p>\n";
}

}  // namespace flopcast::svg
