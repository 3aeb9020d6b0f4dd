// Group sequence policy optimisation: importance ratios of whole answers instead of tokens. The work is GRPO's.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow gspo() {
  AlgorithmRow row;
  row.name = "gspo";
  row.title = "group sequence policy optimisation: ratios of whole answers; the work of GRPO without a reference";
  row.source = "Zheng et al. 2025, arXiv 2507.18071";
  row.group = true;
  return row;
}

}  // namespace flopcast::algorithm_rows
