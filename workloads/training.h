// What a training run is told: parallel plan, batch, precisions, recomputation, expert load, and the mechanisms that
// can be switched off one by one to see what each costs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hwmodels/precision.h"
#include "workloads/model.h"

namespace flopcast {

/// Degrees of parallelism. GPUs = data * tensor * context * pipeline; experts are spread over `expert` ranks taken
/// from data (and context) parallel ranks of one pipeline stage.
struct ParallelPlan {
  int data = 1;
  int tensor = 1;
  int context = 1;
  int pipeline = 1;
  int expert = 1;
  int chunks = 1;      ///< model chunks per pipeline rank (interleaved schedules)
  int zero_stage = 1;  ///< 0: replicated optimiser; 1: optimiser states sharded over data parallel ranks
  /// Layers per stage, first to last; empty: see `layer_split`.
  std::vector<int> stage_layers;
  /// "balanced": whole layers, the slowest pair of stages as fast as can be; "even": whole layers, counts differ by at
  /// most one, the remainder on the first stages; "fractional": every stage the same share of all layers (a what-if:
  /// no such model exists, it shows what the remainder costs).
  std::string layer_split = "balanced";
  std::int64_t gpus() const { return std::int64_t{data} * tensor * context * pipeline; }
};

struct BatchConfig {
  std::int64_t sequences = 1;         ///< per step, all replicas together
  std::int64_t sequence_length = 1;   ///< tokens
  int micro_batch_sequences = 1;      ///< sequences per micro-batch and replica
  std::int64_t tokens() const { return sequences * sequence_length; }
};

/// Precision per class of tensor (DeepSeek-V3 report, 3.3).
struct PrecisionPlan {
  Precision linear = Precision::bf16;      ///< operands of linear layers: forward, dgrad and wgrad
  Scaling scaling = Scaling::none;         ///< of FP8 operands
  Precision attention = Precision::bf16;   ///< attention core
  Precision head = Precision::bf16;        ///< output head and embedding
  Precision dispatch = Precision::bf16;    ///< tokens sent to experts (and their gradients)
  Precision combine = Precision::bf16;     ///< expert outputs sent back (and their gradients)
  Precision gradients = Precision::fp32;   ///< accumulated and reduced
  Precision parameters = Precision::bf16;  ///< the copy that is gathered and computed with
  Precision master = Precision::fp32;
  Precision moments = Precision::fp32;     ///< both AdamW moments
  Precision activations = Precision::bf16; ///< what linear layers keep for the weight gradient
};

/// What is computed again in the backward pass instead of kept.
struct RecomputePlan {
  bool norms = false;
  bool attention_up_projections = false;  ///< MLA: q_b and kv_b
  bool activation_function = false;       ///< SwiGLU output
  bool full_layer = false;
};

/// How unevenly tokens fall on experts.
struct ExpertLoad {
  enum class Kind { balanced, skewed, given } kind = Kind::balanced;
  /// skewed: coefficient of variation of the experts' loads (log-normal, quantiles in fixed order).
  double coefficient_of_variation = 0.0;
  std::vector<double> shares;  ///< given: one positive number per routed expert, any scale
  /// "contiguous": expert e on rank e / (experts per rank). "eplb": DeepSeek's EPLB with `redundant_experts`.
  std::string placement = "contiguous";
  int redundant_experts = 0;
  std::string source;
};

/// Things a sketch leaves out. Each can be switched off from the command line to see what it costs.
struct Mechanisms {
  bool embedding_head_mtp = true;     ///< work of embedding, output head and MTP on their stages
  bool pipeline_transfers = true;     ///< activations and gradients between stages
  bool gradient_collectives = true;   ///< reduce-scatter of gradients, all-gather of parameters
  bool expert_communication = true;   ///< dispatch and combine
  bool communication_sms = true;      ///< communication takes SMs from compute while both run
  /// Standard deviation of GPU speed within the cluster, as a fraction. The slowest GPU of a group that waits for
  /// each other sets its pace (expected largest of n normal draws).
  double gpu_speed_spread = 0.0;
  std::string gpu_speed_spread_source;
};

struct TrainingConfig {
  ModelConfig model;
  ParallelPlan plan;
  BatchConfig batch;
  PrecisionPlan precision;
  RecomputePlan recompute;
  ExpertLoad expert_load;
  Mechanisms mechanisms;
  std::string schedule;             ///< row of schedules()
  std::string schedule_file;        ///< user's order instead; contents in schedule_text
  std::string schedule_text;
  int communication_sms = 20;       ///< SMs that dispatch and combine kernels occupy
  bool with_mtp = true;
  bool unfolded = false;            ///< replay every rank instead of one per group of identical ones
  int micro_batches() const {
    return static_cast<int>(batch.sequences / (static_cast<std::int64_t>(plan.data) * batch.micro_batch_sequences));
  }
};

}  // namespace flopcast
