// Which format a file has, and on what evidence.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "workloads/serving/traffic/traces/formats.h"
#include "workloads/serving/traffic/traces/line_reader.h"

namespace flopcast {

/// What a user states about a file; empty and 0: not stated.
struct TraceColumns {
  std::string time, unit;  ///< unit: one of time_unit_names()
  std::string input, output, session;
  std::string delay, delay_unit;
  std::string blocks;
  int block_tokens = 0;
  std::string turns;           ///< "whole" or "added"
  double bytes_per_token = 0;  ///< of texts
  /// Whether they stand for a format of their own, or only change one that was recognised.
  bool name_columns() const { return !time.empty() || !input.empty() || !output.empty(); }
  bool operator==(const TraceColumns&) const = default;
};

/// "s", "ms", "us", "ns", "min", "h", and "date" for dates in words.
std::span<const std::string_view> time_unit_names();

struct RecognisedTrace {
  std::shared_ptr<const TraceFormat> format;
  std::string evidence;
  std::string header;  ///< of a table: its line of names
  bool list = false;   ///< of records: the elements of a list, not lines
};

/// Reads the head of a file, and of a table its first lines up to the names of the columns.
/// @param format the name of a row of trace_formats(), or empty.
/// @throws InputError when no format fits, or several do and nothing says which.
RecognisedTrace recognise_trace(LineReader& file, const std::string& format, const TraceColumns& columns);

}  // namespace flopcast
