// Which tensor parallelism grouped queries allow.
#pragma once
#include "workloads/model/model.h"

namespace flopcast {

/// Whether GPUs that share matrices can share the heads of grouped queries: each has whole heads of keys and values, or
/// several have one.
bool splits_key_heads(const ModelConfig& model, int tensor);

}  // namespace flopcast
