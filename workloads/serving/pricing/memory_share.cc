// How engines choose the share of HBM that they fill, and how they state what their caches hold.
#include <algorithm>
#include <cmath>

#include "hwmodels/chips/gpu.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {
namespace {

constexpr double kMiB = 1024 * 1024, kGiB = 1024;  // the latter in MiB, as SGLang reckons

/// SGLang v0.4.6, server_args.py: by the GPUs of tensor parallelism, those of attention groups among them.
double by_ranks(const EngineConfig& engine) {
  const int ranks = engine.plan.tensor * engine.plan.attention_data;
  return ranks >= 16 ? 0.79 : ranks >= 8 ? 0.81 : ranks >= 4 ? 0.85 : ranks >= 2 ? 0.87 : 0.88;
}

/// Requests of the largest graph: 256 where fewer than four GPUs share a replica, unless fewer are stated.
double largest_graph(const EngineConfig& engine) {
  constexpr int kFewRanks = 4, kOfFewRanks = 256;
  const auto sizes = parse_graph_sizes(engine.graph_sizes);
  const int most = sizes && !sizes->empty() ? sizes->back() : kOfFewRanks;
  return engine.plan.tensor * engine.plan.attention_data < kFewRanks ? std::min(most, kOfFewRanks) : most;
}

/// SGLang v0.5.3 to v0.5.9, server_args.py, _handle_gpu_memory_settings (pull request 10975, 2025-09). In MiB.
double by_reserve(const EngineConfig& engine, const GpuSpec& gpu) {
  const double hbm = gpu.hbm_usable().value() / kMiB, graph = largest_graph(engine);
  const int ranks = engine.plan.tensor * engine.plan.attention_data * engine.plan.pipeline;
  double reserved = 512 + 1.5 * std::max(engine.scheduler.token_budget, 2048) + 2 * graph + ranks / 8.0 * kGiB;
  if (engine.plan.attention_data > 1) reserved += graph * engine.plan.attention_data * (graph > 300 ? 4.5 : 3.0);
  if (hbm > 60 * kGiB) reserved = std::max(reserved, 10 * kGiB);
  const SpeculationConfig& drafts = engine.speculation;
  if (drafts.depth > 0 && drafts.kind != DraftKind::lookup)
    reserved += (drafts.kind == DraftKind::model ? 6 : 2) * kGiB;
  // With dozens of attention groups this leaves nothing, and engines are started with a share that is stated (0.835 in
  // the commands of SGLang's page on large-scale expert parallelism, 2025-05).
  constexpr double kLeastThatStarts = 0.5;
  const double share = std::round(1000 * (hbm - reserved) / hbm) / 1000;
  return share < kLeastThatStarts ? engine.memory_share : share;
}

}  // namespace

double memory_share(const EngineConfig& engine, const GpuSpec& gpu) {
  switch (engine.memory_rule) {
    case MemoryRule::by_ranks:
      return by_ranks(engine);
    case MemoryRule::by_reserve:
      return by_reserve(engine, gpu);
    case MemoryRule::stated:
      break;
  }
  return engine.memory_share;
}

Bytes ReplicaMemory::kv_of(double tokens) const {
  const double full = window > 0 ? std::min(1.0, tokens / window) : 0;
  return kv_per_token * tokens + kv_per_window * full + state_in_cache();
}

LoggedCache logged_cache(const EngineConfig& engine, int page_tokens, const ReplicaMemory& memory) {
  LoggedCache out;
  out.length = engine.model.max_positions;
  // vLLM, v1/kv_cache_interface.py, SlidingWindowSpec.max_memory_usage_bytes: pages of the window and of the tokens of
  // an iteration, and one, for windows need not begin where pages do.
  double in_window = std::min<double>(memory.window - 1.0 + engine.scheduler.token_budget, out.length);
  in_window = (std::ceil(in_window / page_tokens) + 1) * page_tokens;
  const Bytes windows = memory.window > 0 ? memory.kv_per_window / memory.window * in_window : Bytes(0);
  out.per_token = memory.kv_per_token + (windows + memory.state_in_cache()) / out.length;
  out.tokens = std::floor(static_cast<double>(memory.kv_tokens) * (memory.kv_per_token / out.per_token));
  return out;
}

}  // namespace flopcast
