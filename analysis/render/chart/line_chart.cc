#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analysis/render/chart/chart.h"
#include "analysis/render/chart/svg.h"
#include "analysis/render/text/escape.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

constexpr double kTop = 26, kBelow = 40, kLabelLine = 16, kSwatch = 20, kSamePlace = 6;
constexpr std::size_t kLongestLabel = 24;

/// Where labels stand already, so that further ones keep off. Pixels.
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

  bool free(double x, double y, double width, double height) const {
    return std::none_of(boxes_.begin(), boxes_.end(), [&](const Box& other) {
      return x < other.x2 && other.x1 < x + width && y < other.y2 && other.y1 < y + height;
    });
  }

 private:
  struct Box {
    double x1, y1, x2, y2;
  };
  std::vector<Box> boxes_;
};

/// A place for a label beside its point.
struct Beside {
  double dx, dy;
  std::string_view anchor;
};
constexpr Beside kPlaces[] = {{9, 4, "start"}, {-9, 4, "end"},  {7, -9, "start"},   {7, 17, "start"},
                              {-7, -9, "end"}, {-7, 17, "end"}, {0, -11, "middle"}, {0, 20, "middle"}};

class Plot {
 public:
  explicit Plot(const LineChart& chart)
      : chart_(chart),
        across_(axis(true)),
        up_(axis(false)),
        height_(chart.height > 0 ? chart.height : usual_height()) {
    for (const double tick : up_.ticks()) left_ = std::max(left_, svg::text_width(chart.y_text(tick)) + 12);
    for (const ChartLine& line : chart.lines) {
      if (named(line)) longest_ = std::max(longest_, svg::text_width(line.name));
    }
    if (longest_ == 0) return;
    names_ = placed_names();
    // Names far from the ends of their lines point at others: a key says more then.
    constexpr double kFar = 24;
    keyed_ = std::any_of(names_.begin(), names_.end(),
                         [](const Name& name) { return std::abs(name.y - name.end_y) > kFar; });
    if (keyed_) return;
    letters_ = longest_ > 100;
    right_ = std::min(longest_, 30 * svg::kLetter) + 16 + kSwatch;
    right_narrow_ = letters_ ? 22 + kSwatch : right_;
  }

  std::string svg() const {
    std::string out = svg::lines(0, 12, y_title(), "start", "", -left_);
    out += fmt::format("<g transform=\"translate(0,{:.0f})\">\n", top());
    out += svg::grid(across_, 0, height_, chart_.x_text, svg::kNarrow - left_ - right_narrow_,
                     svg::kWide - left_ - right_);
    for (const double tick : up_.ticks()) {
      out += svg::line(0, y(tick), 1, y(tick), "line");
      out += svg::text(0, y(tick) + 4, chart_.y_text(tick), "end", "quiet", -8);
    }
    out += svg::lines(1, height_ + 34, x_title(), "end", "quiet");
    for (std::size_t i = 0; i < chart_.lines.size(); ++i) out += path(chart_.lines[i], tone(i));
    out += names();
    for (std::size_t i = 0; i < chart_.lines.size(); ++i) out += marks(chart_.lines[i], tone(i));
    return out + point_labels() + "</g>\n";
  }

  /// Puts it into a drawing.
  void place(Drawing& drawing) const {
    drawing.svg = svg();
    drawing.height = top() + height_ + kBelow + svg::kTextLine * static_cast<double>(x_title().size() - 1);
    drawing.left = left_;
    drawing.right = right_;
    drawing.right_narrow = right_narrow_;
  }

  /// Of series that are not named at the ends of their lines.
  std::vector<ChartKey> point_key() const {
    std::vector<ChartKey> key;
    for (std::size_t i = 0; i < chart_.lines.size(); ++i) {
      const ChartLine& line = chart_.lines[i];
      if ((keyed_ ? named(line) : false) || (!line.line && !line.name.empty() && !line.points.empty()))
        key.push_back({tone(i), line.name});
    }
    return key;
  }

  /// What the letters at lines stand for, for narrow pages.
  std::string letter_key() const {
    if (!letters_) return {};
    std::string out = "<p class=\"key n\">";
    for (std::size_t i = 0; i < chart_.lines.size(); ++i) {
      if (!named(chart_.lines[i])) continue;
      out += fmt::format("<span><i class=\"t-{}\"></i>{} {}</span> ", row_of(tone(i)).name, letter(i),
                         html_escaped(chart_.lines[i].name));
    }
    return out + "</p>\n";
  }

 private:
  std::vector<std::string> y_title() const { return svg::broken(chart_.y_title, svg::kNarrow); }
  std::vector<std::string> x_title() const { return svg::broken(chart_.x_title, svg::kNarrow - right_narrow_); }
  double top() const { return kTop + svg::kTextLine * static_cast<double>(y_title().size() - 1); }
  bool named(const ChartLine& line) const {
    return chart_.lines.size() > 1 && line.line && !line.name.empty() && !line.points.empty();
  }
  double usual_height() const {
    return std::any_of(chart_.lines.begin(), chart_.lines.end(), [](const ChartLine& l) { return l.marks; }) ? 320
                                                                                                             : 200;
  }
  Axis axis(bool x) const {
    double low = 1e300, high = -1e300;
    const auto take = [&](double v) { low = std::min(low, v), high = std::max(high, v); };
    for (const ChartLine& line : chart_.lines) {
      for (const ChartPoint& p : line.points) {
        take(x ? p.x : p.y);
        if (!x && p.range) take(p.range->first), take(p.range->second);
      }
    }
    const AxisScale scale = x ? chart_.x_scale : chart_.y_scale;
    if (scale == AxisScale::linear && ((x ? chart_.x_from_zero : chart_.y_from_zero) || !(high > low))) take(0);
    return Axis(low, high, x ? 7 : 5, scale);
  }
  Tone tone(std::size_t i) const { return chart_.lines[i].tone.value_or(series_tone(i)); }
  double x(const ChartPoint& p) const { return across_.at(p.x); }
  double y(double value) const { return (1 - up_.at(value)) * height_; }
  static std::string letter(std::size_t i) {
    return i < 26 ? std::string(1, static_cast<char>('A' + i)) : fmt::format("{}", i + 1);
  }

  std::string path(const ChartLine& line, Tone tone) const {
    if (!line.line || line.points.size() < 2) return {};
    std::string d;
    for (const ChartPoint& p : line.points)
      d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? "M" : "L", x(p) * 1000, y(p.y));
    return fmt::format(
        "<svg viewBox=\"0 0 1000 {:.0f}\" preserveAspectRatio=\"none\" width=\"100%\" height=\"{:.0f}\"><path "
        "class=\"s-{}\" "
        "d=\"{}\"/></svg>\n",
        height_, height_, row_of(tone).name, d);
  }

  std::string marks(const ChartLine& line, Tone tone) const {
    std::string out;
    if (!line.marks) return out;
    for (const ChartPoint& p : line.points) {
      if (p.range) out += svg::line(x(p), y(p.range->first), x(p), y(p.range->second), "whisker");
      out += fmt::format(
          "<circle cx=\"{:.3f}%\" cy=\"{:.1f}\" r=\"4.5\" class=\"{}-{}\"><title>{}</title></circle>\n", x(p) * 100,
          y(p.y), p.strong ? "t" : "h", row_of(tone).name,
          html_escaped(fmt::format("{}{}{}, {}{}{}", line.name, line.name.empty() ? "" : ": ", chart_.x_text(p.x),
                                   chart_.y_text(p.y), p.note.empty() ? "" : "; ", p.note)));
    }
    return out;
  }

  /// A name at the right, and where its line ends.
  struct Name {
    std::size_t line;
    double end_x, end_y, y;
    std::vector<std::string> lines;
  };

  /// Each at the height where its line ends, pushed apart.
  std::vector<Name> placed_names() const {
    std::vector<Name> all;
    for (std::size_t i = 0; i < chart_.lines.size(); ++i) {
      const auto& points = chart_.lines[i].points;
      if (!named(chart_.lines[i])) continue;
      const ChartPoint& end =
          *std::max_element(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.x < b.x; });
      const std::string wrapped = wrap(chart_.lines[i].name, 30, "");
      const std::size_t cut = wrapped.find('\n');
      Name name{i, x(end), y(end.y), y(end.y), {shorten(wrapped.substr(0, cut), 30)}};
      if (cut != std::string::npos) name.lines.push_back(shorten(wrapped.substr(cut + 1), 30));
      all.push_back(std::move(name));
    }
    std::stable_sort(all.begin(), all.end(), [](const Name& a, const Name& b) { return a.end_y < b.end_y; });
    double next = -4;
    for (Name& name : all) {
      name.y = std::max(name.end_y, next);
      next = name.y + kLabelLine * static_cast<double>(name.lines.size()) + 2;
    }
    double floor = height_ + 6;
    for (auto name = all.rbegin(); name != all.rend(); ++name) {
      name->y = std::min(name->y, floor - kLabelLine * static_cast<double>(name->lines.size() - 1));
      floor = name->y - kLabelLine - 2;
    }
    return all;
  }

  std::string names() const {
    std::string out;
    if (keyed_) return out;
    for (const Name& name : names_) {
      out += svg::line(name.end_x, name.end_y, 1, name.y, "leader");
      // The word in ink, for contrast; a square before it in the colour of the line.
      const auto coloured = [&](std::string text) {
        return text.insert(text.find('>') + 1,
                           fmt::format("<tspan class=\"t-{}\">■</tspan> ", row_of(tone(name.line)).name));
      };
      for (std::size_t i = 0; i < name.lines.size(); ++i) {
        const std::string words = svg::text(1, name.y + 4 + kLabelLine * static_cast<double>(i), name.lines[i], "start",
                                            letters_ ? "w" : "", i == 0 ? 8 : 8 + kSwatch);
        out += i == 0 ? coloured(words) : words;
      }
      if (letters_) out += coloured(svg::text(1, name.y + 4, letter(name.line), "start", "n", 8));
    }
    return out;
  }

  /// Labels of points: on a narrow page those that find room there, on a wide one further ones.
  std::string point_labels() const {
    struct Label {
      const ChartPoint* point;
      std::string words;
      bool narrow = false;
      const Beside* place = nullptr;
    };
    std::vector<Label> labels;
    for (const ChartLine& line : chart_.lines) {
      for (const ChartPoint& p : line.points) {
        if (!p.label.empty()) labels.push_back({&p, p.label});
      }
    }
    if (labels.empty()) return {};
    // Those of strong points first: a label that finds no room is left to the tooltip and the table.
    std::stable_sort(labels.begin(), labels.end(),
                     [](const Label& a, const Label& b) { return a.point->strong > b.point->strong; });
    // Points that lie on each other bear one label with the names of all.
    for (std::size_t i = 0; i < labels.size(); ++i) {
      for (std::size_t j = i + 1; j < labels.size();) {
        const ChartPoint &a = *labels[i].point, &b = *labels[j].point;
        const bool apart = std::hypot((x(a) - x(b)) * svg::kWide, y(a.y) - y(b.y)) > kSamePlace;
        if (apart || labels[i].words.size() + labels[j].words.size() > kLongestLabel) {
          ++j;
          continue;
        }
        labels[i].words += ", " + labels[j].words;
        labels.erase(labels.begin() + static_cast<std::ptrdiff_t>(j));
      }
    }
    for (const bool narrow : {true, false}) {
      const double width = narrow ? svg::kNarrow - left_ - right_narrow_ : svg::kWide - left_ - right_;
      Occupied taken = occupied(width);
      for (const Label& label : labels) {
        if (label.place) take(taken, box(label.point, label.words, *label.place, width));
      }
      for (Label& label : labels) {
        if (label.place) continue;
        for (const Beside& place : kPlaces) {
          const Box b = box(label.point, label.words, place, width);
          if (!fits(taken, b, width)) continue;
          take(taken, b);
          label.place = &place;
          label.narrow = narrow;
          break;
        }
      }
    }
    std::string out;
    for (const Label& label : labels) {
      if (!label.place) continue;
      out += svg::text(x(*label.point), y(label.point->y) + label.place->dy, label.words, label.place->anchor,
                       label.narrow ? "" : "w", label.place->dx);
    }
    return out;
  }

  Occupied occupied(double width) const {
    Occupied taken;
    for (const ChartLine& line : chart_.lines) {
      for (std::size_t i = 0; i < line.points.size(); ++i) {
        const ChartPoint& p = line.points[i];
        if (line.marks) taken.mark(x(p) * width - 6, y(p.y) - 6, 12, 12);
        if (line.line && i > 0) {
          const ChartPoint& last = line.points[i - 1];
          taken.mark_line(x(last) * width, y(last.y), x(p) * width, y(p.y));
        }
      }
    }
    return taken;
  }
  struct Box {
    double left, top, width;
  };
  Box box(const ChartPoint* p, const std::string& label, const Beside& place, double width) const {
    const double words = svg::text_width(label), at = x(*p) * width + place.dx;
    return {place.anchor == "start" ? at
            : place.anchor == "end" ? at - words
                                    : at - words / 2,
            y(p->y) + place.dy - 12, words};
  }
  bool fits(const Occupied& taken, const Box& b, double width) const {
    return b.left >= 0 && b.left + b.width <= width && b.top >= 0 && b.top + kLabelLine <= height_ &&
           taken.free(b.left, b.top, b.width, kLabelLine);
  }
  static void take(Occupied& taken, const Box& b) { taken.mark(b.left, b.top, b.width, kLabelLine); }

  const LineChart& chart_;
  Axis across_, up_;
  double height_, left_ = 20, right_ = 14, right_narrow_ = 14, longest_ = 0;
  bool letters_ = false, keyed_ = false;
  std::vector<Name> names_;
};

DataTable table_of(const LineChart& chart) {
  constexpr std::size_t kMostRows = 120;
  std::size_t points = 0, notes = 0;
  for (const ChartLine& line : chart.lines) {
    points += line.points.size();
    for (const ChartPoint& p : line.points) notes += p.note.empty() && p.label.empty() ? 0 : 1;
  }
  const std::size_t every = 1 + points / kMostRows;
  DataTable table;
  const bool named = std::any_of(chart.lines.begin(), chart.lines.end(), [](auto& l) { return !l.name.empty(); });
  if (named) table.header.push_back(""), table.align.push_back(Align::left);
  table.header.insert(table.header.end(), {chart.x_title, chart.y_title});
  table.align.insert(table.align.end(), {Align::right, Align::right});
  if (notes > 0) table.header.push_back(""), table.align.push_back(Align::left);
  for (const ChartLine& line : chart.lines) {
    for (std::size_t i = 0; i < line.points.size(); i += every) {
      const ChartPoint& p = line.points[i];
      std::vector<std::string> row;
      if (named) row.push_back(line.name);
      row.push_back(chart.x_text(p.x));
      row.push_back(chart.y_text(p.y));
      if (notes > 0)
        row.push_back(p.label.empty() || p.note.find(p.label) != std::string::npos ? p.note
                      : p.note.empty()                                             ? p.label
                                                                                   : p.label + ": " + p.note);
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string described(const LineChart& chart) {
  std::vector<std::string> parts;
  for (const ChartLine& line : chart.lines) {
    if (line.points.empty() || parts.size() == 12) continue;
    const auto [least, most] = std::minmax_element(line.points.begin(), line.points.end(),
                                                   [](const auto& a, const auto& b) { return a.y < b.y; });
    parts.push_back(fmt::format("{}{}from {} at {} to {} at {}", line.name, line.name.empty() ? "" : ": ",
                                chart.y_text(least->y), chart.x_text(least->x), chart.y_text(most->y),
                                chart.x_text(most->x)));
  }
  return fmt::format("{} against {}. {}.", chart.y_title, chart.x_title, fmt::join(parts, "; "));
}

}  // namespace

Drawing drawing_of(const LineChart& chart) {
  Drawing figure;
  figure.title = chart.title;
  figure.caption = chart.caption;
  const bool empty =
      std::all_of(chart.lines.begin(), chart.lines.end(), [](const ChartLine& l) { return l.points.empty(); });
  if (empty) return figure;
  const Plot plot(chart);
  figure.description = described(chart);
  figure.key = svg::key(plot.point_key());
  plot.place(figure);
  figure.after = plot.letter_key();
  figure.table = table_of(chart);
  return figure;
}

Drawing drawing_of(const FrontierChart& from) {
  LineChart chart;
  chart.title = from.title;
  chart.caption = from.caption;
  chart.x_title = from.x_title;
  chart.y_title = from.y_title;
  chart.x_text = from.x_text;
  chart.y_text = from.y_text;
  chart.x_scale = from.x_scale;
  chart.y_scale = from.y_scale;
  chart.x_from_zero = chart.y_from_zero = false;
  chart.height = 380;
  ChartLine others{"others", {}, true, false, Tone::eighth}, frontier{"frontier", {}, true, true, Tone::first};
  for (const FrontierPoint& p : from.points) {
    (p.on_frontier ? frontier : others).points.push_back({p.x, p.y, p.note, p.on_frontier, p.name, {}});
  }
  std::stable_sort(frontier.points.begin(), frontier.points.end(),
                   [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  if (!others.points.empty()) chart.lines.push_back(std::move(others));
  if (!frontier.points.empty()) chart.lines.push_back(std::move(frontier));
  return drawing_of(chart);
}

}  // namespace flopcast
