// Who talks to whom: the nodes of all ranks that are one collective, or the two ends of one message.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/chakra/trace.h"

namespace flopcast {

/// A node of a job.
struct NodeRef {
  std::int32_t rank = -1;
  std::uint32_t node = 0;
};

/// A collective: the k-th of its group on every rank.
struct MatchedCollective {
  CommKind kind = CommKind::all_reduce;
  Bytes bytes;                       ///< that a rank hands in; the most, where ranks of an all-to-all differ
  std::uint32_t group = 0;           ///< index into ChakraJob::groups
  std::uint32_t root = 0;            ///< position in the group
  std::vector<std::uint32_t> nodes;  ///< by position in the group
};

struct MatchedMessage {
  NodeRef send, receive;
  Bytes bytes;
};

struct MatchedJob {
  std::vector<MatchedCollective> collectives;
  std::vector<MatchedMessage> messages;
  /// Of every rank and node that communicates: which collective or message; by rank, then node.
  std::vector<std::vector<std::uint32_t>> of_node;
};

/// Collectives of a group belong together in the order in which the ranks' files have them, and where that does not go
/// by their kinds and sizes, by name. Messages between two ranks belong together by tag, in that order.
/// @throws InputError with file, node and byte: a rank that its group does not have, collectives or messages without
/// their other ends, sizes and kinds that differ.
MatchedJob match_communication(const ChakraJob& job);

/// The rank at the other end of a message: of a trace that all ranks run as far from them as from the rank it was
/// recorded on.
int peer_of(const ChakraJob& job, int rank, const TraceNode& node);

/// "node 17 (byte 204)"
std::string place_of(const TraceNode& node);

}  // namespace flopcast
