// DAPO: GRPO without KL term and so without a reference; groups whose answers are all right or all wrong carry no
// signal, are thrown away and drawn anew (dynamic sampling).
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow dapo() {
  AlgorithmRow row;
  row.name = "dapo";
  row.title = "DAPO: no KL term; groups without signal are thrown away and others drawn (dynamic sampling)";
  row.source = "Yu et al. 2025, arXiv 2503.14476";
  row.group = true;
  row.drops_groups = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
