// Pictures of results for a Page: plain values in, a Drawing out. Each has a title that says what it found, a
// description for those who cannot see it, and its numbers as a table.
//
// Pictures are SVG without a view box: places across are shares of the width, places down are pixels. So they take the
// width that there is, from a phone to a wall, and letters keep their size. What finds no room on a narrow page (every
// other tick, labels of points) has the class "w", which the style sheet hides there.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis/render/chart/axis.h"
#include "analysis/render/chart/palette.h"
#include "analysis/render/text/text_table.h"

namespace flopcast {

/// How a value is written: 19.9 -> "19.9 s".
using ValueText = std::function<std::string(double)>;

/// The numbers of a picture.
struct DataTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<Align> align;  ///< one per column
};

/// A picture as Page takes it.
struct Drawing {
  std::string title;        ///< the finding: "Half of the step is spent in overlapped passes"
  std::string caption;      ///< how to read it; may be empty
  std::string description;  ///< what is to be seen, for screen readers
  std::string key;          ///< HTML: what colours mean; may be empty
  std::string svg;          ///< what stands inside <svg>; empty: nothing to show
  double height = 0;        ///< of it, in pixels
  /// Pixels beside it for labels, which stand outside of the picture itself; the right ones on a narrow page too.
  double left = 0, right = 0, right_narrow = 0;
  std::string id;     ///< of the picture in its page; may be empty
  std::string after;  ///< HTML below the picture, such as a viewer; may be empty
  DataTable table;
};

// Bars.

struct ChartSegment {
  double from = 0, to = 0;
  Tone tone = Tone::first;
  std::string note;  ///< shown when pointed at
};
struct ChartRow {
  std::string label;                               ///< above the bar, at the left
  std::string value;                               ///< above the bar, at the right
  std::vector<ChartSegment> segments;              ///< side by side or floating
  std::optional<std::pair<double, double>> range;  ///< whiskers
};
/// A line across all rows, such as a capacity.
struct ChartMark {
  double at = 0;
  std::string label;
};
struct ChartKey {
  Tone tone;
  std::string name;
};
/// Bars along one axis, a row each.
struct BarChart {
  std::string title, caption, description;
  std::string axis;  ///< what the axis shows, with its unit
  std::vector<ChartRow> rows;
  std::vector<ChartMark> marks;
  std::vector<ChartKey> key;
  ValueText tick;
  /// Where the axis begins and how far it goes at least; absent: at zero, which bars without a floating start need.
  std::optional<double> low, high;
  DataTable table;
};
Drawing drawing_of(const BarChart& chart);

/// From a first sum over changes to further sums.
struct WaterfallStep {
  std::string name;
  double value = 0;  ///< of a sum: where it stands; else: by how much it changes
  bool sum = false;
};
struct WaterfallChart {
  std::string title, caption, axis;
  std::vector<WaterfallStep> steps;
  ValueText text, tick;       ///< of values, and of the axis where it is to be shorter
  bool more_is_worse = true;  ///< colours of what adds and what takes away
};
Drawing drawing_of(const WaterfallChart& chart);

/// What a result becomes when one input is low or high.
struct TornadoBar {
  std::string name;
  std::string low, high;  ///< of the input, as text
  double at_low = 0, at_high = 0;
};
struct TornadoChart {
  std::string title, caption, axis;
  double centre = 0;
  std::vector<TornadoBar> bars;
  ValueText tick;  ///< of the axis and of results
};
Drawing drawing_of(const TornadoChart& chart);

/// Sums made of the same parts, a row each.
struct StackedBar {
  std::string name;
  std::vector<double> parts;  ///< one per name in StackedChart, not negative
  std::string remark;         ///< beside the sum, may be empty
  std::optional<std::pair<double, double>> range;
  std::string value = {};  ///< in place of the sum, where that says nothing
};
struct StackedChart {
  std::string title, caption, axis;
  std::vector<std::string> parts;
  std::vector<Tone> tones;  ///< of parts; empty: series in order
  std::vector<StackedBar> bars;
  std::vector<ChartMark> marks;
  ValueText text, tick;
  std::string rows_are = "";  ///< heading of the table's first column
};
Drawing drawing_of(const StackedChart& chart);

// Points and lines.

struct ChartPoint {
  double x = 0, y = 0;
  std::string note;                                ///< shown when pointed at
  bool strong = true;                              ///< filled; else hollow
  std::string label;                               ///< beside the point where there is room
  std::optional<std::pair<double, double>> range;  ///< whiskers along y
};
struct ChartLine {
  std::string name;
  std::vector<ChartPoint> points;
  bool marks = false;  ///< a circle at each point
  bool line = true;    ///< joined
  std::optional<Tone> tone;
};
/// Series over time, curves of measurements, clouds of points. Axes begin at zero unless said otherwise.
struct LineChart {
  std::string title, caption;
  std::string x_title, y_title;  ///< with units
  std::vector<ChartLine> lines;
  ValueText x_text, y_text;
  AxisScale x_scale = AxisScale::linear, y_scale = AxisScale::linear;
  bool x_from_zero = true, y_from_zero = true;
  double height = 0;  ///< of the plot in pixels; 0: by what is in it
};
Drawing drawing_of(const LineChart& chart);

/// Things by two figures; those that no other beats in both are joined by a line.
struct FrontierPoint {
  std::string name;
  double x = 0, y = 0;
  bool on_frontier = false;
  std::string note;
};
struct FrontierChart {
  std::string title, caption;
  std::string x_title, y_title;
  std::vector<FrontierPoint> points;
  ValueText x_text, y_text;
  AxisScale x_scale = AxisScale::linear, y_scale = AxisScale::linear;
};
Drawing drawing_of(const FrontierChart& chart);

// Heat.

/// Shares from 0 to 1 as a field of cells: the fuller, the stronger.
struct HeatChart {
  std::string title, caption;
  std::vector<std::string> columns, rows;
  std::vector<std::vector<std::optional<double>>> cells;  ///< [row][column]; absent: no such thing
  ValueText text;
  std::string rows_are, columns_are;
};
Drawing drawing_of(const HeatChart& chart);

}  // namespace flopcast
