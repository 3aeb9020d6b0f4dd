// Arrows of a step's timeline: from what is sent between stages to what waits for it on another GPU.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "sim/graph.h"

namespace flopcast {

struct TraceArrow {
  OpId receiver, sender;
};

/// Of a step's timeline: each transfer between stages points at the first operation on a lane of another GPU that waits
/// for it, joins looked through.
class TraceArrows {
 public:
  TraceArrows() = default;
  /// @param shown whether a lane, which may be none, is in the timeline
  TraceArrows(const OperationGraph& graph, const std::function<bool(LaneId)>& shown);
  /// Whether an arrow begins at this operation.
  bool sends(OpId op) const { return sends_[op.index()]; }
  /// Those that end at it, by their senders.
  std::span<const TraceArrow> into(OpId op) const;

 private:
  std::vector<TraceArrow> arrows_;  // sorted by receiver
  std::vector<bool> sends_;         // by operation
};

}  // namespace flopcast
