// Recorded conversations, from a CSV file with a line per turn.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/units.h"

namespace flopcast {

struct RecordedTurn {
  Seconds at;                          ///< since the start of the file's first session
  std::int32_t asked = 0, answer = 0;  ///< tokens that it adds: prompt and answer
};

/// Sessions in the order in which they first appear, each with its turns in the order of the file.
struct RecordedSessions {
  std::vector<RecordedTurn> turns;     ///< of all sessions, one after the other
  std::vector<std::size_t> begins{0};  ///< of each session in `turns`, and the end of the last
  int block_tokens = 64;               ///< of the blocks by which prefixes are found

  std::size_t size() const { return begins.size() - 1; }
  /// Every n-th session.
  RecordedSessions one_in(std::int32_t n) const;
};

/// Columns session (any text), at_s, input_tokens (what the turn adds to what was said), output_tokens, in any order;
/// others are passed over. @param context most tokens of prompt and answer; 0: any.
/// @throws InputError with every fault of the file: columns that are missing, numbers that are none, turns of a session
/// that go back in time, prompts beyond the context.
RecordedSessions read_session_file(const std::string& path, std::int64_t context);

}  // namespace flopcast
