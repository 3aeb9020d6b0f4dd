// Rejection sampling: answers are written and scored, the good ones kept as data. Nothing is trained.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow rejection_sampling() {
  AlgorithmRow row;
  row.name = "rejection_sampling";
  row.title = "answers are written and scored, the good ones kept as data for fine-tuning; nothing is trained";
  row.source = "DeepSeek-R1, arXiv 2501.12948, 2.3.3";
  row.trains = false;
  row.old_log_probs = false;
  return row;
}

}  // namespace flopcast::algorithm_rows
