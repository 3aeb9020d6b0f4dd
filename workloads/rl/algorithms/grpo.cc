// Group relative policy optimisation: the mean reward of a prompt's answers is their baseline, so that nothing is
// trained beside the policy. The KL term of the loss needs a reference model.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow grpo() {
  AlgorithmRow row;
  row.name = "grpo";
  row.title = "group relative policy optimisation: no critic, baseline from a group's rewards, KL to a reference";
  row.source = "DeepSeekMath, arXiv 2402.03300, 4.1";
  row.group = true;
  row.reference = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
