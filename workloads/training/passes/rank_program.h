// A GPU of a training step while its operations are being built.
#pragma once
#include <array>
#include <vector>

#include "sim/graph.h"
#include "workloads/collectives/collectives.h"
#include "workloads/training/passes/operations.h"
#include "workloads/training/prices/exchange_times.h"

namespace flopcast {

/// What an expert-parallel rank sends and receives.
struct ExpertTransfers {
  PortTransfer dispatch, combine;                        ///< nothing runs beside them
  PortTransfer dispatch_overlapped, combine_overlapped;  ///< GEMMs run on the other SMs
};

/// The exchanges of an expert-parallel group. All ranks enter the k-th together, and leave it together: buffers between
/// ranks are small, so whoever sends to a busy port is held up until that port has drained.
struct ExchangeBarriers {
  struct Exchange {
    OpId entered, left;
  };
  std::vector<Exchange> exchanges;  ///< in the order of every member's program
};

/// The exchange that comes next for a member whose program has come to number `next`; its joins are made by
/// the first member to come there.
inline ExchangeBarriers::Exchange next_exchange(GraphBuilder& graph, ExchangeBarriers& barriers, std::size_t& next) {
  if (next == barriers.exchanges.size()) {
    const Label label{static_cast<std::uint16_t>(OpName::barrier), 0, 0, 0};
    barriers.exchanges.push_back({graph.join(label), graph.join(label)});
  }
  return barriers.exchanges[next++];
}

/// A rank being filled with operations.
struct RankProgram {
  ReplayedRank rank;
  int position = 0;  ///< in its stage (JobGrid)
  int expert_rank = 0;
  ExchangeTimes::GroupSpeeds port_speeds;  ///< of its tensor, expert tensor and context parallel groups
  ExpertTransfers expert;
  ExchangeBarriers* barriers = nullptr;  ///< of its expert-parallel group; null when one rank stands for the group
  std::size_t next_exchange = 0;
  // The same for what its data-parallel groups share (dense parameters, experts) and its tensor-parallel group.
  ExchangeBarriers* dense_barriers = nullptr;
  ExchangeBarriers* expert_barriers = nullptr;
  ExchangeBarriers* tensor_barriers = nullptr;
  std::size_t next_dense = 0, next_expert = 0, next_tensor = 0;

  /// Micro-batches whose forward and whose weight gradients have been built, by chunk.
  std::vector<int> forwards, weight_gradients;
  /// Of each pass, where its rank stops for messages: what it starts with, the last that it computes, what it sends
  /// (activations, gradients).
  struct PassEnds {
    OpId entry, exit;
    std::array<OpId, 2> sent;
  };
  std::vector<PassEnds> pass_ends;
  /// Last operations of the layers built last: how far ahead parameters may be gathered.
  std::array<OpId, 2> layer_ends;
};

}  // namespace flopcast
