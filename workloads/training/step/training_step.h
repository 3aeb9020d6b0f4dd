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
#include "workloads/training/memory/memory.h"
#include "workloads/training/passes/operations.h"
#include "workloads/training/prices/phases.h"
#include "workloads/training/stages.h"
#include "workloads/training/training.h"

namespace flopcast {

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
  std::optional<ClockPoint> settled;  ///< of its kernels in turn (StepPrices::settled)
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
