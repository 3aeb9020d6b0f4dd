// What one replica of a serving engine is told: how the model is cut over its GPUs, in which number formats
// it computes, how iterations are put together.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>

#include "hwmodels/chips/precision.h"
#include "workloads/model/model.h"
#include "workloads/serving/policies.h"
#include "workloads/training/training.h"

namespace flopcast {

/// What the fullest of `b` parts holds of `a` things that are not cut.
inline double ceil_div(double a, double b) { return std::ceil(a / b); }

/// GPUs of a replica = tensor x attention_data x pipeline.
struct ServingPlan {
  int tensor = 1;          ///< GPUs that share each matrix of attention and of dense FFNs
  int attention_data = 1;  ///< groups of `tensor` GPUs with requests (and KV caches) of their own
  int pipeline = 1;        ///< stages the layers are spread over
  int expert = 1;          ///< GPUs the experts are spread over, tensor x attention_data; 1: all share each expert
  int gpus() const { return tensor * attention_data * pipeline; }
};

struct ServingPrecision {
  Precision linear = Precision::bf16;  ///< weights and activations of linear layers
  Scaling scaling = Scaling::none;     ///< of FP8 operands
  Precision kv = Precision::bf16;      ///< the cache, and what attention reads of it
  Precision dispatch = Precision::bf16;
  Precision combine = Precision::bf16;
};

/// Whose kernels an engine runs, where that makes a difference.
enum class KernelLibrary : std::uint8_t {
  open_source,   ///< CUTLASS for FP8 with one scale per tensor, FlashAttention-3: as measured in SGLang
  tensorrt_llm,  ///< cuBLASLt for the former; XQA reads an FP8 cache as fast as a BF16 one (not measured:
                 ///< XQA's tables are not public)
};

/// How iterations are put together.
struct SchedulerConfig {
  const BatchingRow* batching = &batching_policies().front();
  const AdmissionRow* admission = &admission_policies().front();
  const PreemptionRow* preemption = &preemption_policies().front();
  int max_batch = 256;             ///< requests in an iteration, per attention group
  int token_budget = 8192;         ///< tokens in an iteration, per attention group
  bool chunked_prefill = true;     ///< prompts may be cut to fill the budget
  bool balance_attention = false;  ///< and so that attention groups have no more query-key pairs than their mean
  int max_waiting = 1 << 20;       ///< requests in the queue of a replica; further ones are rejected
};

/// Tokens that all-to-all kernels move at once, and how.
enum class ExpertExchange : std::uint8_t {
  high_throughput,  ///< normal kernels: few bytes over NICs, SMs taken, for prompts
  low_latency,      ///< each copy straight to its GPU, no SMs taken, for decoding
};

struct SpeculationConfig {
  int depth = 0;            ///< tokens drafted per iteration by MTP modules; 0: off
  double acceptance = 0.0;  ///< probability that a draft is kept, given that those before it were
  /// Tokens that an iteration yields on average: 1 + a + a^2 + ...
  double tokens_per_iteration() const {
    double yield = 1, kept = 1;
    for (int i = 0; i < depth; ++i) yield += (kept *= acceptance);
    return yield;
  }
};

struct EngineConfig {
  ModelConfig model;
  ServingPlan plan;
  ServingPrecision precision;
  SchedulerConfig scheduler;
  SpeculationConfig speculation;
  KernelLibrary kernels = KernelLibrary::open_source;
  bool two_micro_batches = false;  ///< compute of one half beside communication of the other
  bool cuda_graphs = true;         ///< decoding iterations are launched as one graph
  bool overlap_scheduling = true;  ///< the host prepares an iteration while the GPU works on the one before
  int communication_sms = 20;      ///< SMs that high-throughput dispatch and combine take
  ExpertExchange decode_exchange = ExpertExchange::low_latency;
  int redundant_experts = 0;  ///< copies of busy experts, in all
  double memory_share = 0.9;  ///< of HBM that weights, workspace and KV cache may fill
};

}  // namespace flopcast
