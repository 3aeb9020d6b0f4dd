// A line of a trace into its parts, by the format of the file.
#pragma once
#include <memory>
#include <string_view>

#include "workloads/serving/cache/prefix_blocks.h"
#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/formats.h"

namespace flopcast {

struct ParsedLine {
  TraceTime time;
  Field time_field, input_field, output_field;  ///< where they stand, for what is found out later
  std::int32_t input_tokens = 0, output_tokens = 0;
  PrefixBlocks blocks;  ///< full ones of the prompt
};

class LineParser {
 public:
  virtual ~LineParser() = default;
  /// @throws LineFault
  virtual void parse(std::string_view line, ParsedLine& parsed) const = 0;
};

std::unique_ptr<LineParser> json_line_parser(const TraceFormat& format);

/// The CSV format whose columns a header line has; null when no format's are there.
const TraceFormat* csv_format_of(std::string_view header);
std::unique_ptr<LineParser> csv_line_parser(const TraceFormat& format, std::string_view header);

/// @throws LineFault when it is none that the format allows.
TraceTime parse_time(const TraceFormat& format, const Field& field);

}  // namespace flopcast
