// Supervised fine-tuning on answers that are there: R1's 800 K samples, its distilled models. Nothing is generated.
#include "workloads/rl/algorithms/rows.h"

namespace flopcast::algorithm_rows {

AlgorithmRow sft() {
  AlgorithmRow row;
  row.name = "sft";
  row.title = "supervised fine-tuning on given answers (traces of a larger model): nothing is generated or scored";
  row.source = "DeepSeek-R1, arXiv 2501.12948, 2.3.3 and 2.4";
  row.generates = false;
  row.rewards = false;
  row.old_log_probs = false;
  return row;
}

}  // namespace flopcast::algorithm_rows
