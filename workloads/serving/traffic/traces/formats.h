// Formats of public request traces: one row each.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flopcast {

enum class TimeNotation : std::uint8_t { none, number, date };

enum class TraceShape : std::uint8_t {
  table,    ///< a header line, then a line for each request; comma, tab or semicolon between
  records,  ///< a JSON object for each request: one per line, or the elements of a list
  columns,  ///< one JSON object with a list for each column
  pairs,    ///< a JSON list of [input, output]
};

/// What a later turn's input length counts.
enum class TurnLength : std::uint8_t {
  whole,  ///< the whole prompt, earlier turns included
  added,  ///< what it adds to the earlier turns and their answers
};

/// Names are of columns, or of keys; of nested ones with dots ("metrics.latency.value"); "a|b" is either.
struct TraceFormat {
  std::string name;
  std::string title;
  std::string source;
  TraceShape shape = TraceShape::table;
  std::vector<std::string> needs;  ///< a file has all of them; of two formats that fit, the one that needs more
  std::vector<std::string> instead_of = {};  ///< formats that this one is meant instead of, where both fit
  std::string time, input, output;
  TimeNotation time_notation = TimeNotation::number;
  double time_unit = 1.0;   ///< seconds, of a number
  std::string blocks = {};  ///< ids of prefix blocks
  int block_tokens = 0;
  bool full_blocks_only = false;  ///< no id of the last, begun block; their size stands in each record: "block_tokens"
  std::string session = {};       ///< equal in the turns of a conversation
  std::string parent = {};        ///< the session's key of the turn before, -1: none
  std::string delay = {};         ///< from the end of the turn before; with it later turns wait for earlier ones
  double delay_unit = 1e-3;       ///< seconds
  bool times_are_arrivals = false;  ///< a later turn with a time and no delay comes then and waits for nothing
  TurnLength turns = TurnLength::whole;
  std::string turn_list = {};           ///< turns of a session as a list in its record
  std::string token_ids = {};           ///< of the prompt, where equal beginnings show
  std::string conversation = {};        ///< a list of texts, of which question and answer are the first two
  double bytes_per_token = 0;           ///< of texts; 0: not stated
  bool zero_output_is_failure = false;  ///< requests that failed have no output: left out and counted
  std::string failure = {};             ///< a key that requests that failed have, other than null and false

  bool waits() const { return !delay.empty() || !turn_list.empty(); }
};

/// In no order that matters.
std::span<const TraceFormat> trace_formats();

/// Null when there is none of this name.
const TraceFormat* find_trace_format(std::string_view name);

}  // namespace flopcast
