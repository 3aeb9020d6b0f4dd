// The cluster for a run of reinforcement learning: the fewest GPUs or the least money that make its steps by a
// deadline, within a budget, each cluster with its best layout (analysis/studies/plan/rl_plan.h).
#pragma once
#include "analysis/studies/size/training_size.h"

namespace flopcast {

/// @param options as of a training run. @throws InputError: no loop, no run, neither deadline nor budget, a node that
/// does not exist; Interrupted.
TrainingSize size_loop(const std::string& file_or_name, const Environment& environment,
                       const std::vector<std::string>& sets, const TrainingSizeOptions& options);

}  // namespace flopcast
