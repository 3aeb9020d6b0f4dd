// One function per file of this folder: its row of the table.
#pragma once
#include "workloads/rl/algorithms.h"

namespace flopcast::algorithm_rows {

AlgorithmRow grpo();
AlgorithmRow ppo();
AlgorithmRow rloo();
AlgorithmRow reinforce_plus_plus();
AlgorithmRow dapo();
AlgorithmRow gspo();
AlgorithmRow on_policy_distillation();
AlgorithmRow rejection_sampling();
AlgorithmRow sft();

}  // namespace flopcast::algorithm_rows
