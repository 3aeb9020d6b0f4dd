// Pictures of results as inline SVG for an HtmlPage, whose style sheet gives their colours. Plain values in,
// text out.
#pragma once
#include <string>
#include <vector>

namespace flopcast {

/// How a value is written: 19.9 -> "19.9 s".
using ValueText = std::string (*)(double);

/// From a first sum over changes to further sums.
struct WaterfallStep {
  std::string name;
  double value = 0;  ///< of a sum: where it stands; else: by how much it changes
  bool sum = false;
};
struct WaterfallChart {
  std::vector<WaterfallStep> steps;
  ValueText text = nullptr, tick = nullptr;  ///< of values, and of the axis where it is to be shorter
  bool more_is_worse = true;                 ///< colours of what adds and what takes away
};
std::string svg_of(const WaterfallChart& chart);

/// What a result becomes when one input is low or high.
struct TornadoBar {
  std::string name;
  std::string low, high;  ///< of the input, as text
  double at_low = 0, at_high = 0;
};
struct TornadoChart {
  double centre = 0;
  std::vector<TornadoBar> bars;
  ValueText tick = nullptr;  ///< of the axis
};
std::string svg_of(const TornadoChart& chart);

/// Sums made of the same parts, side by side.
struct StackedBar {
  std::string name;
  std::vector<double> parts;  ///< one per name in StackedChart, not negative
  std::string range;          ///< beside the sum, may be empty
};
struct StackedChart {
  std::vector<std::string> parts;
  std::vector<StackedBar> bars;
  ValueText text = nullptr, tick = nullptr;
};
std::string svg_of(const StackedChart& chart);

/// Things by two figures; those that no other beats in both are joined by a line.
struct FrontierPoint {
  std::string name;
  double x = 0, y = 0;
  bool on_frontier = false;
};
struct FrontierChart {
  std::string x_title, y_title;
  std::vector<FrontierPoint> points;
  ValueText x_text = nullptr, y_text = nullptr;
};
std::string svg_of(const FrontierChart& chart);

/// Lines from point to point, both axes from 0: series over time, curves of measurements.
struct ChartPoint {
  double x = 0, y = 0;
  std::string note;    ///< shown when pointed at
  bool strong = true;  ///< filled; else hollow
};
struct ChartLine {
  std::string name;
  std::vector<ChartPoint> points;
  bool marks = false;  ///< a circle at each point
};
struct LineChart {
  std::string x_title, y_title;
  std::vector<ChartLine> lines;
  ValueText x_text = nullptr, y_text = nullptr;
};
std::string svg_of(const LineChart& chart);

}  // namespace flopcast
