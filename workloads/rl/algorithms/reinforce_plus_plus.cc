// REINFORCE++: PPO's clip and a KL penalty per token, the batch's mean as baseline, no critic and no groups.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow reinforce_plus_plus() {
  AlgorithmRow row;
  row.name = "reinforce++";
  row.title = "REINFORCE++: no critic, the batch's rewards are the baseline; KL to a reference";
  row.source = "Hu 2025, arXiv 2501.03262";
  row.reference = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
