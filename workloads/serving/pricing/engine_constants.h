// What an engine adds to its kernels: at most six numbers, shared by every model, GPU and engine, fitted once
// on measured serving runs by `flopcast calibrate`; what low-latency expert exchange takes, fitted on
// DeepEP's own tables; and what others measured, as they state it.
#pragma once
#include <array>
#include <string>
#include <string_view>

#include "hwmodels/chips/fitted.h"
#include "workloads/serving/pricing/engine.h"

namespace flopcast {

/// Time of an iteration = iteration + max(kernels and gaps, host), host = sequences x sequence + prompt
/// tokens x prompt_token; an engine without overlapped scheduling adds the two up. Kernels of a CUDA graph
/// follow each other with graph_gap; others are launched one by one and take at least `launch` each. A
/// request is known to the scheduler `request` after it came in.
struct EngineConstants {
  Fitted iteration_us;     ///< scheduling, preparing inputs, launching the graph, between two iterations
  Fitted sequence_us;      ///< sampling, detokenising, bookkeeping, per request of the batch
  Fitted prompt_token_us;  ///< preparing a token of a prompt
  Fitted launch_us;        ///< host time per kernel outside CUDA graphs
  Fitted request_us;       ///< reading and tokenising a request before it is queued
  /// Between kernels of a CUDA graph, beside what each was measured to take in one: between equal kernels 0.1 us.
  Fitted graph_gap_us;

  // Caches on their way to another pool (CachePace).
  Fitted cache_setup_us;
  Fitted cache_efficiency;

  Fitted expert_variation;  ///< coefficient of variation of a real router's loads of experts
  /// Correlation of the logarithms of experts' loads in an iteration with those that copies were placed by: where
  /// thousands of answers are under way, and where the prompts of some hundred requests are (steady_busiest_load).
  Fitted answers_alike, prompts_alike;

  Fitted one_shot_goodput;  ///< of an all-reduce in which every GPU reads all others' parts, over NVLink's rate

  // Low-latency dispatch and combine: setup + doubling x log2(nodes)
  //   + max(bytes over the NIC / (nic x rate), bytes to the own node / (nvlink x rate)).
  Fitted exchange_setup_us;
  Fitted exchange_doubling_us;
  Fitted exchange_nic;
  Fitted exchange_nvlink;

  /// Of a collective over nodes in a CUDA graph: NCCL hands its network threads what to send by a call of the host that
  /// the graph waits for.
  Fitted network_call_us;
};

struct EngineConstantRow {
  std::string_view name;
  std::string_view meaning;
  Fitted EngineConstants::*field;
};
constexpr int kEngineConstants = 17;
const std::array<EngineConstantRow, kEngineConstants>& engine_constants();

/// Coefficient of variation of the loads that a model's router gives its experts: measured, or a usual one's.
double router_variation(const ModelConfig& model, const EngineConstants& constants);

/// Those of one engine: what its profile states, the rest as it is.
EngineConstants with_host(EngineConstants constants, const EngineHost& host);

}  // namespace flopcast
