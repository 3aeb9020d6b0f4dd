// What fits into the memory of a replica's GPUs.
#pragma once
#include <cstdint>

#include "sim/base/units.h"
#include "workloads/training/memory/memory_table.h"

namespace flopcast {

struct EngineConfig;
struct GpuSpec;

/// HBM of one GPU of a replica.
struct ReplicaMemory {
  MemoryTable table;           ///< weights, workspace
  Bytes usable;                ///< what memory_share lets table and cache fill
  Bytes kv_per_token;          ///< of one token on one GPU
  Bytes kv_per_sequence;       ///< of one sequence, besides its tokens: windows, states
  std::int64_t kv_tokens = 0;  ///< that an attention group can hold; negative or small: it does not fit
};
ReplicaMemory replica_memory(const EngineConfig& engine, const GpuSpec& gpu);

}  // namespace flopcast
