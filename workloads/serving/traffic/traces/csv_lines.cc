// Comma-separated traces: a header line names the columns.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "workloads/serving/traffic/traces/line_parsers.h"

namespace flopcast {
namespace {

/// Calls `visit(index, field, begin)` for each comma-separated field; their number.
template <class Visit>
std::size_t for_each_field(std::string_view line, Visit&& visit) {
  std::size_t begin = 0;
  for (std::size_t index = 0;; ++index) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    visit(index, line.substr(begin, end - begin), begin);
    if (end == line.size()) return index + 1;
    begin = end + 1;
  }
}

std::optional<std::size_t> column_of(std::string_view header, std::string_view name) {
  std::optional<std::size_t> column;
  for_each_field(header, [&](std::size_t index, std::string_view field, std::size_t) {
    if (field == name) column = index;
  });
  return column;
}

bool has_columns(std::string_view header, const TraceFormat& format) {
  const bool timed = format.time_notation == TimeNotation::none || column_of(header, format.time);
  return timed && column_of(header, format.input) && column_of(header, format.output);
}

class CsvLineParser final : public LineParser {
 public:
  CsvLineParser(const TraceFormat& format, std::string_view header) : format_(format) {
    columns_ = for_each_field(header, [](std::size_t, std::string_view, std::size_t) {});
    time_ = column_of(header, format.time);
    input_ = *column_of(header, format.input);
    output_ = *column_of(header, format.output);
  }

  void parse(std::string_view line, ParsedLine& parsed) const override {
    parsed.blocks = {};
    const std::size_t count = for_each_field(line, [&](std::size_t index, std::string_view text, std::size_t begin) {
      const auto place = [&](std::string_view name) { return Field{text, static_cast<int>(begin) + 1, name}; };
      if (index == time_) parsed.time_field = place(format_.time);
      if (index == input_) parsed.input_field = place(format_.input);
      if (index == output_) parsed.output_field = place(format_.output);
    });
    if (count != columns_) {
      throw LineFault{static_cast<int>(line.size()) + 1, "", std::to_string(count) + " columns",
                      std::to_string(columns_) + ", as in the header"};
    }
    parsed.time = time_ ? parse_time(format_, parsed.time_field) : TraceTime();
    parsed.input_tokens = parse_tokens(parsed.input_field);
    parsed.output_tokens = parse_tokens(parsed.output_field);
  }

 private:
  const TraceFormat& format_;
  std::size_t columns_ = 0, input_ = 0, output_ = 0;
  std::optional<std::size_t> time_;
};

}  // namespace

TraceTime parse_time(const TraceFormat& format, const Field& field) {
  return format.time_notation == TimeNotation::date ? parse_date_time(field) : parse_number_of(format.time_unit, field);
}

const TraceFormat* csv_format_of(std::string_view header) {
  const auto fits = [&](const TraceFormat& format) { return !format.json_lines && has_columns(header, format); };
  const auto format = std::ranges::find_if(trace_formats(), fits);
  return format == trace_formats().end() ? nullptr : &*format;
}

std::unique_ptr<LineParser> csv_line_parser(const TraceFormat& format, std::string_view header) {
  return std::make_unique<CsvLineParser>(format, header);
}

}  // namespace flopcast
