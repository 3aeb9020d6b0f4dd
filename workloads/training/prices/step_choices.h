// What a plan leaves to the builder of a step, decided in one place for the replay and for the closed form
// (estimate/step_estimate.h): which collectives run beside the passes, and how layers are cut into stages.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "workloads/schedules/schedule.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/stages.h"
#include "workloads/training/training.h"

namespace flopcast {

/// When parameters and gradients travel beside the passes.
struct ShardPlan {
  bool gather_first = false;   ///< parameters before the first forward of a chunk
  bool gather_always = false;  ///< before every pass (ZeRO-3)
  bool reduce_last = false;    ///< gradients after the last backward of a chunk
  bool reduce_always = false;  ///< after every backward (ZeRO-2 and ZeRO-3)
  bool sum_groups = false;     ///< hybrid sharding: what a shard group reduced last is summed over the groups at once
};

/// Collectives run beside the passes where the plan says so and every stage is held by one pipeline rank: of two ranks
/// that hold a stage, either is done with it at another time.
/// @param held_twice some stage lives on two pipeline ranks.
ShardPlan collectives_beside_passes(const TrainingConfig& config, const JobGrid& grid, bool held_twice);

/// Memory of every pipeline rank under a split.
using MemoryOfSplit = std::function<std::vector<Bytes>(const std::vector<StageContent>&)>;

struct FittedSplit {
  std::vector<StageContent> stages;
  bool moved_for_memory = false;  ///< a faster split would not have fitted
};
/// The split that the plan asks for. A balanced one keeps layers off ranks whose memory they would overflow, as long as
/// others have room; where nothing fits it is the one that needs least memory.
/// @param stage_of Schedule::stage_of.
/// @param groups stage_groups() of the schedule.
FittedSplit split_within_memory(const TrainingConfig& config, std::span<const std::vector<int>> stage_of,
                                const StageGroups& groups, const LayerCosts& costs, Bytes capacity,
                                const MemoryOfSplit& memory);

}  // namespace flopcast
