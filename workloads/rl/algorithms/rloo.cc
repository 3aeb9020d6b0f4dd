// REINFORCE, leave one out: the other answers to a prompt are the baseline of each.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow rloo() {
  AlgorithmRow row;
  row.name = "rloo";
  row.title = "REINFORCE leave-one-out: the other answers of a group are the baseline; KL in the reward";
  row.source = "Ahmadian et al. 2024, arXiv 2402.14740";
  row.group = true;
  row.reference = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
