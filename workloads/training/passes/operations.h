// What the operations of a training step are called, the ranks that have them, and what their times rest on.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/ids.h"
#include "sim/base/units.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/prices/phases.h"

namespace flopcast {

/// Names of Label::kind in a training graph, in the order of this enum.
enum class OpName : std::uint16_t {
  attention_forward,
  mlp_forward,
  mlp_backward,
  mlp_weight,
  attention_backward,
  attention_weight,
  dispatch_forward,
  combine_forward,
  combine_backward,
  dispatch_backward,
  embedding_forward,
  head_forward,
  head_backward,
  head_weight,
  mtp_projection_forward,
  mtp_projection_backward,
  mtp_projection_weight,
  embedding_backward,
  send_activation,
  send_gradient,
  gradient_reduce_scatter,
  parameter_all_gather,
  gradient_norm,
  optimizer,
  barrier,
  shared_forward,
  shared_backward,
  layer_exchange,
  collective_share,
  shard_copy,
  host,
};
constexpr std::size_t kOpNames = static_cast<std::size_t>(OpName::host) + 1;
const std::vector<std::string>& training_op_names();

/// A GPU of the replay. Folded, one stands for `weight` GPUs that do the same at the same time.
struct ReplayedRank {
  RankId gpu;             ///< global index of the GPU replayed
  int pipeline_rank = 0;  ///< position in its pipeline
  int replica = 0;        ///< data (and context) parallel index
  int tensor_rank = 0;    ///< among the GPUs that share its matrices
  double weight = 1.0;
  double speed = 1.0;  ///< of its compute, relative to the data sheet (slow parts, spread)
  LaneId compute, communication, pipeline;
  LaneId gradients, parameters;  ///< collectives of data parallelism beside compute; invalid where there are none
};

/// Compute seconds of one step, summed over the ranks replayed, by what their price rests on.
struct EvidenceShare {
  Seconds measured, fitted, roofline;
};

/// The same by operation and by what errors go together: [OpName][PriceSource].
struct SourceShare {
  std::array<std::array<Seconds, kPriceSources>, kOpNames> of;
  std::array<Seconds, kOpNames> host;         ///< of it, in which the GPU waits for its host
  std::array<Seconds, kOpNames> host_beside;  ///< of communication beside it, what the host takes anyway
};

/// Operations [first, end) belong to one pass of one rank. Passes of a rank appear in the order of the schedule.
struct PassRecord {
  std::uint32_t rank = 0;  ///< index into TrainingStep::ranks
  Pass pass;
  OpId first, end;
  std::int64_t times = 1;  ///< the periods it stands for, one after the other
  /// What its GPU waits for the host within its compute, and what of its communication the host takes anyway.
  Seconds host, host_beside;
};

/// A collective of data parallelism, as a replayed GPU takes part in it.
struct StepCollective {
  enum class What : std::uint8_t { all_reduce, all_gather, reduce_scatter };
  enum class Among : std::uint8_t { replicas, shard_group, experts, across_shard_groups };
  OpId op;
  What what = What::all_reduce;
  Among among = Among::replicas;
  Bytes bytes;  ///< as CollectiveRequest has them
};

}  // namespace flopcast
