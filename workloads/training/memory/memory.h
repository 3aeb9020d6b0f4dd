// Memory of one GPU in training, item by item.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/units.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/memory/memory_table.h"
#include "workloads/training/stages.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Peak memory of each pipeline rank: parameters, gradients, optimiser states, activations in flight at their peak,
/// communication buffers, workspace. `hottest_load`: expert load of the fullest rank over the mean.
std::vector<MemoryTable> memory_per_rank(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load);

/// The tables' totals, by pipeline rank, without words.
std::vector<Bytes> memory_totals(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                 const Schedule& schedule, double hottest_load);

/// What to change so that the plan fits on the GPUs of `node`, each with the memory it would need: first what suffices,
/// cheapest in time first, then what helps. For messages.
std::vector<std::string> memory_remedies(const TrainingConfig& config, const std::vector<StageContent>& stages,
                                         const Schedule& schedule, double hottest_load, const NodeSpec& node);

}  // namespace flopcast
