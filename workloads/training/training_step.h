// One training step as an operation graph: the model cut into stages, the schedule's passes filled with priced
// phases, expert communication, pipeline transfers, gradient and parameter collectives, the optimiser.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "hwmodels/kernels/kernels.h"
#include "sim/graph.h"
#include "workloads/schedules/repeating.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/memory.h"
#include "workloads/training/phases.h"
#include "workloads/training/stages.h"
#include "workloads/training/training.h"

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

/// Operations [first, end) belong to one pass of one rank. Passes of a rank appear in the order of the schedule.
struct PassRecord {
  std::uint32_t rank = 0;  ///< index into TrainingStep::ranks
  Pass pass;
  OpId first, end;
  std::int64_t times = 1;  ///< the periods it stands for, one after the other
};

/// A step of many micro-batches of which few are built (schedules/repeating.h): on every rank a stretch of passes comes
/// `more` times again. What the step takes follows from the replay of what is built (steady_state.h).
struct RepeatedStretch {
  std::int64_t more = 0;
  int micro_batches = 0;                ///< that are built
  std::vector<RepeatedPasses> of_rank;  ///< one per replayed rank, as indices into TrainingStep::passes
};

/// How much of a step is built.
struct StepExtent {
  /// Micro-batches that are built at least where a step is long and repeats itself; 0: all.
  int micro_batches = 0;
  /// Layers times micro-batches up to which a step is built whole: to look for what repeats would take as long.
  std::int64_t short_step = 16'000;
};

/// Compute seconds of one step, summed over the ranks replayed, by what their price rests on.
struct EvidenceShare {
  Seconds measured, fitted, roofline;
};

/// The same by operation and by what errors go together: [OpName][PriceSource].
struct SourceShare {
  std::array<std::array<Seconds, kPriceSources>, kOpNames> of;
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

struct TrainingStep {
  OperationGraph graph;
  const Network* network = nullptr;  ///< that its routes lie on: of the topology that it was built with
  std::vector<ReplayedRank> ranks;
  std::vector<PassRecord> passes;           ///< grouped by rank, ascending
  std::vector<StepCollective> collectives;  ///< of data parallelism, in the order of their operations
  std::optional<RepeatedStretch> repeated;  ///< where not all micro-batches were built
  std::vector<StageContent> stages;
  Schedule schedule;
  std::vector<MemoryTable> memory;  ///< per pipeline rank
  double hottest_load = 1;          ///< expert load of the busiest expert-parallel rank over the mean
  EvidenceShare evidence;
  SourceShare sources;
  bool folded = true;
  std::vector<std::string> notes;      ///< what was assumed or approximated, for the report
  double tokens = 0;                   ///< per step, all replicas
  Flop model_flop_causal, model_flop;  ///< per step, all replicas, without MTP and recomputation
};

/// FLOP of the model per token, as utilisations count them (training_flop_per_token): without MTP and recomputation, as
/// DeepSeek counts (arXiv 2505.09343, tables 2 and 4), attention within documents; with adapters, whose model is
/// frozen, without its weight gradients.
double model_flop_per_token(const TrainingConfig& config, bool causal);

/// Builds the step. Folded unless the configuration asks for every rank or something (slow parts) breaks the symmetry.
/// @param go_on asked now and then; false ends the building with Interrupted.
/// @throws InputError when the schedule cannot serve the plan or a user's order is wrong.
TrainingStep build_training_step(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
                                 const LinkCalibration& links, StepExtent extent = {},
                                 const std::function<bool()>& go_on = {});

/// The step's forward passes alone, in the order in which its schedule has them: log-probabilities and values of
/// answers that are not trained on. Parameters are at hand (with ZeRO-3 they are gathered layer by layer as in
/// training).
/// @throws InputError as above.
TrainingStep build_forward_passes(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
                                  const LinkCalibration& links);

/// A forward and a backward of `layers` MoE layers overlapped as DualPipe does, on one rank of an expert-parallel group
/// with balanced load, without neighbours, optimiser or spread: what DeepSeek's public training profile shows.
TrainingStep build_overlapped_pair(const TrainingConfig& base, int layers, Topology& topology,
                                   const KernelModel& kernels, const LinkCalibration& links);

}  // namespace flopcast
