// Jobs that cannot be replayed, and why.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sim/graph.h"
#include "workloads/chakra/matching.h"

namespace flopcast {

/// How far a rank is.
struct JobRank {
  std::vector<std::uint32_t> waits;             // by node: what it still waits for
  std::vector<std::uint32_t> first_user, user;  // who waits for a node
  std::vector<OpId> done;                       // by node: the operation whose end is its end
  std::vector<LaneId> lane;                     // by node that holds one
};

/// How far a message is.
struct JobMessage {
  bool arrived = false, awaited = false;
};

/// Ranks that stand for others do so for the flows they state, not for what communicators would need of the others.
/// @throws InputError where there are such
void refuse_folded(const ChakraJob& job);

struct StuckJob {
  const ChakraJob& job;
  const MatchedJob& matched;
  std::span<const JobRank> ranks;
  std::span<const std::uint32_t> arrived;  ///< by collective: ranks that have come
  std::span<const JobMessage> messages;
};
/// Ranks that wait for each other in a circle: named by what the first of them waits for. @throws InputError
[[noreturn]] void refuse_stuck(const StuckJob& job);

}  // namespace flopcast
