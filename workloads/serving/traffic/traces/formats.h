// Formats of public request traces: one row each.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace flopcast {

enum class TimeNotation : std::uint8_t { none, number, date };

struct TraceFormat {
  std::string_view name;
  std::string_view title;
  std::string_view source;
  bool json_lines = false;               ///< an object per line; else comma-separated with a header line
  std::string_view time, input, output;  ///< names of columns or keys
  TimeNotation time_notation = TimeNotation::number;
  double time_unit = 1.0;        ///< seconds, of a number
  std::string_view blocks = {};  ///< ids of prefix blocks
  int block_tokens = 0;
  std::string_view marker = {};  ///< JSON: a key that files of this format have and those of the others do not
};

/// In the order in which they are tried on a file.
std::span<const TraceFormat> trace_formats();

}  // namespace flopcast
