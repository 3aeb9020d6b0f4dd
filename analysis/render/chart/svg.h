// Pieces of SVG for charts: places across are shares (0 to 1) of the width of what they stand in, places down are
// pixels.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/chart/chart.h"

namespace flopcast::svg {

/// Of a letter in the font of charts: wide enough for what stands in labels.
inline constexpr double kLetter = 7.4;
/// The narrowest picture that labels are laid out for, and from where "w" is shown (page_style.cc has the same).
inline constexpr double kNarrow = 330, kWide = 640;

double text_width(std::string_view text);

std::string text(double x, double y, std::string_view words, std::string_view anchor = "start",
                 std::string_view classes = "", double dx = 0);
std::string rect(double x, double y, double width, double height, std::string_view classes, std::string_view note);
std::string line(double x1, double y1, double x2, double y2, std::string_view classes);
/// Words broken into lines that fit `pixels`; a longer word is cut.
std::vector<std::string> broken(std::string_view words, double pixels);
/// Such lines below each other.
std::string lines(double x, double y, const std::vector<std::string>& words, std::string_view anchor,
                  std::string_view classes, double dx = 0);
inline constexpr double kTextLine = 16;
/// Anchor of a label below a tick, so that it stays within the picture.
std::string_view anchor_at(double x);
/// Vertical grid lines with their values below; as many values as fit on a narrow page, the others for wide ones.
/// @param room pixels that the axis has on a narrow page
std::string grid(const Axis& axis, double top, double bottom, const ValueText& text, double narrow, double wide);
/// The words of a key, as HTML.
std::string key(const std::vector<ChartKey>& key);

}  // namespace flopcast::svg
