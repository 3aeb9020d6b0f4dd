// The configuration of one replica of a serving engine: how the model is cut over its GPUs, in which number formats
// it computes, how iterations are put together.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/chips/precision.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/model/model.h"
#include "workloads/serving/policies.h"

namespace flopcast {

/// What the fullest of `b` parts holds of `a` things that are not cut.
inline double ceil_div(double a, double b) { return std::ceil(a / b); }

/// GPUs of a replica = tensor x attention_data x pipeline.
struct ServingPlan {
  int tensor = 1;          ///< GPUs that share each matrix of attention and of dense FFNs
  int attention_data = 1;  ///< groups of `tensor` GPUs with requests (and KV caches) of their own
  int pipeline = 1;        ///< stages the layers are spread over
  int expert = 1;          ///< GPUs the experts are spread over; 1: all share each expert
  int gpus() const { return tensor * attention_data * pipeline; }
  /// GPUs that share each expert's matrices.
  int expert_slices() const { return std::max(1, tensor * attention_data / std::max(1, expert)); }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("tensor", &ServingPlan::tensor, {"plan"});
    field("attention_data", &ServingPlan::attention_data, {"plan"});
    field("pipeline", &ServingPlan::pipeline, {"plan"});
    field("expert", &ServingPlan::expert, {"plan"});
  }
};

/// What a quantised checkpoint keeps in BF16 of its linear layers, beside edges and gates.
enum class Bf16Parts : std::uint8_t {
  by_format,          ///< attention, in NVFP4 where it is latent (attends_in_bf16)
  attention,          ///< projections of attention
  attention_and_ends  ///< and the dense FFN of the first and the last layer (meta-llama/Llama-3.1-405B-FP8)
};
constexpr std::array<std::string_view, 3> enum_names(Bf16Parts) {
  return {"by_format", "attention", "attention_and_ends"};
}

struct ServingPrecision {
  Precision linear = Precision::bf16;  ///< weights and activations of linear layers
  Scaling scaling = Scaling::none;     ///< of FP8 operands
  WeightFormat stored = WeightFormat::as_multiplied;
  WeightFormat experts = WeightFormat::as_multiplied;  ///< of routed experts, where it is another
  Bf16Parts bf16_parts = Bf16Parts::by_format;
  Precision kv = Precision::bf16;  ///< the cache, and what attention reads of it
  Precision dispatch = Precision::bf16;
  Precision combine = Precision::bf16;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("weights", &ServingPrecision::linear, {"precision"});
    field("scaling", &ServingPrecision::scaling, {"precision"});
    field("weight_format", &ServingPrecision::stored, {"precision"});
    field("expert_format", &ServingPrecision::experts, {"precision"});
    field("bf16_parts", &ServingPrecision::bf16_parts, {"precision"});
    field("kv_cache", &ServingPrecision::kv, {"kv-cache"});
    field("dispatch", &ServingPrecision::dispatch, {"precision"});
    field("combine", &ServingPrecision::combine, {.cause = "precision", .resolved = true});
  }
};

/// Whose kernels an engine runs, where that makes a difference.
enum class KernelLibrary : std::uint8_t {
  open_source,    ///< CUTLASS for FP8 with one scale per tensor, FlashAttention-3: as measured in SGLang
  tensorrt_llm,   ///< cuBLASLt for the former; XQA reads an FP8 cache as fast as a BF16 one (not measured:
                  ///< XQA's tables are not public)
  torch_compile,  ///< cuBLAS, and the compiler's own small kernels: a model without an engine round it
  vllm            ///< as open_source, with vLLM's own block of experts
};
constexpr std::array<std::string_view, 4> enum_names(KernelLibrary) {
  return {"open_source", "tensorrt_llm", "torch_compile", "vllm"};
}

/// Whose kernels multiply with experts in FP8 with scales of blocks, where tokens are not sent to them one by one. Each
/// engine chose anew with every other version.
enum class ExpertKernels : std::uint8_t {
  as_kernels,        ///< KernelLibrary's
  deep_gemm,         ///< DeepGEMM over rows sorted by expert, in tiles of 128; Triton where experts are cut by 8
  deep_gemm_padded,  ///< the same over so many rows of every expert on the GPU, used or not
  cutlass,           ///< TensorRT-LLM's block, as FlashInfer offers it
  cutlass_spread,    ///< that where experts are spread over GPUs, else KernelLibrary's
  // On Blackwell TensorRT-LLM's generated kernels (flashinfer_trtllm), for models that SGLang's server_args.py names:
  generated_latent,  ///< those of latent attention (DeepSeek-V3's class), in FP8
  generated_fp8,     ///< Qwen3's and Qwen3-Next's too
  generated,         ///< the latter in BF16 too
};
constexpr std::array<std::string_view, 8> enum_names(ExpertKernels) {
  return {"as_kernels",     "deep_gemm",        "deep_gemm_padded", "cutlass",
          "cutlass_spread", "generated_latent", "generated_fp8",    "generated"};
}

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

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("max_batch", &SchedulerConfig::max_batch, {"engine"});
    field("token_budget", &SchedulerConfig::token_budget, {"engine"});
    field("batching", &SchedulerConfig::batching, {"engine"});
    field("admission", &SchedulerConfig::admission, {"engine"});
    field("preemption", &SchedulerConfig::preemption, {"engine"});
    field("balance_attention", &SchedulerConfig::balance_attention, {"engine"});
    field("chunked_prefill", &SchedulerConfig::chunked_prefill, {"engine"});
    field("max_waiting", &SchedulerConfig::max_waiting, {"engine"});
  }
};

/// Tokens that all-to-all kernels move at once, and how.
enum class ExpertExchange : std::uint8_t {
  high_throughput,  ///< normal kernels: few bytes over NICs, SMs taken, for prompts
  low_latency,      ///< each copy straight to its GPU, no SMs taken, for decoding
};
constexpr std::array<std::string_view, 2> enum_names(ExpertExchange) { return {"high_throughput", "low_latency"}; }

/// How tokens get to experts that are spread over GPUs, and their results back.
enum class ExpertTransport : std::uint8_t {
  automatic,   ///< all_to_all where attention groups or two micro-batches ask for it, else replicated
  replicated,  ///< all GPUs of one attention group hold its tokens: nothing is sent, results are all-reduced
  all_gather,  ///< each GPU gets the tokens of all attention groups, and sums of results are scattered back
  all_to_all,  ///< each token goes to the GPUs of its experts (DeepEP)
};
constexpr std::array<std::string_view, 4> enum_names(ExpertTransport) {
  return {"automatic", "replicated", "all_gather", "all_to_all"};
}

enum class DraftKind : std::uint8_t {
  mtp,     ///< modules that the model brings
  eagle,   ///< a head trained for it: one layer with a projection, on the model's own embedding and output head
  lookup,  ///< what followed the same tokens before; costs nothing
  model,   ///< a smaller model, all of it (EngineConfig::drafter)
};
constexpr std::array<std::string_view, 4> enum_names(DraftKind) { return {"mtp", "eagle", "lookup", "model"}; }

/// What EngineConfig::memory_share is a share of.
enum class MemoryShareOf : std::uint8_t {
  all,    ///< HBM: for weights, workspace and KV cache
  free,   ///< what weights and workspace leave: for the KV cache
  fixed,  ///< HBM: for weights and KV cache, the workspace beside
};
constexpr std::array<std::string_view, 3> enum_names(MemoryShareOf) { return {"all", "free", "static"}; }

/// How an engine chooses EngineConfig::memory_share where nobody states it.
enum class MemoryRule : std::uint8_t {
  stated,      ///< not at all
  by_ranks,    ///< SGLang 0.4: less the more GPUs share a replica
  by_reserve,  ///< SGLang from 0.5.3: what activations, graphs and communication are reckoned to leave
};
constexpr std::array<std::string_view, 3> enum_names(MemoryRule) { return {"stated", "by_ranks", "by_reserve"}; }

struct SpeculationConfig {
  int depth = 0;            ///< tokens drafted per iteration; 0: off
  double acceptance = 0.0;  ///< probability that a draft is kept, given that those before it were
  DraftKind kind = DraftKind::mtp;
  int most_batch = 0;  ///< requests of an attention group up to which there are drafts; 0: always
  /// Drafts for each request of an iteration. @param batch requests of the attention group that has most.
  int depth_at(double batch) const { return most_batch > 0 && batch > most_batch ? 0 : depth; }
  /// Tokens that an iteration yields on average: 1 + a + a^2 + ...
  double tokens_per_iteration() const {
    double yield = 1, kept = 1;
    for (int i = 0; i < depth; ++i) yield += (kept *= acceptance);
    return yield;
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("depth", &SpeculationConfig::depth, {"speculation"});
    field("acceptance", &SpeculationConfig::acceptance, {"speculation"});
    field("kind", &SpeculationConfig::kind, {"speculation"});
    field("most_batch", &SpeculationConfig::most_batch, {.cause = "speculation", .absent = "any"});
  }
};

/// Host time that an engine's profile states, instead of EngineConstants'.
struct EngineHost {
  std::optional<Seconds> iteration, sequence, prompt_token, launch, request, graph_gap, tokenise, cold_prompts,
      latent_layer, draft_round, indexed_verify;
  /// Iterations with prompts of up to so many tokens run as CUDA graphs between attention's cores.
  std::optional<int> piecewise_tokens;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("iteration", &EngineHost::iteration, {"engine"});
    field("sequence", &EngineHost::sequence, {"engine"});
    field("prompt_token", &EngineHost::prompt_token, {"engine"});
    field("launch", &EngineHost::launch, {"engine"});
    field("request", &EngineHost::request, {"engine"});
    field("graph_gap", &EngineHost::graph_gap, {"engine"});
    field("tokenise", &EngineHost::tokenise, {"engine"});
    field("cold_prompts", &EngineHost::cold_prompts, {"engine"});
    field("latent_layer", &EngineHost::latent_layer, {"engine"});
    field("draft_round", &EngineHost::draft_round, {"engine"});
    field("indexed_verify", &EngineHost::indexed_verify, {"engine"});
    field("piecewise_tokens", &EngineHost::piecewise_tokens, {"engine"});
  }
};

struct EngineConfig {
  std::string name;                   ///< of its profile; empty: none is stated
  std::string calibrated_on;          ///< measurements of the user's own that the profile comes from
  bool refuses_long_prompts = false;  ///< without chunked_prefill: beyond the tokens of an iteration (of its profile)
  bool needs_whole_blocks = false;    ///< of weights in FP8, on every GPU (of its profile)
  std::string came_later;             ///< fields that a later version than this brought, by name (of its profile)
  bool cold = false;                  ///< kernels of prompts are still to be compiled (EngineHost::cold_prompts)
  bool weights_as_published = false;  ///< nobody stated a format: that of the model's files
  ModelConfig model;
  ServingPlan plan;
  ServingPrecision precision;
  SchedulerConfig scheduler;
  SpeculationConfig speculation;
  ModelConfig drafter;  ///< of drafts of kind model; no name: none
  bool has_drafter() const {
    return speculation.depth > 0 && speculation.kind == DraftKind::model && !drafter.name.empty();
  }
  KernelLibrary kernels = KernelLibrary::open_source;
  ExpertKernels expert_kernels = ExpertKernels::as_kernels;
  int head_norm_kernels = 2;           ///< KernelHabits::head_norm_kernels
  int shared_beside_tokens = 0;        ///< up to so many, graphs run shared experts beside routed ones
  bool two_micro_batches = false;      ///< compute of one half beside communication of the other
  bool cuda_graphs = true;             ///< decoding iterations are launched as one graph
  std::string graph_sizes;             ///< batches that have one (parse_graph_sizes); empty: all
  bool graph_padding = true;           ///< batches between them are padded; else they have none
  bool priority_preemption = false;    ///< ClassRules::preempt
  bool overlap_scheduling = true;      ///< the host prepares an iteration while the GPU works on the one before
  bool scheduled_ahead = false;        ///< with it: an iteration is put together when the one before it begins
  bool results_behind_launch = false;  ///< with it: tokens are handed out once the next iteration has been launched
  int communication_sms = 20;          ///< SMs that high-throughput dispatch and combine take
  ExpertExchange decode_exchange = ExpertExchange::low_latency;
  ExpertTransport expert_transport = ExpertTransport::automatic;
  EngineHost host;
  int redundant_experts = 0;  ///< copies of busy experts, in all
  double memory_share = 0.9;  ///< of HBM that weights, workspace and KV cache may fill, or as memory_share_of has it
  MemoryShareOf memory_share_of = MemoryShareOf::all;
  MemoryRule memory_rule = MemoryRule::stated;  ///< else memory_share counts for nothing: see memory_share()
  std::int64_t cache_tokens = 0;                ///< of the KV cache of an attention group; 0: what memory_share leaves
  Bytes cache_memory;                           ///< of a GPU for it; 0: likewise
  double state_share = 0;                       ///< of what weights leave, for states of layers; 0: in the KV cache
  int state_places = 1;                         ///< of that pool, for each request that runs
  bool window_caches = true;                    ///< caches of layers with a window are as long as that
  int adapters = 0;                             ///< low-rank adapters that stand in memory
  int adapter_rank = 16;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("engine", &EngineConfig::name, {"engine"});
    field.aside(&EngineConfig::calibrated_on, "engine");
    field.aside(&EngineConfig::refuses_long_prompts, "engine");
    field.aside(&EngineConfig::needs_whole_blocks, "engine");
    field.aside(&EngineConfig::came_later, "engine");
    field.aside(&EngineConfig::cold, "engine");
    field.aside(&EngineConfig::weights_as_published, "precision");
    field("model", &EngineConfig::model, {.resolved = true});
    field("", &EngineConfig::plan);
    field("", &EngineConfig::precision);
    field("", &EngineConfig::scheduler);
    field("speculation", &EngineConfig::speculation, {.resolved = true});
    field("draft_model", &EngineConfig::drafter, {.resolved = true});
    field("kernels", &EngineConfig::kernels, {"engine"});
    field("expert_kernels", &EngineConfig::expert_kernels, {"engine"});
    field("head_norm_kernels", &EngineConfig::head_norm_kernels, {"engine"});
    field("shared_beside_tokens", &EngineConfig::shared_beside_tokens, {"engine"});
    field("two_micro_batches", &EngineConfig::two_micro_batches, {"micro-batches"});
    field("cuda_graphs", &EngineConfig::cuda_graphs, {"engine"});
    field("graph_sizes", &EngineConfig::graph_sizes, {"engine"});
    field("graph_padding", &EngineConfig::graph_padding, {"engine"});
    field("priority_preemption", &EngineConfig::priority_preemption, {"engine"});
    field("overlap_scheduling", &EngineConfig::overlap_scheduling, {"engine"});
    field("scheduled_ahead", &EngineConfig::scheduled_ahead, {"engine"});
    field("results_behind_launch", &EngineConfig::results_behind_launch, {"engine"});
    field("window_caches", &EngineConfig::window_caches, {"engine"});
    field("communication_sms", &EngineConfig::communication_sms, {"engine"});
    field("decode_exchange", &EngineConfig::decode_exchange, {"engine"});
    field("expert_transport", &EngineConfig::expert_transport, {"engine"});
    field("host", &EngineConfig::host, {.resolved = true});
    field("redundant_experts", &EngineConfig::redundant_experts, {"plan"});
    field("memory_share", &EngineConfig::memory_share, {"engine"});
    field("memory_share_of", &EngineConfig::memory_share_of, {"engine"});
    field("memory_rule", &EngineConfig::memory_rule, {"engine"});
    field("cache_tokens", &EngineConfig::cache_tokens, {.cause = "engine", .absent = "what memory_share leaves"});
    field("cache_memory", &EngineConfig::cache_memory, {.cause = "engine", .absent = "what memory_share leaves"});
    field("state_share", &EngineConfig::state_share, {"engine"});
    field("state_places", &EngineConfig::state_places, {"engine"});
    field("adapters", &EngineConfig::adapters, {"engine"});
    field("adapter_rank", &EngineConfig::adapter_rank, {"engine"});
  }
};

/// What the first prompts wait for kernels that are compiled for them: those of FP8 blocks, as DeepGEMM and Triton have
/// them.
inline Seconds cold_prompts(const EngineConfig& engine) {
  const bool blocks = engine.precision.linear == Precision::fp8 && engine.precision.scaling == Scaling::blocks;
  return engine.cold && blocks ? engine.host.cold_prompts.value_or(Seconds(0)) : Seconds(0);
}

/// What an iteration with drafts takes beside kernels: the host hands drafts to the model and what was kept back to
/// them, and waits for each; layers that choose tokens by an index verify several at once by other kernels than they
/// decode.
inline Seconds draft_host(const EngineConfig& engine, int depth) {
  if (depth == 0 || engine.speculation.kind == DraftKind::lookup) return Seconds(0);
  const Seconds layers = engine.host.indexed_verify.value_or(Seconds(0)) * engine.model.layers;
  return engine.host.draft_round.value_or(Seconds(0)) +
         (engine.model.attention.indexer.heads > 0 ? layers : Seconds(0));
}
/// Whether the host prepares an iteration while the GPU works on the one before. An engine that states what a round of
/// drafts takes its host waits for what was kept.
inline bool host_is_hidden(const EngineConfig& engine, int depth) {
  return engine.overlap_scheduling && draft_host(engine, depth) == Seconds(0);
}

/// "1 2 4 8..512/8": batches from small to large, or from, to and step of many. Nothing: it is none.
std::optional<std::vector<int>> parse_graph_sizes(std::string_view text);

/// What `automatic` comes to.
inline ExpertTransport transport_of(const EngineConfig& engine) {
  const bool one_group = engine.plan.attention_data == 1;
  switch (engine.expert_transport) {
    case ExpertTransport::automatic:
      return one_group && !(engine.two_micro_batches && engine.plan.expert > 1) ? ExpertTransport::replicated
                                                                                : ExpertTransport::all_to_all;
    case ExpertTransport::all_gather:
      return one_group ? ExpertTransport::replicated : ExpertTransport::all_gather;
    default:
      return engine.expert_transport;
  }
}
/// Tokens travel to their experts one by one.
inline bool sends_to_experts(const EngineConfig& engine) {
  return engine.plan.expert > 1 && transport_of(engine) == ExpertTransport::all_to_all;
}
/// Whether projections of attention are in BF16 beside quantised other layers: as stated, or as checkpoints in NVFP4 of
/// models with latent attention have them (nvidia/DeepSeek-R1-FP4: exclude_modules model.layers.*.self_attn*, in
/// NVIDIA/TensorRT-LLM issue 5766 of 2025-07; NVIDIA/Model-Optimizer issue 150 of 2025-03).
inline bool attends_in_bf16(const EngineConfig& engine) {
  const bool fp4 = engine.precision.linear == Precision::fp4 || engine.precision.stored == WeightFormat::nvfp4;
  return engine.precision.bf16_parts != Bf16Parts::by_format || (fp4 && engine.model.attention.from_latent());
}
/// Layers whose dense FFN is in BF16 beside quantised others.
inline int ends_in_bf16(const EngineConfig& engine) {
  return engine.precision.bf16_parts == Bf16Parts::attention_and_ends ? std::min(2, engine.model.dense_layers()) : 0;
}
/// What a choice of expert kernels comes to with the engine's plan and number format.
inline ExpertKernels expert_kernels_of(const EngineConfig& engine) {
  const bool blocks = engine.precision.linear == Precision::fp8 && engine.precision.scaling == Scaling::blocks &&
                      engine.precision.stored == WeightFormat::as_multiplied &&
                      engine.precision.experts == WeightFormat::as_multiplied;
  if (!blocks || sends_to_experts(engine) || !engine.model.gated_ffn) return ExpertKernels::as_kernels;
  switch (engine.expert_kernels) {
    case ExpertKernels::deep_gemm:
    case ExpertKernels::deep_gemm_padded:
      return engine.plan.expert_slices() >= 8 ? ExpertKernels::as_kernels : engine.expert_kernels;
    case ExpertKernels::cutlass_spread:
      return engine.plan.expert > 1 ? ExpertKernels::cutlass : ExpertKernels::as_kernels;
    default:
      return engine.expert_kernels;
  }
}
/// Whether experts run by generated kernels, where the GPU has them: what ExpertKernels::generated and its like come
/// to. A model's class is told by what it has: Qwen3's experts have no shared ones and norms per head, Qwen3-Next has
/// states of layers beside attention with keys and values per head.
inline bool generated_experts(const EngineConfig& engine) {
  const ModelConfig& model = engine.model;
  const bool latent = model.attention.from_latent();
  const bool qwen = model.attention.type == "grouped_query" &&
                    (model.state_layers.layers > 0 ||
                     (model.moe.shared_experts == 0 && model.attention.head_norms == HeadNorms::per_head));
  const bool whole =
      engine.precision.stored == WeightFormat::as_multiplied && engine.precision.experts == WeightFormat::as_multiplied;
  if (model.moe.experts == 0 || !model.gated_ffn || !whole || sends_to_experts(engine)) return false;
  const bool fp8 = engine.precision.linear == Precision::fp8;
  switch (engine.expert_kernels) {
    case ExpertKernels::generated_latent:
      return latent && fp8;
    case ExpertKernels::generated_fp8:
      return (latent || qwen) && fp8;
    case ExpertKernels::generated:
      return (latent && fp8) || qwen;
    default:
      return false;
  }
}
/// Whether a decoding iteration runs shared experts beside routed ones, on a second stream of its graph.
inline bool runs_shared_beside(const EngineConfig& engine, double tokens) {
  return engine.cuda_graphs && !sends_to_experts(engine) && tokens <= engine.shared_beside_tokens;
}

}  // namespace flopcast
