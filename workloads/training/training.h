// The configuration of a training run: parallel plan, batch, precisions, recomputation, expert load, and the mechanisms
// that can be switched off one by one to see what each costs.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hwmodels/chips/precision.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/model/model.h"
#include "workloads/software/software.h"

namespace flopcast {

/// How the ranks that share a sequence get at each other's keys and values.
enum class ContextExchange : std::uint8_t {
  ring,        ///< pieces go round while attention works on the ones before (Ring Attention, arXiv 2310.01889)
  all_gather,  ///< all of them before attention starts (Llama 3, arXiv 2407.21783, 3.3.2)
  all_to_all,  ///< pieces for heads: each computes some heads of whole sequences (DeepSpeed-Ulysses, arXiv 2309.14509)
};
constexpr std::array<std::string_view, 3> enum_names(ContextExchange) { return {"ring", "all_gather", "all_to_all"}; }

/// Degrees of parallelism. GPUs = data * tensor * context * pipeline. Experts are spread over `expert` groups of
/// `expert_tensor` ranks, taken from all GPUs of one pipeline stage.
struct ParallelPlan {
  int data = 1;
  int tensor = 1;
  int context = 1;
  int pipeline = 1;
  int expert = 1;
  int expert_tensor = 1;  ///< GPUs that share each expert's matrices
  int chunks = 1;         ///< model chunks per pipeline rank (interleaved schedules)
  /// What is sharded over data parallel ranks. 0: nothing; 1: optimiser states; 2: gradients too; 3: parameters too
  /// (FSDP).
  int zero_stage = 1;
  int shard_group = 0;             ///< ranks that a shard is spread over (hybrid sharding); 0: all replicas
  bool sequence_parallel = true;   ///< norms and residuals of a tensor-parallel group are split along the sequence
  bool tensor_overlap = true;      ///< gathers and scatters of tensor parallelism run beside the GEMMs they feed
  bool overlap_gradients = true;   ///< gradients are reduced layer by layer during the last backward passes
  bool overlap_parameters = true;  ///< parameters are gathered layer by layer during the first forward passes
  ContextExchange context_exchange = ContextExchange::ring;
  ExpertDispatcher dispatcher = ExpertDispatcher::deep_ep;
  bool shared_expert_overlap = false;  ///< shared experts compute while tokens travel
  /// Layers per stage, first to last; empty: see `layer_split`.
  std::vector<int> stage_layers;
  /// "balanced": whole layers, the slowest pair of stages as fast as can be; "even": whole layers, counts differ by at
  /// most one, the remainder on the first stages; "even_with_embedding", "even_with_head", "even_with_both": even, with
  /// embedding or output head counted as a layer of the first or last stage; "fractional": every stage the same share
  /// of all layers (a what-if: no such model exists, it shows what the remainder costs).
  std::string layer_split = "balanced";
  /// GPUs of a tensor-parallel group that send the same tokens to experts: without sequence parallelism all hold the
  /// same ones, those that share an expert as slices each send them, and of several such sets each takes its part.
  int senders() const { return sequence_parallel ? 1 : std::min(expert_tensor, tensor); }
  std::int64_t gpus() const { return std::int64_t{data} * tensor * context * pipeline; }
  /// Ranks that hold the same slice of the dense parameters in one pipeline stage.
  int replicas() const { return data * context; }
  /// Ranks that the shards of dense parameters are spread over, per pipeline stage.
  int shards() const { return shard_group > 0 ? shard_group : replicas(); }
  /// Shards are spread over groups of replicas, which hold the same: what a group has reduced is summed over the
  /// groups.
  bool hybrid() const { return zero_stage >= 1 && shards() < replicas(); }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("chunks", &ParallelPlan::chunks, {"schedule"});
    field("pipeline", &ParallelPlan::pipeline, {"plan"});
    field("data", &ParallelPlan::data, {"plan"});
    field("tensor", &ParallelPlan::tensor, {"plan"});
    field("context", &ParallelPlan::context, {"plan"});
    field("zero_stage", &ParallelPlan::zero_stage, {"plan"});
    field("stage_layers", &ParallelPlan::stage_layers, {"plan"});
    field("layer_split", &ParallelPlan::layer_split, {"plan"});
    field("expert", &ParallelPlan::expert, {"experts", "expert parallel"});
    field("expert_tensor", &ParallelPlan::expert_tensor, {"plan"});
    field("shard_group", &ParallelPlan::shard_group, {.cause = "plan", .absent = "all replicas"});
    field("sequence_parallel", &ParallelPlan::sequence_parallel, {"plan"});
    field("tensor_overlap", &ParallelPlan::tensor_overlap, {"overlap"});
    field("overlap_gradients", &ParallelPlan::overlap_gradients, {"overlap"});
    field("overlap_parameters", &ParallelPlan::overlap_parameters, {"overlap"});
    field("context_exchange", &ParallelPlan::context_exchange, {"overlap"});
    field("dispatcher", &ParallelPlan::dispatcher, {"overlap"});
    field("shared_expert_overlap", &ParallelPlan::shared_expert_overlap, {"overlap"});
  }
};

struct BatchConfig {
  std::int64_t sequences = 1;        ///< per step, all replicas together
  std::int64_t sequence_length = 1;  ///< tokens
  int micro_batch_sequences = 1;     ///< sequences per micro-batch and replica
  std::int64_t document_length = 0;  ///< attention stays within documents of so many tokens; 0: within sequences
  /// Rounds in which a step's micro-batches come through the pipeline, which runs empty after each (gradients summed up
  /// round a pipeline).
  int rounds = 1;
  std::int64_t attended() const {
    return document_length > 0 ? std::min(document_length, sequence_length) : sequence_length;
  }
  std::int64_t tokens() const { return sequences * sequence_length; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("sequences", &BatchConfig::sequences, {"batch"});
    field("sequence_length", &BatchConfig::sequence_length, {"batch"});
    field("micro_batch_sequences", &BatchConfig::micro_batch_sequences, {"batch"});
    field("document_length", &BatchConfig::document_length, {.cause = "batch", .absent = "whole sequences"});
    field("rounds", &BatchConfig::rounds, {"schedule"});
  }
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
  Precision moments = Precision::fp32;      ///< both AdamW moments
  Precision activations = Precision::bf16;  ///< what linear layers keep for the weight gradient
  bool current_scales = false;              ///< per tensor: made by a pass of its own before each cast
  /// Layers, the first and the last, whose linear layers multiply in BF16 all the same.
  int bf16_layers = 0;
  double bf16_share(int layers) const {
    if (!is_narrow(linear)) return 0;
    return std::min(1.0, static_cast<double>(bf16_layers) / std::max(1, layers));
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("linear", &PrecisionPlan::linear, {"precision"});
    field("scaling", &PrecisionPlan::scaling, {"precision"});
    field("attention", &PrecisionPlan::attention, {"precision"});
    field("head", &PrecisionPlan::head, {"precision"});
    field("dispatch", &PrecisionPlan::dispatch, {"precision"});
    field("combine", &PrecisionPlan::combine, {"precision"});
    field("gradients", &PrecisionPlan::gradients, {"precision"});
    field("parameters", &PrecisionPlan::parameters, {"precision"});
    field("master", &PrecisionPlan::master, {"precision"});
    field("moments", &PrecisionPlan::moments, {"precision"});
    field("activations", &PrecisionPlan::activations, {"precision"});
    field("current_scales", &PrecisionPlan::current_scales, {"precision"});
    field("bf16_layers", &PrecisionPlan::bf16_layers, {"precision"});
  }
};

/// What is computed again in the backward pass instead of kept.
struct RecomputePlan {
  bool norms = false;
  bool attention_up_projections = false;  ///< MLA: q_b and kv_b
  bool activation_function = false;       ///< SwiGLU output
  bool full_layer = false;
  bool attention_core = false;        ///< scores and their sum over values, not the projections
  bool mlp = false;                   ///< the whole feed-forward block of dense layers
  int full_layers = 0;                ///< with full_layer: so many layers of each stage only; 0: all of them
  bool selective_operations = false;  ///< workloads/model/selective_again.h

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("norms", &RecomputePlan::norms, {"recompute"});
    field("attention_up_projections", &RecomputePlan::attention_up_projections, {"recompute"});
    field("activation_function", &RecomputePlan::activation_function, {"recompute"});
    field("full_layer", &RecomputePlan::full_layer, {"recompute"});
    field("attention_core", &RecomputePlan::attention_core, {"recompute"});
    field("mlp", &RecomputePlan::mlp, {"recompute"});
    field("full_layers", &RecomputePlan::full_layers, {.cause = "recompute", .absent = "all"});
    field("selective_operations", &RecomputePlan::selective_operations, {"recompute"});
  }
};

/// What lies in the host's memory instead of the GPU's, and comes and goes over the link between both.
struct OffloadPlan {
  double activations = 0;   ///< share of layers whose kept activations leave in the forward pass and come back
  double optimizer = 0;     ///< share of the optimiser's states, which the CPU updates
  bool parameters = false;  ///< shards of parameters and gradients, and all of the optimiser
  bool overlap = true;      ///< copies run beside compute, and beside the CPU
  double optimizer_share() const { return parameters ? 1 : optimizer; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("activations", &OffloadPlan::activations, {"offload"});
    field("optimizer", &OffloadPlan::optimizer, {"offload"});
    field("parameters", &OffloadPlan::parameters, {"offload"});
    field("overlap", &OffloadPlan::overlap, {"offload"});
  }
};

/// Local-update training (DiLoCo, arXiv 2311.08105): workers train on their own, each with its share of replicas, GPUs
/// and sequences, and average what they have learnt after every `inner_steps`.
struct LocalUpdates {
  int workers = 1;  ///< 1: all replicas take each step together
  int inner_steps = 100;
  double bytes_per_parameter = 4;  ///< that an exchange sends
  /// Parts of the model are exchanged beside the inner steps (Streaming DiLoCo, arXiv 2501.18512).
  bool streaming = false;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("workers", &LocalUpdates::workers, {"local updates"});
    field("inner_steps", &LocalUpdates::inner_steps, {"local updates"});
    field("bytes_per_parameter", &LocalUpdates::bytes_per_parameter, {"local updates"});
    field("streaming", &LocalUpdates::streaming, {"local updates"});
  }
};

/// How unevenly tokens fall on experts.
struct ExpertLoad {
  enum class Kind { balanced, skewed, given } kind = Kind::balanced;
  /// skewed: coefficient of variation of the experts' loads (log-normal, quantiles in fixed order).
  double coefficient_of_variation = 0.0;
  std::vector<double> shares;  ///< given: one positive number per routed expert, any scale
  enum class Placement {
    contiguous,  ///< expert e on rank e / (experts per rank)
    eplb,        ///< DeepSeek's EPLB with `redundant_experts`
  } placement = Placement::contiguous;
  int redundant_experts = 0;
  std::string source;
  enum class Level { expert, rank } level = Level::expert;  ///< whose loads the coefficient of variation is of
  std::optional<double>
      capacity_factor;  ///< every expert takes this many times the even share; none: nothing is dropped

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("kind", &ExpertLoad::kind, {"expert-load"});
    field("coefficient_of_variation", &ExpertLoad::coefficient_of_variation, {"expert-load"});
    field("shares", &ExpertLoad::shares, {"expert-load"});
    field("placement", &ExpertLoad::placement, {"expert-load"});
    field("redundant_experts", &ExpertLoad::redundant_experts, {"expert-load"});
    field("source", &ExpertLoad::source, {kLabel});
    field("level", &ExpertLoad::level, {"expert-load"});
    field("capacity_factor", &ExpertLoad::capacity_factor, {.cause = "expert-load", .absent = "none dropped"});
  }
};
constexpr std::array<std::string_view, 3> enum_names(ExpertLoad::Kind) { return {"balanced", "skewed", "given"}; }
constexpr std::array<std::string_view, 2> enum_names(ExpertLoad::Placement) { return {"contiguous", "eplb"}; }
constexpr std::array<std::string_view, 2> enum_names(ExpertLoad::Level) { return {"expert", "rank"}; }

/// Things a sketch leaves out. Each can be switched off from the command line to see what it costs.
struct Mechanisms {
  bool embedding_head_mtp = true;            ///< work of embedding, output head and MTP on their stages
  bool pipeline_transfers = true;            ///< activations and gradients between stages
  bool gradient_collectives = true;          ///< reduce-scatter of gradients, all-gather of parameters
  bool expert_communication = true;          ///< dispatch and combine
  bool tensor_context_communication = true;  ///< gathers, scatters and hops inside layers
  bool communication_sms = true;             ///< communication takes SMs from compute while both run
  bool host = true;                          ///< the host's time: launches, calls of modules, the end of a step
  bool board_limit = true;                   ///< the clock falls until the board's power limit is met
  /// Standard deviation of GPU speed within the cluster, as a fraction. The slowest GPU of a group that waits for
  /// each other sets its pace (expected largest of n normal draws).
  std::optional<double> gpu_speed_spread = 0.0;  ///< none: TrainingOverheads::gpu_speed_spread
  std::string gpu_speed_spread_source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("embedding_head_mtp", &Mechanisms::embedding_head_mtp, {"mechanisms"});
    field("pipeline_transfers", &Mechanisms::pipeline_transfers, {"mechanisms"});
    field("gradient_collectives", &Mechanisms::gradient_collectives, {"mechanisms"});
    field("expert_communication", &Mechanisms::expert_communication, {"mechanisms"});
    field("tensor_context_communication", &Mechanisms::tensor_context_communication, {"mechanisms"});
    field("communication_sms", &Mechanisms::communication_sms, {"mechanisms", "communication_sms on"});
    field("host", &Mechanisms::host, {"mechanisms"});
    field("board_limit", &Mechanisms::board_limit, {"mechanisms"});
    field("gpu_speed_spread", &Mechanisms::gpu_speed_spread, {.cause = "mechanisms", .absent = "as calibrated"});
    field("gpu_speed_spread_source", &Mechanisms::gpu_speed_spread_source, {kLabel});
  }
};

/// What kernels, links and collectives measured one by one do not say of a training step. Fitted once, on all
/// calibration runs together (hwmodels/data/training_calibration.textproto); the defaults here are those of an ideal
/// machine.
struct TrainingOverheads {
  double tensor_exposed = 0;    ///< share of a tensor-parallel collective that stays visible beside a long enough GEMM
  double context_exposed = 0;   ///< share of a hop of ring attention that stays visible beside attention
  double collective_share = 0;  ///< share of the GPU's speed that a collective takes from the compute beside it
  /// Clock of a long run whose GEMMs are cuBLAS's, over the clock of the data sheet's peaks. DeepGEMM beside
  /// communication draws more power and runs slower: KernelCalibration::sustained_clock. 0: as that.
  double vendor_clock = 0;
  /// Time of a per-tensor FP8 product of a backward pass over one of a forward pass: gradients are summed exactly
  /// (split accumulators) in Transformer Engine, torchao and XLA alike.
  double fp8_exact_sums = 1;
  double gpu_speed_spread = 0;  ///< used where a scenario does not state one
  Seconds step;                 ///< of every step: data, logging, optimiser bookkeeping on the host
  Seconds host_launch;          ///< host time per kernel launch, hidden while the GPU has longer work
  Seconds graph_gap;            ///< between two kernels of a CUDA graph
  double flash2_forward =
      1;  ///< speed of FlashAttention-2 over that of kernels made for the chip (cuDNN, FlashAttention-3)
  double flash2_backward = 1;  ///< the same of its backward pass
  double flash2_energy = 1;  ///< energy per FLOP of kernels not made for the chip over that of attention as calibrated
  double flex_forward = 1;   ///< speed of FlexAttention over that of kernels made for the chip
  double flex_backward = 1;  ///< the same of its backward pass
  // Both are made of Ampere's matrix instructions, whose rate stays while that of newer ones doubles: there
  // FlashAttention-2 is what attention was measured with.
  double flash2_forward_blackwell = 1, flash2_backward_blackwell = 1;
  double flex_forward_ampere = 1, flex_backward_ampere = 1;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("tensor_exposed", &TrainingOverheads::tensor_exposed, {"software"});
    field("context_exposed", &TrainingOverheads::context_exposed, {"software"});
    field("collective_share", &TrainingOverheads::collective_share, {"software"});
    field("vendor_clock", &TrainingOverheads::vendor_clock, {"software"});
    field("fp8_exact_sums", &TrainingOverheads::fp8_exact_sums, {"software"});
    field("gpu_speed_spread", &TrainingOverheads::gpu_speed_spread, {"software", "calibrated gpu_speed_spread"});
    field("step_ms", &TrainingOverheads::step, {"software"});
    field("host_launch_us", &TrainingOverheads::host_launch, {"software"});
    field("graph_gap_us", &TrainingOverheads::graph_gap, {"software"});
    field("flash2_forward", &TrainingOverheads::flash2_forward, {"software"});
    field("flash2_backward", &TrainingOverheads::flash2_backward, {"software"});
    field("flash2_energy", &TrainingOverheads::flash2_energy, {"software"});
    field("flex_forward", &TrainingOverheads::flex_forward, {"software"});
    field("flex_backward", &TrainingOverheads::flex_backward, {"software"});
    field("flash2_forward_blackwell", &TrainingOverheads::flash2_forward_blackwell, {"software"});
    field("flash2_backward_blackwell", &TrainingOverheads::flash2_backward_blackwell, {"software"});
    field("flex_forward_ampere", &TrainingOverheads::flex_forward_ampere, {"software"});
    field("flex_backward_ampere", &TrainingOverheads::flex_backward_ampere, {"software"});
  }
};

/// Every overhead with its name in the data file, its unit there and its meaning, in the order of that file.
struct OverheadRow {
  std::string_view name;
  std::string_view unit;  ///< "ms", "us"; empty: a ratio
  std::string_view meaning;
  std::variant<double TrainingOverheads::*, Seconds TrainingOverheads::*> field;

  /// The value in `unit`, as the data file states it.
  double get(const TrainingOverheads& overheads) const;
  void set(TrainingOverheads& overheads, double value) const;
};
std::span<const OverheadRow> overhead_rows();

/// The overheads as `flopcast calibrate` fitted them.
struct TrainingCalibration {
  TrainingOverheads overheads;
  std::map<std::string, Source> sources;  ///< by name of an overhead
  /// The same fitted on all calibration runs but those of one model: what the model does on runs it has never seen.
  struct LeftOut {
    std::string model;
    TrainingOverheads overheads;
  };
  std::vector<LeftOut> left_out;
};

/// What computes attention.
enum class AttentionKernel : std::uint8_t {
  fused,    ///< made for the chip: cuDNN, FlashAttention-3
  flash2,   ///< FlashAttention-2, as PyTorch ships it
  flex,     ///< FlexAttention: compiled by PyTorch to Triton, with any mask
  unfused,  ///< scores written, read by a softmax and kept for the backward pass
};
constexpr std::array<std::string_view, 4> enum_names(AttentionKernel) { return {"fused", "flash2", "flex", "unfused"}; }

struct TrainingConfig {
  ModelConfig model;
  ParallelPlan plan;
  BatchConfig batch;
  PrecisionPlan precision;
  RecomputePlan recompute;
  OffloadPlan offload;
  ExpertLoad expert_load;
  Mechanisms mechanisms;
  TrainingOverheads overheads;
  double efficiency = 1;     ///< what-if: all compute runs at this fraction of its predicted speed
  bool cuda_graphs = false;  ///< kernels are launched as graphs: no host time, shorter gaps
  /// All passes of a step are one graph, beside which the host does what it does of every step.
  bool iteration_graph = false;
  /// FP8 in blocks is DeepGEMM's; everything else comes from cuBLAS.
  bool vendor_gemms() const { return precision.linear != Precision::fp8 || precision.scaling != Scaling::blocks; }
  SoftwareProfile software;  ///< the framework
  AttentionKernel attention_kernel = AttentionKernel::fused;
  bool fused_loss = false;        ///< logits are read once for loss and gradient
  int loss_parts = 1;             ///< of a micro-batch's tokens, whose logits are computed again one by one
  bool grouped_experts = true;    ///< products of experts grouped on several streams, whose scratch stays
  Bytes held_beside;              ///< memory of a GPU that something else holds, as the cache of an engine on it
  bool dropout = false;           ///< of residuals and of attention's scores: masks are kept
  std::vector<std::string> open;  ///< what nobody knows of the run, by the names of open_fields()
  int adapter_rank = 0;           ///< of LoRA beside matrices; the model is frozen. 0: all weights are trained
  AdapterTargets adapter_targets = AdapterTargets::all;
  std::string schedule;       ///< row of schedules()
  std::string schedule_file;  ///< user's order instead; contents in schedule_text
  std::string schedule_text;
  int communication_sms = 20;  ///< SMs that dispatch and combine kernels occupy
  bool with_mtp = true;
  LocalUpdates local;
  bool unfolded = false;  ///< replay every rank instead of one per group of identical ones
  double gpu_speed_spread() const { return mechanisms.gpu_speed_spread.value_or(overheads.gpu_speed_spread); }
  /// Rounds of which each has whole micro-batches.
  int rounds() const { return batch.rounds > 1 && micro_batches() % batch.rounds == 0 ? batch.rounds : 1; }
  int micro_batches() const {
    return static_cast<int>(batch.sequences / (static_cast<std::int64_t>(plan.data) * batch.micro_batch_sequences));
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("model", &TrainingConfig::model, {.resolved = true});
    field("schedule", &TrainingConfig::schedule, {"schedule"});
    field("schedule_file", &TrainingConfig::schedule_file, {"schedule"});
    field("order", &TrainingConfig::schedule_text, {.cause = "schedule", .resolved = true});
    field("precision", &TrainingConfig::precision);
    field("plan", &TrainingConfig::plan);
    field("batch", &TrainingConfig::batch);
    field("recompute", &TrainingConfig::recompute);
    field("offload", &TrainingConfig::offload);
    field("expert_load", &TrainingConfig::expert_load);
    field("mechanisms", &TrainingConfig::mechanisms);
    field("overheads", &TrainingConfig::overheads, {.resolved = true});
    field("efficiency", &TrainingConfig::efficiency, {"what-if"});
    field("cuda_graphs", &TrainingConfig::cuda_graphs, {"software"});
    field("iteration_graph", &TrainingConfig::iteration_graph, {"software"});
    field("software", &TrainingConfig::software, {.resolved = true});
    field("attention_kernel", &TrainingConfig::attention_kernel, {"software"});
    field("fused_loss", &TrainingConfig::fused_loss, {"software"});
    field("loss_parts", &TrainingConfig::loss_parts, {"software"});
    field("grouped_experts", &TrainingConfig::grouped_experts, {"software"});
    field("held_beside", &TrainingConfig::held_beside, {"software"});
    field("dropout", &TrainingConfig::dropout, {"software"});
    field("adapter_rank", &TrainingConfig::adapter_rank, {.cause = "batch", .absent = "none"});
    field("adapter_targets", &TrainingConfig::adapter_targets, {"batch"});
    field("open", &TrainingConfig::open, {kLabel});
    field("communication_sms", &TrainingConfig::communication_sms, {"mechanisms"});
    field("with_mtp", &TrainingConfig::with_mtp, {"model"});
    field("local_updates", &TrainingConfig::local);
    field("unfolded", &TrainingConfig::unfolded, {"mechanisms"});
  }
};

/// What computes attention where a scenario does not say.
AttentionKernel attention_kernel_of(const SoftwareProfile& software, const ModelConfig& model);
/// Sharded weights of a pipeline's stages stay gathered through a step.
bool stays_gathered(const TrainingConfig& config);
/// Sharded gradients wait whole for the last micro-batch.
bool reduces_last(const TrainingConfig& config);
/// GPUs that share each expert where a plan does not say.
int expert_tensor_of(const SoftwareProfile& software, const ParallelPlan& plan, const ModelConfig& model);

}  // namespace flopcast
