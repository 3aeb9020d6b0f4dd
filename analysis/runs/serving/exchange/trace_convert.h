// A request trace from any form that is read into one of a few.
#pragma once
#include <cstdint>
#include <string>

#include "workloads/serving/traffic/trace_reader.h"

namespace flopcast {

enum class TraceForm : std::uint8_t {
  flopcast_csv,   ///< arrival_s, input_tokens, output_tokens, and of sessions session, delay_s
  flopcast_json,  ///< the same as an object per line, with the blocks of prompts
  mooncake,       ///< an object per line: milliseconds, blocks, sessions as AIPerf and Dynamo replay them
};

struct TraceConversion {
  std::uint64_t requests = 0, failed = 0;
  std::uint32_t sessions = 0;
  bool blocks_left_out = false;    ///< the form has no place for them
  bool sessions_left_out = false;  ///< in the form their turns would wait, and here they come at times of their own
  std::string format, evidence;    ///< of what was read
};

/// Streams the trace into `path`, packed by its name (.gz, .zst), whole or not at all. Flopcast's own forms keep
/// sessions and whether a turn waits for the answer before it or comes at a time of its own.
/// @throws InputError with every fault of the trace, or when it has what the form cannot say.
TraceConversion convert_trace(const TraceOptions& options, TraceForm form, const std::string& path);

}  // namespace flopcast
