// A record of a trace into its parts, by the format of the file.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/serving/cache/prefix_blocks.h"
#include "workloads/serving/traffic/traces/fields.h"
#include "workloads/serving/traffic/traces/formats.h"

namespace flopcast {

/// One request, as its record has it.
struct ParsedLine {
  std::optional<TraceTime> time;                               ///< none: a later turn, or a format without times
  Field time_field, input_field, output_field, session_field;  ///< where they stand, for what is found out later
  std::int32_t input_tokens = 0, output_tokens = 0;            ///< no output: it failed
  PrefixBlocks blocks;                                         ///< full ones of the prompt
  std::vector<std::uint64_t> chain;  ///< hashes of full blocks, each with those before it, where tokens are given
  std::string_view session, parent;  ///< as they are written; empty: none
  std::optional<Seconds> delay;      ///< from the end of the turn before
  bool same_session = false;         ///< as the one before it in the same record
};

class LineParser {
 public:
  virtual ~LineParser() = default;
  /// The requests of a record, at least one unless it is one to leave out. What they show lives as long as `line`.
  /// @throws LineFault; its column counts bytes of `line`, ends of lines included.
  virtual void parse(std::string_view line, std::vector<ParsedLine>& parsed) const = 0;
};

std::unique_ptr<LineParser> json_record_parser(const TraceFormat& format);
std::unique_ptr<LineParser> json_pair_parser(const TraceFormat& format);

/// What separates the columns of a header line: a comma, tab or semicolon.
char separator_of(std::string_view header);
/// Names in a header line, without quotes and spaces around them.
std::vector<std::string> header_names(std::string_view header);
/// @param header has the columns that the format names. Those that it only may have are looked for too.
std::unique_ptr<LineParser> table_parser(const TraceFormat& format, std::string_view header);

/// @throws LineFault when it is none that the format allows.
TraceTime parse_time(const TraceFormat& format, const Field& field);

}  // namespace flopcast
