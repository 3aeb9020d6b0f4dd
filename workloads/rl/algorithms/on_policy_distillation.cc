// On-policy distillation: the student writes, the teacher says how probable each of its tokens is; the reverse KL is
// the loss. No rewards.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow on_policy_distillation() {
  AlgorithmRow row;
  row.name = "on_policy_distillation";
  row.title = "on-policy distillation: a teacher's log-probabilities of the student's answers, no rewards";
  row.source = "Agarwal et al. 2023 (GKD), arXiv 2306.13649";
  row.rewards = false;
  row.teacher = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
