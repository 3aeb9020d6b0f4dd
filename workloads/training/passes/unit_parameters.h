// What a collective of data parallelism sends at once.
#pragma once
#include "workloads/training/passes/shard_traffic.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Parameters of single layers, and of the edges that travel with the layer beside them: what a collective of data
/// parallelism sends at once. Of one GPU.
struct UnitParameters {
  struct Units {
    StageParameters dense_layer, moe_layer, embedding, head;
  };
  /// @param count of the configuration's model.
  UnitParameters(const TrainingConfig& config, const ParameterCount& count);
  Units held, trained;
};

}  // namespace flopcast
