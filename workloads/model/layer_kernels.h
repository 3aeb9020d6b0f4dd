// The kernels of a transformer layer as data: what each one computes, how big it is, where it stands, and what the GPUs
// of a group tell each other beside it. Training and serving price this one list; they differ in the share of a layer
// that a GPU holds (LayerWork) and in what their software does differently (KernelHabits).
//
// Sizes are those of one GPU, in elements. Traffic of memory-bound kernels is what they read and write when nothing
// stays in L2. Not in the list: dispatch and combine of expert parallelism, which depend on where tokens go; they stand
// before and after `FfnPart::routed`.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hwmodels/kernels/kernels.h"
#include "workloads/model/model.h"

namespace flopcast {

/// Where in a layer a kernel stands.
enum class LayerPart : std::uint8_t {
  attention,       ///< norms, projections, positions
  attention_core,  ///< scores and their sum over values, and keys and values that are made for them
  ffn_input,       ///< casts of what gate and FFN multiply
  gate,
  rows,  ///< copies of tokens brought into the order of the experts, and summed up afterwards
  dense_ffn,
  shared_experts,
  routed_experts,
  edge,  ///< embedding, output head, multi-token prediction's projection, optimiser
};

/// What a kernel computes. A backward pass has two halves, which schedules may separate.
enum class KernelPass : std::uint8_t { forward, input_gradient, weight_gradient };

struct MemoryTraffic {
  MemoryKernel kernel = MemoryKernel::copy;
  Bytes bytes;  ///< read plus written, per launch
  KernelOrigin origin = KernelOrigin::compiled;
};
using LayerKernelShape = std::variant<GemmShape, AttentionShape, MemoryTraffic, LatentBlockShape>;

struct LayerKernel {
  std::string_view role;  ///< "q_b_proj", "activation"
  LayerPart part = LayerPart::attention;
  KernelPass pass = KernelPass::forward;
  bool again = false;  ///< recomputed in the backward pass
  /// Launches of this shape, one after the other. 0: it runs in another phase, and is listed because an exchange of
  /// this one is hidden behind it.
  int count = 1;
  LayerKernelShape shape;
  bool adapter = false;  ///< of a low-rank adapter
};
/// "routed gate_up dgrad", "q_b_proj again": for reports.
std::string name(const LayerKernel& kernel);
/// Kernels that the GPU starts: attention's backward is three (prepare, main, convert dQ), priced together.
int launches(const LayerKernel& kernel);

/// Something that the ranks of a tensor-, context- or expert-tensor-parallel group tell each other.
struct LayerExchange {
  enum class Kind : std::uint8_t {
    tensor_gather,
    tensor_scatter,  ///< all-gather, reduce-scatter among the GPUs that share matrices
    expert_gather,
    expert_scatter,  ///< the same among those that share an expert
    context_hop,     ///< a message to the next rank of the ring that shares a sequence
    context_gather,
    context_scatter,     ///< keys and values to all of them at once, their gradients back
    context_all_to_all,  ///< pieces of sequences for heads, or back
    tensor_all_reduce,   ///< where norms and residuals are not split along the sequence
    expert_all_reduce,   ///< among those that share an expert, where all of them have the same tokens
  };
  Kind kind = Kind::tensor_gather;
  Bytes bytes;  ///< gather, scatter, all-reduce: the whole buffer; hop: the message; all-to-all: what a GPU has of it
  int times = 1;
  /// Kernels of the list that run at the same time: [first, last). None: nothing is computed meanwhile.
  int first_beside = 0, last_beside = 0;
};

/// In launch order.
struct LayerKernels {
  std::vector<LayerKernel> kernels;
  std::vector<LayerExchange> exchanges;
};

/// Number formats, as far as kernels see them.
struct KernelPrecision {
  Precision linear = Precision::bf16;  ///< operands of linear layers
  Scaling scaling = Scaling::none;     ///< of FP8 operands
  WeightFormat weights = WeightFormat::as_multiplied;
  WeightFormat experts = WeightFormat::as_multiplied;  ///< of routed experts, where it is another
  Precision attention = Precision::bf16;               ///< attention core
  Precision cache = Precision::bf16;                   ///< the KV cache that decoding reads
  Precision head = Precision::bf16;
  Precision gradients = Precision::fp32;    ///< accumulated
  Precision activations = Precision::bf16;  ///< what linear layers keep for the weight gradient
  bool fp8() const { return linear == Precision::fp8; }
  bool fp8_blocks() const { return fp8() && scaling == Scaling::blocks; }
  /// One scale per tensor: operands of weight gradients are kept transposed, for Hopper multiplies FP8 only that way.
  bool fp8_tensor() const { return fp8() && scaling != Scaling::blocks; }
  bool fp8_rows() const { return fp8() && scaling == Scaling::rows; }
};

/// How the experts of a GPU are multiplied.
enum class ExpertGemms : std::uint8_t {
  one_by_one,  ///< a dense GEMM per expert, back to back (cuBLAS has no grouped kernel for training)
  contiguous,  ///< DeepGEMM m_grouped_gemm_*_contiguous: rows sorted by expert
  masked,      ///< DeepGEMM m_grouped_gemm_*_masked: a fixed slot per expert (decoding)
  fused,       ///< forward of gated experts that stay in place: one block with the sorting and the sum (fused_moe)
};

/// How latent attention decodes.
enum class LatentDecode : std::uint8_t {
  kernels,   ///< kernel by kernel
  sglang,    ///< as one block, measured as that engine runs it
  tensorrt,  ///< the same
};

/// Who scales FP8 operands that have one scale per tensor.
enum class TensorScales : std::uint8_t {
  current,  ///< made of the tensor itself: a pass that casts and transposes (Transformer Engine)
  fixed,    ///< known beforehand: the kernel before writes FP8 (serving engines)
};

/// How GPUs that share matrices put their parts together.
enum class TensorExchange : std::uint8_t {
  gather_and_scatter,  ///< all-gather before and reduce-scatter after a pair of GEMMs (sequence parallelism)
  all_reduce,          ///< after a pair of GEMMs
};

/// What is done with the output head's results. Loss as a chain of kernels in FP32 (Megatron-LM
/// core/fusions/fused_cross_entropy.py), PyTorch's own in FP32 or, never copied, in BF16; fused (logits are read once
/// for loss and gradient); the choice of a token.
enum class LogitUse : std::uint8_t { eager_loss, torch_loss, bf16_loss, fused_loss, sampling };

/// What the software does differently. Defaults: eager training as Megatron-LM and DeepSeek's public trace have it.
struct KernelHabits {
  bool vendor_gemms = true;  ///< dense GEMMs by cuBLASLt (Transformer Engine), else by CUTLASS or DeepGEMM
  ExpertGemms expert_gemms = ExpertGemms::contiguous;
  ExpertBlock expert_block = ExpertBlock::sglang;  ///< where they are fused
  LatentDecode latent_decode = LatentDecode::kernels;
  TensorScales tensor_scales = TensorScales::current;
  /// Current scales are made by a pass over the tensor before its cast; else the pass of an earlier step has made them.
  bool amax_pass = false;
  /// The norm before attention adds the residual too (vLLM and SGLang fused_add_rms_norm); else an FFN's last kernel
  /// or the norm before the FFN does.
  bool residual_in_attention_norm = false;
  /// Kernels of top-k and routing weights over tokens x experts in FP32: about twenty in eager PyTorch
  /// (DeepSeek-V3's inference/model.py, Gate.forward), one where fused (SGLang topk, moe_fused_gate).
  int router_kernels = 20;
  /// Kernels that count the rows of each expert and map rows to them, with twelve passes over the scores in all
  /// (Megatron-LM moe_utils.py, permute); 0: the exchange or the gate does it.
  int row_map_kernels = 2;
  /// DeepEP's low-latency kernels deliver rows into the slots of experts and sum them up themselves.
  bool rows_come_sorted = false;
  bool transposes_row_scales = true;  ///< block scales in the layout that grouped GEMMs load (DeepGEMM)
  bool counts_row_scales = true;      ///< rows move with their block scales
  /// Dense and shared FFNs: the activation's kernel makes block scales and writes FP8, else a cast follows it. (Routed
  /// experts' always does: DeepGEMM's rows, SGLang silu_and_mul_masked_post_quant; with fixed tensor scales too.)
  bool activation_casts = true;
  /// MLA: both down-projections as one GEMM, their norms as one kernel (SGLang fused_qkv_a_proj_with_mqa).
  bool fused_latent_down = false;
  KernelOrigin origin = KernelOrigin::compiled;  ///< of memory-bound kernels
  /// Positions of queries and keys in one kernel, which writes the KV cache (TensorRT-LLM; latent attention
  /// everywhere).
  bool positions_write_cache = false;
  /// Kernels that norm queries and keys per head, beside the one of positions; 0: that one does it. Compared by engine
  /// in workloads/data/serving/engines/.
  int head_norm_kernels = 2;
  /// A kernel of its own writes keys and values into the cache (vLLM reshape_and_cache, SGLang set_kv_buffer).
  bool writes_cache_apart = false;
  /// A copy of attention's output in 12 bits is written with its cast (E5M6; DeepSeek-V3 report, 3.3.3).
  bool keeps_attention_output = true;
  /// Scores are written and read by kernels of their own, and all of them computed, those that a causal mask hides too;
  /// dropout: with a mask of their own.
  bool unfused_attention = false;
  bool attention_dropout = false;
  bool repeats_keys = false;             ///< SoftwareProfile::repeats_keys
  bool gathers_context = false;          ///< SoftwareProfile::gathers_context
  bool separate_projections = false;     ///< SoftwareProfile::separate_projections
  bool distributed_tensors = false;      ///< SoftwareProfile::distributed_tensors
  bool scatters_per_product = false;     ///< SoftwareProfile::scatters_per_product
  int expert_bias_kernels = 0;           ///< SoftwareProfile::expert_bias_kernels
  bool complex_positions = false;        ///< SoftwareProfile::complex_positions
  bool indexed_rows = false;             ///< SoftwareProfile::indexed_rows
  bool indexed_once = false;             ///< SoftwareProfile::indexed_once
  bool experts_keep_late = false;        ///< SoftwareProfile::experts_keep_late
  bool fuses_expert_activation = false;  ///< SoftwareProfile::fuses_expert_activation
  /// Norms, rotary positions, gated activations and residuals as PyTorch's chains of kernels, norms in FP32.
  bool eager_elementwise = false;
  bool fused_norms = false;      ///< SoftwareProfile::fused_norms
  bool compiled_layers = false;  ///< SoftwareProfile::compiled_layers
  bool torch_edges = false;      ///< SoftwareProfile::torch_edges: of the embedding
  bool whole_logits = false;     ///< SoftwareProfile::whole_logits
  int loss_parts = 1;            ///< TrainingConfig::loss_parts
  /// Bytes moved per parameter to cast the weights of experts to FP8 with a scale per tensor, in each forward pass.
  double expert_cast_bytes = 0;
  TensorExchange tensor_exchange = TensorExchange::gather_and_scatter;
  /// Gathers and scatters run beside the GEMMs that they feed (Transformer Engine's user buffers). In the backward
  /// pass an input is gathered beside one GEMM and its gradient scattered beside the other in any case.
  bool tensor_overlap = true;
  LogitUse logits = LogitUse::eager_loss;
  /// Rank of low-rank adapters beside linear layers, whose own weights are frozen; 0: none.
  int adapter_rank = 0;
  AdapterTargets adapter_targets = AdapterTargets::all;
  /// The inputs of an MTP module are embedded and cast by kernels of their own; else with their norms.
  bool mtp_input_kernels = true;
};

/// What a backward pass computes again.
struct RecomputedKernels {
  bool norms = false;
  bool attention_up_projections = false;
  bool activation_function = false;
  bool attention_core = false;
  bool mlp = false;
};

/// Whether the second product of a feed-forward network is computed, or left out with what is behind it where nothing
/// needs it: its result was only added to the residuals.
enum class LastProduct : std::uint8_t { computed, left_out };

/// Queries of this GPU and the keys they meet, per sequence.
struct AttentionReach {
  std::int64_t batch = 1;
  std::int64_t queries = 1;
  std::int64_t keys = 1;  ///< the queries' own included
  /// Decoding from a cache. Latent attention then works on latent vectors (absorbed form).
  bool decode = false;
  /// Tokens of the KV cache that latent attention makes keys and values of before a prompt's core; 0: they are there.
  double cached = 0;
};

/// Ranks that share each sequence, one piece from either end each, so that all have the same number of pairs.
struct ContextShare {
  int ranks = 1;
  bool all_gather = false;  ///< keys and values of all before attention starts; else round a ring, piece by piece
  bool by_heads = false;    ///< attention over whole sequences, each rank some of the heads
};

/// What a GPU's experts are given.
struct ExpertShare {
  double shared_tokens = 0;    ///< that go through this GPU's shared experts
  double shared_degree = 1;    ///< GPUs that share their matrices
  double rows = 0;             ///< token copies that its routed experts process
  double sums = 0;             ///< rows that these are summed up to
  double passing_rows = 0;     ///< of other GPUs' experts, which a fused block handles too
  double multiplied_rows = 0;  ///< that grouped GEMMs go through, padding included; 0: `rows`
  double buffer_rows = 0;      ///< that kernels between them pass over; 0: `rows`
  int experts = 1;             ///< that get at least one row
  double skew = 0;             ///< their rows fall as their rank to this power, where that is known
  double degree = 1;           ///< GPUs that share an expert's matrices
  bool exchanged = false;      ///< results come back by combine, else by the exchange of tensor parallelism
  /// The GPUs of a tensor-parallel group all have the tokens of the group (no sequence parallelism): those that share
  /// an expert start from the same rows and add up their parts; of several sets of them each takes its part of the
  /// tokens, and all get the results (DeepSpeed sharded_moe.py, drop_tokens and gather_tokens).
  bool same_tokens = false;
};

struct AttentionKindRow;  // workloads/model/attention_kinds.h

/// One GPU's share of a layer.
struct LayerWork {
  explicit LayerWork(const ModelConfig& of);

  const ModelConfig& model;
  const AttentionKindRow* attention;  ///< the row of the model's kind
  KernelPrecision precision;
  KernelHabits habits;
  RecomputedKernels again;
  LastProduct last = LastProduct::computed;  ///< of a forward pass
  double tokens = 0;      ///< that matrices are multiplied with: those of the whole tensor-parallel group
  double own_tokens = 0;  ///< of them, those whose norms and residuals this GPU holds
  int tensor = 1;         ///< GPUs that share attention and dense FFN
  bool moe = false;
  AttentionReach reach;
  ContextShare context;
  ExpertShare experts;
};

enum class AttentionCore : std::uint8_t { included, left_out };

// Each appends to `out`.

/// Attention block with the norm behind it.
/// @param core left out: the caller prices it apart (forward only).
void add_attention_block(LayerKernels& out, const LayerWork& work, KernelPass pass,
                         AttentionCore core = AttentionCore::included);
/// Whether decoding runs latent attention as one block. The core is then what the block takes for its keys over what it
/// takes for one.
bool decodes_as_block(const LayerWork& work);
/// That block, over all keys of `work.reach`.
LatentBlockShape latent_block(const LayerWork& work);
/// The core alone, forward.
/// What chooses the tokens that are attended to, and layers with a state: of add_attention_core what is no core.
void add_choice_of_tokens(LayerKernels& out, const LayerWork& work);
void add_attention_core(LayerKernels& out, const LayerWork& work);

/// What gate and FFN need of the norm's output, and the gate of MoE layers. Its weight gradient is computed with its
/// input gradient.
void add_ffn_input(LayerKernels& out, const LayerWork& work, KernelPass pass);

/// Which networks of a layer: shared experts may run while tokens travel to routed ones.
enum class FfnPart : std::uint8_t {
  all,
  shared,  ///< shared experts alone
  routed,  ///< everything else
};
void add_ffn_block(LayerKernels& out, const LayerWork& work, KernelPass pass, FfnPart part = FfnPart::all);

/// What stands before the first layer and behind the last.
enum class Edge : std::uint8_t {
  embedding,       ///< forward and input gradient only
  head,            ///< final norm, output head over `tokens`, what is done with logits
  mtp_projection,  ///< input of a module of multi-token prediction
};
void add_edge(LayerKernels& out, const LayerWork& work, KernelPass pass, Edge edge);

}  // namespace flopcast
