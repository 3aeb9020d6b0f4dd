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
  Bytes kv_per_state;          ///< of one sequence, however long it is: states
  Bytes state_pool;            ///< beside the cache, for them alone; 0: they lie in the cache
  int state_requests = 0;      ///< that it has places for; 0: as many as the cache
  Bytes kv_per_window;         ///< of one sequence, for layers with a window: when that is full
  int window = 0;              ///< its tokens; 0: no layer has one
  Bytes workspace;             ///< of the table
  std::int64_t kv_tokens = 0;  ///< that an attention group can hold; negative or small: it does not fit

  /// Of a sequence of so many tokens, windows included, and states that have no pool of their own.
  Bytes kv_of(double tokens) const;
  Bytes state_in_cache() const { return state_pool > Bytes(0) ? Bytes(0) : kv_per_state; }
  /// As many tokens as take the room of such a sequence.
  double as_tokens(double tokens) const { return kv_of(tokens) / kv_per_token; }
};

/// What a cache holds as engines log it when they start: as many requests of the model's longest context as fit, times
/// that. While its prompt is computed such a request has the tokens of an iteration in windows too (vLLM). Gemma 4 31B:
/// 108 KiB a token, of which 28 are windows'.
struct LoggedCache {
  double length = 0;  ///< of those requests
  Bytes per_token;    ///< on one GPU
  double tokens = 0;
};
LoggedCache logged_cache(const EngineConfig& engine, int page_tokens, const ReplicaMemory& memory);

/// What an engine sets memory_share to: as stated, or by its own rule.
double memory_share(const EngineConfig& engine, const GpuSpec& gpu);
ReplicaMemory replica_memory(const EngineConfig& engine, const GpuSpec& gpu);

}  // namespace flopcast
