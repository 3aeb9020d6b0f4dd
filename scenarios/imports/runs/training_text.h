// `training { ... }` of a scenario, as settings of training frameworks fill it. Internal to scenarios/imports/runs.
#pragma once
#include <string>
#include <vector>

#include "scenarios/imports/runs/run_plans.h"

namespace flopcast {

struct TrainingText {
  int data = 1, tensor = 1, pipeline = 1, context = 1, expert = 1, expert_tensor = 1, chunks = 1, zero = 1;
  int shard_group = 0;            ///< 0: all replicas
  std::vector<int> stage_layers;  ///< empty: not stated
  std::string layer_split;        ///< empty: not stated
  bool sequence_parallel = true, tensor_overlap = false, overlap_gradients = false, overlap_parameters = false;
  std::string dispatcher, schedule, precision, recompute, offload, software, further;
  std::string context_exchange;  ///< empty: not stated
  bool with_mtp = true;
  long sequences = 1, length = 1;
  int micro = 1;
};

/// `training { ... }`, braces included.
std::string training_body(const TrainingText& training);

/// GPUs of the run; a fault and 1 where nobody says.
int gpus_of(ForeignSettings& settings, int launched, const ImportRunOptions& options);

/// What is left of the GPUs for replicas; a fault and 1 where they do not divide.
int replicas_of(ForeignSettings& settings, int gpus, int each, const RunSetting* at);

}  // namespace flopcast
