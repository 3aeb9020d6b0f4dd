// Sessions of a trace: their numbers, and what was said in them.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "workloads/serving/cache/block_index.h"
#include "workloads/serving/cache/prefix_blocks.h"
#include "workloads/serving/traffic/traces/fields.h"

namespace flopcast {

class SessionBook {
 public:
  struct Session {
    TraceTime last;           ///< of its latest turn, as far as times are stated
    std::uint32_t turns = 0;  ///< so far
    std::int32_t said = 0;    ///< tokens of prompts and answers so far
    bool left_out = false;    ///< its first turn was
  };

  /// The number of the session of this name, from 1; a new one the first time.
  std::uint32_t of(std::string_view name);
  /// That of a turn whose name is its own and which goes on where the one named `parent` ended.
  std::uint32_t of_turn(std::string_view name, std::string_view parent);
  /// A session without a name.
  std::uint32_t unnamed();
  Session& operator[](std::uint32_t number) { return sessions_[number - 1]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(sessions_.size()); }
  /// Blocks of the first `count` in this session, those of earlier turns first; numbers that nothing else has.
  PrefixBlocks blocks(std::uint32_t number, std::size_t count);

 private:
  BlockIndex numbers_;  // from hashes of names
  std::vector<Session> sessions_;
  std::vector<PrefixBlocks> blocks_;  // of sessions whose blocks were asked for
  std::uint64_t next_block_ = 0;
};

/// Numbers of blocks for hashes of what they hold.
class BlockNames {
 public:
  std::uint64_t number(std::uint64_t hash);

 private:
  BlockIndex numbers_;
  std::uint32_t next_ = 0;
};

}  // namespace flopcast
