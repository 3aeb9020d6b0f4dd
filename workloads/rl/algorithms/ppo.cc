// Proximal policy optimisation as language models are trained with it: a critic of the policy's size gives a value per
// token and is trained beside the policy.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow ppo() {
  AlgorithmRow row;
  row.name = "ppo";
  row.title =
      "proximal policy optimisation: a critic (of the policy's size unless rl.critic.model is another), trained too; "
      "KL to a reference";
  row.source = "Schulman et al. 2017, arXiv 1707.06347; InstructGPT, arXiv 2203.02155";
  row.critic = true;
  row.reference = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
