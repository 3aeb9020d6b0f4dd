// Numbers for people: three or four significant digits, a unit that keeps them short, thousands separated.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/units.h"

namespace flopcast {

std::string format_time(Seconds time);         ///< "19.63 s", "4.36 ms", "12.0 us"
std::string format_days(Seconds time);         ///< "54.8 days"
std::string format_bytes(Bytes bytes);         ///< "61.2 GB", decimal
std::string format_rate(BytesPerSecond rate);  ///< "48.7 GB/s"
std::string format_count(double count);        ///< "14.8 T", "62.9 M", "2,048"
/// "-12345.67" as "-12,345.67". @param digits a number without an exponent.
std::string with_separators(std::string digits);
std::string format_integer(double count);                    ///< "2,687,123"
std::string format_usd(Usd usd);                             ///< "$5.38 M"
std::string format_energy(Joules energy);                    ///< "1.93 GWh"
std::string format_percent(double share, int decimals = 1);  ///< "37.9 %"
std::string format_error(double error);                      ///< "+1.3 %": always signed

/// Columns a UTF-8 text takes on a terminal (code points: the report uses no wide or combining characters; colours
/// take none).
std::size_t display_width(std::string_view text);
/// Padded to `width` columns; longer texts stay as they are.
std::string pad_right(std::string text, std::size_t width);
std::string pad_left(std::string text, std::size_t width);
/// Broken at spaces into lines of at most `width` columns, a number and its unit kept together, words that are longer
/// broken where they may be; every line after the first begins with `indent`.
std::string wrap(std::string_view text, std::size_t width, std::string_view indent);
/// Cut to `width` columns, an ellipsis marking the cut.
std::string shorten(const std::string& text, std::size_t width);
/// Names cut to `width` columns where they are alike, so that those that differ still do: of "deepseek_v3_2048_h20" and
/// "deepseek_v3_2048_h800" the ends stay.
std::vector<std::string> shorten_apart(const std::vector<std::string>& names, std::size_t width);

}  // namespace flopcast
