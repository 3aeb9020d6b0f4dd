#include "workloads/training/phases.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {

namespace {

/// Collects a phase's kernels in launch order. Sizes are in elements; traffic is what a kernel must read and
/// write when nothing stays in L2.
class KernelList {
 public:
  KernelList(const TrainingConfig& config, const KernelModel& kernels, int sms)
      : config_(config), kernels_(kernels), sms_(sms) {}

  bool fp8() const { return config_.precision.linear == Precision::fp8; }
  /// One scale per tensor: operands of weight gradients are kept transposed, for Hopper multiplies FP8 only
  /// that way.
  bool fp8_tensor() const { return fp8() && config_.precision.scaling != Scaling::blocks; }
  bool fp8_blocks() const { return fp8() && config_.precision.scaling == Scaling::blocks; }

  /// y[m,n] = x[m,k] w[k,n], forward or input gradient.
  /// @return its time: communication may run beside it.
  Seconds linear(std::string name, double m, double n, double k) {
    return gemm(std::move(name), {GemmKind::dense, round(m), round(n), round(k), 1, config_.precision.linear,
                                  config_.precision.scaling, Precision::bf16, true});
  }
  Seconds linear_in(Precision precision, std::string name, double m, double n, double k) {
    return gemm(std::move(name),
                {GemmKind::dense, round(m), round(n), round(k), 1, precision, Scaling::none, Precision::bf16, true});
  }
  /// The same for `groups` experts, m rows in all.
  Seconds grouped(std::string name, double m, double n, double k, int groups) {
    if (config_.vendor_gemms()) {
      // cuBLAS has no grouped kernel for training: one GEMM per expert, back to back.
      add(std::move(name),
          priced({GemmKind::dense, round(m / groups), round(n), round(k), 1, config_.precision.linear,
                  config_.precision.scaling, Precision::bf16, true}),
          groups);
      return cost_.kernels.back().price.time;
    }
    return gemm(std::move(name), {GemmKind::grouped_contiguous, round(m), round(n), round(k), groups,
                                  config_.precision.linear, config_.precision.scaling, Precision::bf16});
  }
  /// dw[m,n] += dy^T x over `tokens`, accumulated in the precision of the gradients.
  void weight_gradient(std::string name, double m, double n, double tokens, int times = 1) {
    add(std::move(name), priced(weight_gradient_shape(m, n, tokens)), times);
  }
  /// Time of a weight gradient that another phase computes.
  Seconds weight_gradient_time(double m, double n, double tokens) const {
    return priced(weight_gradient_shape(m, n, tokens)).time;
  }
  void weight_gradient_in(Precision precision, std::string name, double m, double n, double tokens) {
    gemm(std::move(name), {GemmKind::weight_gradient, round(m), round(n), round(tokens), 1, precision, Scaling::none,
                           config_.precision.gradients, true});
  }
  Seconds attention(std::string name, const AttentionShape& shape) {
    // A backward is three kernels (prepare, main, convert dQ) that the model prices together.
    const int launches = shape.kind == AttentionKind::backward ? 3 : 1;
    KernelTime time = slowed(kernels_.attention(shape, sms_));
    if (config_.flash2) {
      const TrainingOverheads& overheads = config_.overheads;
      time.time /= shape.kind == AttentionKind::backward ? overheads.flash2_backward : overheads.flash2_forward;
    }
    cost_.kernels.push_back({std::move(name), time, launches});
    return cost_.kernels.back().price.time;
  }
  void memory(std::string name, MemoryKernel kernel, double bytes, int times = 1) {
    if (bytes <= 0) return;
    add(std::move(name), slowed(kernels_.memory_bound(kernel, Bytes(bytes / times), sms_)), times);
  }

  /// BF16 -> FP8 with scales, before a GEMM (nothing to do when linears run in BF16).
  void quantize(std::string name, double elements) {
    if (fp8_tensor()) return memory(std::move(name), MemoryKernel::cast_transpose, elements * (2.0 + 1.0 + 1.0));
    if (fp8()) memory(std::move(name), MemoryKernel::cast, elements * (2.0 + 1.0 + kScaleBytesPerElement));
  }
  /// BF16 -> transposed FP8 with scales along the other axis: an operand of a weight gradient.
  void quantize_transposed(std::string name, double elements, int times = 1) {
    if (fp8_blocks())
      memory(std::move(name), MemoryKernel::cast_transpose, elements * (2.0 + 1.0 + kScaleBytesPerElement), times);
  }
  void norm(std::string name, double elements, bool with_residual) {
    memory(std::move(name), MemoryKernel::norm, elements * 2.0 * (with_residual ? 4 : 2));  // BF16 in and out
  }
  void norm_backward(std::string name, double elements) {
    memory(std::move(name), MemoryKernel::norm_backward,
           elements * 2.0 * 4);  // dy, x, residual gradient in; dx out
  }

  void exchange(PhaseExchange::Kind kind, double bytes, Seconds beside, int times = 1) {
    if (bytes > 0 && times > 0) cost_.exchanges.push_back({kind, Bytes(bytes), beside, times});
  }

  PhaseCost finish() && {
    int launches = 0;
    for (const PricedKernel& kernel : cost_.kernels) {
      cost_.kernel_sum += kernel.price.time;
      launches += kernel.launches;
    }
    const TrainingOverheads& overheads = config_.overheads;
    const Seconds gap = config_.cuda_graphs ? Seconds(overheads.graph_gap_us * 1e-6) : kernels_.kernel_gap();
    cost_.time = cost_.kernel_sum + launches * gap;
    // The host launches ahead of the GPU; only where kernels are shorter than their launch does the GPU wait.
    if (!config_.cuda_graphs) cost_.time = std::max(cost_.time, Seconds(launches * overheads.host_launch_us * 1e-6));
    return std::move(cost_);
  }

 private:
  static std::int64_t round(double elements) { return std::max<std::int64_t>(1, std::llround(elements)); }
  GemmShape weight_gradient_shape(double m, double n, double tokens) const {
    return {GemmKind::weight_gradient,
            round(m),
            round(n),
            round(tokens),
            1,
            config_.precision.linear,
            config_.precision.scaling,
            config_.precision.gradients,
            true};
  }
  KernelTime slowed(KernelTime time) const {
    time.time /= config_.efficiency;
    return time;
  }
  KernelTime priced(const GemmShape& shape) const {
    KernelTime time = slowed(kernels_.gemm(shape, sms_));
    if (!shape.vendor_library || shape.scaling == Scaling::blocks) return time;
    if (shape.precision == Precision::fp8) time.time /= config_.overheads.vendor_fp8;
    return time;
  }
  Seconds gemm(std::string name, const GemmShape& shape) {
    add(std::move(name), priced(shape), 1);
    return cost_.kernels.back().price.time;
  }
  void add(std::string name, KernelTime price, int times) {
    price.time *= times;
    cost_.kernels.push_back({std::move(name), price, times});
  }

  const TrainingConfig& config_;
  const KernelModel& kernels_;
  int sms_;
  PhaseCost cost_;
};

bool latent(const TrainingConfig& config) { return config.model.attention.type == AttentionType::latent; }

/// Heads of one GPU of a tensor-parallel group. With fewer key-value heads than GPUs, some share one.
double local_heads(const TrainingConfig& config) {
  return static_cast<double>(config.model.attention.heads) / config.plan.tensor;
}
double local_kv_heads(const TrainingConfig& config) {
  if (latent(config)) return local_heads(config);
  return std::max(1.0, static_cast<double>(config.model.attention.kv_heads) / config.plan.tensor);
}

/// The sizes that recur in a layer, as numbers of elements per token on one GPU.
struct Widths {
  double hidden, heads, qk, v, rope, query, key, value, q_rank, kv_rank;
  explicit Widths(const TrainingConfig& config)
      : hidden(config.model.hidden),
        heads(local_heads(config)),
        qk(config.model.attention.qk_dim()),
        v(config.model.attention.value_dim()),
        rope(latent(config) ? config.model.attention.qk_rope_dim : config.model.attention.head_dim),
        query(heads * qk),
        key(local_kv_heads(config) * qk),
        value(local_kv_heads(config) * v),
        q_rank(config.model.attention.q_lora_rank),
        kv_rank(config.model.attention.kv_lora_rank) {}
};

/// Tokens of a micro-batch as one GPU sees them: `all` of its tensor-parallel group where matrices are
/// shared, `own` where the sequence is.
struct Tokens {
  double all, own;
  Tokens(const TrainingConfig& config, double tokens)
      : all(tokens), own(config.plan.sequence_parallel ? tokens / config.plan.tensor : tokens) {}
};

/// Gathers before a GEMM and scatters after it, among the GPUs that share matrices. Forward and the gradient
/// of an output run beside their own GEMM only where the plan says so (Transformer Engine's user buffers); in
/// the backward pass the input is gathered beside one GEMM and its gradient scattered beside the other in any
/// case.
class TensorExchange {
 public:
  TensorExchange(KernelList& list, const TrainingConfig& config, double tokens)
      : list_(list), config_(config), elements_(config.plan.tensor > 1 ? tokens * config.model.hidden : 0) {}
  void gather(Seconds gemm) { exchange(PhaseExchange::Kind::tensor_gather, operand(), beside(gemm)); }
  void scatter(Seconds gemm) { exchange(PhaseExchange::Kind::tensor_scatter, 2, beside(gemm)); }
  void gather_beside(Seconds gemm) { exchange(PhaseExchange::Kind::tensor_gather, operand(), gemm); }
  void scatter_beside(Seconds gemm) { exchange(PhaseExchange::Kind::tensor_scatter, 2, gemm); }

 private:
  double operand() const { return list_.fp8() ? 1 : 2; }  // bytes of an element: operands travel quantised
  Seconds beside(Seconds gemm) const { return config_.plan.tensor_overlap ? gemm : Seconds(0); }
  void exchange(PhaseExchange::Kind kind, double bytes_per_element, Seconds beside) {
    list_.exchange(kind, elements_ * bytes_per_element, beside);
  }
  KernelList& list_;
  const TrainingConfig& config_;
  double elements_;
};

/// Attention of `queries` of each sequence with `keys`, on one GPU.
AttentionShape attention_shape(const TrainingConfig& config, const LayerShape& layer, AttentionKind kind) {
  const AttentionConfig& attention = config.model.attention;
  AttentionShape shape;
  shape.kind = kind;
  shape.query_heads = std::max(1, attention.heads / config.plan.tensor);
  shape.kv_heads = static_cast<int>(local_kv_heads(config));
  shape.qk_dim = attention.qk_dim();
  shape.v_dim = attention.value_dim();
  shape.precision = config.precision.attention;
  shape.kv_precision = config.precision.attention;
  shape.query_length = layer.sequence_length / config.plan.context;
  shape.batch = std::max<std::int64_t>(1, layer.tokens / std::max<std::int64_t>(1, shape.query_length));
  shape.kv_length = shape.query_length;
  return shape;
}

/// Attention over a sequence that `context` ranks share, each holding one piece from either end so that all
/// have the same number of query-key pairs. Ring: the own keys first (causal), then on each hop half the
/// pairs of a whole piece, the partial results merged. All-gather: the other ranks' keys at once, half of
/// them visible on average.
void context_attention(KernelList& list, const TrainingConfig& config, const LayerShape& layer, AttentionKind kind) {
  const bool backward = kind == AttentionKind::backward;
  const std::string name = backward ? "attention backward" : "attention";
  const Widths w(config);
  const double t = static_cast<double>(layer.tokens);
  const int others = config.plan.context - 1;
  AttentionShape own = attention_shape(config, layer, kind);
  list.attention(name, own);
  if (others == 0) return;
  // Keys and values, or the latent vectors they are made of; backward, their gradients come along.
  const double travelling = latent(config) ? w.kv_rank + w.rope : w.key + w.value;
  const double message = t * travelling * 2 * (backward ? 2 : 1);
  AttentionShape rest = own;
  rest.causal = false;
  if (config.plan.context_exchange == ContextExchange::all_gather) {
    rest.kv_length = std::max<std::int64_t>(1, own.kv_length * others / 2);
    list.attention(name + " over gathered keys", rest);
    const double whole = t * travelling * 2 * config.plan.context;
    list.exchange(PhaseExchange::Kind::context_gather, whole, Seconds(0));
    if (backward) list.exchange(PhaseExchange::Kind::context_scatter, whole, Seconds(0));
    return;
  }
  rest.kv_length = std::max<std::int64_t>(1, own.kv_length / 2);
  Seconds hop;
  for (int i = 0; i < others; ++i) {
    hop = list.attention(name + " of a hop", rest);
    // Latent vectors are expanded where they arrive, and their gradients folded up again.
    const double expanded = w.heads * (w.qk - w.rope) + w.value;
    if (latent(config)) hop += list.linear("kv_b_proj of a hop", t / 2, expanded, w.kv_rank);
    if (latent(config) && backward) hop += list.linear("kv_b_proj dgrad of a hop", t / 2, w.kv_rank, expanded);
  }
  // Merging: forward, a partial output is read and the FP32 sum read and written; backward, gradients in
  // BF16.
  const double merged = t * (backward ? (w.query + w.key + w.value) * 6 : w.heads * w.v * 10);
  list.memory("merge hops", MemoryKernel::elementwise, merged * others, others);
  list.exchange(PhaseExchange::Kind::context_hop, message, hop, others);
}

/// Query, key and value from the latent vectors (MLA): the part that DeepSeek-V3 recomputes in the backward
/// pass.
void latent_up_projection(KernelList& list, const Widths& w, double tokens, const std::string& when) {
  if (w.q_rank > 0) {
    list.quantize("cast q latent" + when, tokens * w.q_rank);
    list.linear("q_b_proj" + when, tokens, w.query, w.q_rank);
  }
  list.quantize("cast kv latent" + when, tokens * w.kv_rank);
  list.linear("kv_b_proj" + when, tokens, w.heads * (w.qk - w.rope) + w.value, w.kv_rank);
  list.memory("rotary q" + when, MemoryKernel::rotary, tokens * w.heads * w.rope * 2 * 2);
  list.memory("rotary k" + when, MemoryKernel::rotary, tokens * w.rope * 2 * 2);
  // Keys are assembled from their positional and other parts, values made contiguous.
  list.memory("assemble keys" + when, MemoryKernel::copy, tokens * (w.heads * (w.qk - w.rope) + w.key) * 2);
  list.memory("copy values" + when, MemoryKernel::copy, tokens * w.value * 2 * 2);
}

/// Gate scores, group-limited top-k, normalised weights: about twenty small kernels over tokens x experts in
/// FP32.
void gate(KernelList& list, const TrainingConfig& config, double tokens, bool backward) {
  const double experts = config.model.moe.experts;
  const double scores = tokens * experts * 4;
  if (!backward) {
    list.linear_in(Precision::bf16, "gate", tokens, experts, config.model.hidden);
    list.memory("top-k and routing weights", MemoryKernel::gating, scores * 2 * 20, 20);
  } else {
    list.linear_in(Precision::bf16, "gate dgrad", tokens, config.model.hidden, experts);
    list.linear_in(Precision::bf16, "gate wgrad", experts, config.model.hidden, tokens);
    list.memory("routing weights backward", MemoryKernel::gating, scores * 2 * 8, 8);
  }
}

PhaseCost attention_forward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const Widths w(config);
  const double t = static_cast<double>(layer.tokens);
  const Tokens tokens(config, t);
  TensorExchange tensor(list, config, t);
  list.norm("attention norm", tokens.own * w.hidden, false);
  list.quantize("cast attention input", tokens.own * w.hidden);
  if (latent(config)) {
    if (w.q_rank > 0) {
      list.linear("q_a_proj", t, w.q_rank, w.hidden);
      list.norm("q latent norm", t * w.q_rank, false);
    } else {
      list.linear("q_proj", t, w.query, w.hidden);
    }
    tensor.gather(list.linear("kv_a_proj", t, w.kv_rank + w.rope, w.hidden));
    list.norm("kv latent norm", t * w.kv_rank, false);
    latent_up_projection(list, w, t, "");
  } else {
    tensor.gather(list.linear("qkv_proj", t, w.query + w.key + w.value, w.hidden));
    list.memory("rotary", MemoryKernel::rotary, t * (w.query + w.key) * 2 * 2);
  }
  context_attention(list, config, layer, AttentionKind::forward);
  if (list.fp8_blocks()) {
    // One pass writes the FP8 operand and the copy kept for the backward pass (E5M6 in DeepSeek-V3, 3.3.3).
    list.memory("cast attention output", MemoryKernel::cast, t * w.heads * w.v * (2.0 + 1.0 + 1.5));
  } else {
    list.quantize("cast attention output", t * w.heads * w.v);
  }
  tensor.scatter(list.linear("o_proj", t, w.hidden, w.heads * w.v));
  list.norm("MLP norm", tokens.own * w.hidden, true);
  list.quantize("cast MLP input", tokens.own * w.hidden);
  if (layer.moe) gate(list, config, tokens.own, false);
  return std::move(list).finish();
}

PhaseCost attention_backward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const Widths w(config);
  const double t = static_cast<double>(layer.tokens);
  const Tokens tokens(config, t);
  TensorExchange tensor(list, config, t);
  if (layer.moe) gate(list, config, tokens.own, true);
  list.norm_backward("MLP norm backward", tokens.own * w.hidden);
  list.quantize("cast output gradient", tokens.own * w.hidden);
  tensor.gather(list.linear("o_proj dgrad", t, w.heads * w.v, w.hidden));
  if (list.fp8_blocks()) {
    list.memory("cast back attention output", MemoryKernel::cast, t * w.heads * w.v * (1.5 + 2.0));
    list.quantize_transposed("transpose o_proj operands", t * (w.hidden + w.heads * w.v), 2);
  }
  if (config.recompute.norms) {
    list.norm("attention norm again", tokens.own * w.hidden, false);
    if (latent(config)) list.norm("latent norms again", t * (w.q_rank + w.kv_rank), false);
  }
  if (latent(config) && config.recompute.attention_up_projections) latent_up_projection(list, w, t, " again");
  if (config.recompute.attention_core) context_attention(list, config, layer, AttentionKind::forward);
  context_attention(list, config, layer, AttentionKind::backward);
  if (latent(config)) {
    const double kv_up = w.heads * (w.qk - w.rope) + w.value;
    list.memory("split key gradients", MemoryKernel::copy, t * (w.key + w.heads * (w.qk - w.rope)) * 2);
    list.memory("gather value gradients", MemoryKernel::copy, t * w.value * 2 * 2);
    list.memory("rotary backward", MemoryKernel::rotary, t * (w.heads + 1) * w.rope * 2 * 2, 2);
    list.quantize("cast up-projection gradients", t * (w.query + kv_up));
    const double q_in = w.q_rank > 0 ? w.q_rank : w.hidden;
    list.quantize_transposed("transpose up-projection operands", t * (w.query + kv_up + q_in + w.kv_rank), 4);
    list.linear("q_b_proj dgrad", t, q_in, w.query);
    list.linear("kv_b_proj dgrad", t, w.kv_rank, kv_up);
    list.norm_backward("latent norms backward", t * (w.q_rank + w.kv_rank));
    list.quantize("cast latent gradients", t * (w.q_rank + w.kv_rank + w.rope));
    list.quantize_transposed("transpose down-projection operands", t * (w.q_rank + w.kv_rank + w.rope + w.hidden), 3);
    const Seconds dgrad = list.linear("kv_a_proj dgrad", t, w.hidden, w.kv_rank + w.rope);
    tensor.gather_beside(dgrad);
    tensor.scatter_beside(list.weight_gradient_time(w.kv_rank + w.rope, w.hidden, t));
    if (w.q_rank > 0) list.linear("q_a_proj dgrad", t, w.hidden, w.q_rank);
  } else {
    const double qkv = w.query + w.key + w.value;
    list.memory("rotary backward", MemoryKernel::rotary, t * (w.query + w.key) * 2 * 2);
    list.quantize("cast qkv gradients", t * qkv);
    list.quantize_transposed("transpose qkv operands", t * (qkv + w.hidden), 2);
    tensor.gather_beside(list.linear("qkv_proj dgrad", t, w.hidden, qkv));
    tensor.scatter_beside(list.weight_gradient_time(qkv, w.hidden, t));
  }
  list.norm_backward("attention norm backward", tokens.own * w.hidden);
  return std::move(list).finish();
}

PhaseCost attention_weight(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const Widths w(config);
  const double t = static_cast<double>(layer.tokens);
  list.weight_gradient("o_proj wgrad", w.heads * w.v, w.hidden, t);
  if (latent(config)) {
    list.weight_gradient("kv_b_proj wgrad", w.heads * (w.qk - w.rope) + w.value, w.kv_rank, t);
    if (w.q_rank > 0) {
      list.weight_gradient("q_b_proj wgrad", w.query, w.q_rank, t);
      list.weight_gradient("q_a_proj wgrad", w.q_rank, w.hidden, t);
    } else {
      list.weight_gradient("q_proj wgrad", w.query, w.hidden, t);
    }
    list.weight_gradient("kv_a_proj wgrad", w.kv_rank + w.rope, w.hidden, t);
  } else {
    list.weight_gradient("qkv_proj wgrad", w.query + w.key + w.value, w.hidden, t);
  }
  return std::move(list).finish();
}

/// Width of the first FFN matrix's output: gate and up side by side when gated.
double ffn_in(const TrainingConfig& config, double width) { return config.model.gated_ffn ? 2 * width : width; }

/// A feed-forward network of `width` on this GPU over `rows` tokens. groups > 0: that many experts, rows in
/// all.
struct Ffn {
  std::string name;
  double rows, width;
  int groups;
};

/// Which networks a phase computes: shared experts have phases of their own where they run beside the
/// exchange.
enum class FfnPart { all, shared, routed };

FfnPart main_part(const TrainingConfig& config) {
  return config.plan.shared_expert_overlap ? FfnPart::routed : FfnPart::all;
}

std::vector<Ffn> ffns(const TrainingConfig& config, const LayerShape& layer, FfnPart part) {
  const MoeConfig& moe = config.model.moe;
  const double t = static_cast<double>(layer.tokens);
  const double tensor = config.plan.tensor;
  if (!layer.moe) {
    if (part == FfnPart::shared) return {};
    return {{"ffn", t, config.model.ffn_width / tensor, 0}};
  }
  std::vector<Ffn> result;
  if (moe.shared_experts > 0 && part != FfnPart::routed) {
    result.push_back({"shared", t, static_cast<double>(moe.shared_experts) * moe.expert_width / tensor, 0});
  }
  if (part == FfnPart::shared) return result;
  const double width = static_cast<double>(moe.expert_width) / config.plan.expert_tensor;
  result.push_back({"routed", layer.expert_rows, width, layer.local_experts});
  return result;
}

Seconds ffn_gemm(KernelList& list, const Ffn& ffn, std::string name, double n, double k) {
  if (ffn.groups > 0) return list.grouped(ffn.name + " " + std::move(name), ffn.rows, n, k, ffn.groups);
  return list.linear(ffn.name + " " + std::move(name), ffn.rows, n, k);
}

/// Rows that the GPUs of an expert pass round so that each has them all, and sum up afterwards.
void expert_exchange(KernelList& list, const TrainingConfig& config, double rows, PhaseExchange::Kind kind) {
  if (config.plan.expert_tensor > 1) list.exchange(kind, rows * config.model.hidden * 2, Seconds(0));
}

/// Distinct (token, rank) pairs per token copy: an expert rank receives a token once even when two of its
/// experts want it. Uniform choice: ranks r, copies k -> r (1 - (1 - 1/r)^k) / k.
double received_per_row(const TrainingConfig& config, const LayerShape& layer) {
  const double copies = config.model.moe.experts_per_token;
  const double ranks = static_cast<double>(config.model.moe.experts) / std::max(1, layer.local_experts) *
                       config.model.moe.groups_per_token / std::max(1, config.model.moe.groups);
  if (ranks <= 1) return 1 / copies;
  return ranks * (1 - std::pow(1 - 1 / ranks, copies)) / copies;
}

void ffn_forward(KernelList& list, const TrainingConfig& config, const LayerShape& layer, FfnPart part) {
  const double h = config.model.hidden;
  TensorExchange tensor(list, config, static_cast<double>(layer.tokens));
  for (const Ffn& ffn : ffns(config, layer, part)) {
    const double in = ffn_in(config, ffn.width);
    const Seconds first = ffn_gemm(list, ffn, "gate_up", in, h);
    if (ffn.groups == 0) tensor.gather(first);
    // Block scales are made with the activation; one scale per tensor takes a pass of its own.
    list.memory(ffn.name + " activation", MemoryKernel::swiglu,
                ffn.rows * (in * 2 + ffn.width * (list.fp8_blocks() ? 1 + kScaleBytesPerElement : 2)));
    if (list.fp8_tensor()) list.quantize(ffn.name + " cast activation", ffn.rows * ffn.width);
    if (config.precision.activations == Precision::fp8) {
      list.quantize(ffn.name + " cast kept activation input", ffn.rows * in);
    }
    const Seconds second = ffn_gemm(list, ffn, "down", h, ffn.width);
    if (ffn.groups == 0) tensor.scatter(second);
  }
}

void ffn_backward(KernelList& list, const TrainingConfig& config, const LayerShape& layer, FfnPart part) {
  const double h = config.model.hidden;
  TensorExchange tensor(list, config, static_cast<double>(layer.tokens));
  for (const Ffn& ffn : ffns(config, layer, part)) {
    const double in = ffn_in(config, ffn.width);
    if (config.recompute.mlp && ffn.groups == 0) {
      list.linear(ffn.name + " gate_up again", ffn.rows, in, h);
      list.memory(ffn.name + " activation again", MemoryKernel::swiglu, ffn.rows * (in * 2 + ffn.width * 2));
    }
    const Seconds down = ffn_gemm(list, ffn, "down dgrad", ffn.width, h);
    if (ffn.groups == 0) tensor.gather(down);
    if (config.precision.activations == Precision::fp8 && list.fp8()) {
      list.memory(ffn.name + " cast back activation input", MemoryKernel::cast, ffn.rows * in * (1 + 2.0));
    }
    // dy and the kept input in, the input's gradient (and the output, when recomputed) out.
    const double again = config.recompute.activation_function ? ffn.width * 2 : 0;
    list.memory(ffn.name + " activation backward", MemoryKernel::swiglu_backward,
                ffn.rows * (ffn.width * 2 + in * 2 + in * 2 + again));
    if (ffn.groups > 0) {
      list.memory("routing weight gradients", MemoryKernel::swiglu_backward, ffn.rows * ffn.width * 2 * 2);
    }
    list.quantize(ffn.name + " cast gate_up gradient", ffn.rows * in);
    list.quantize_transposed(ffn.name + " transpose gradient", ffn.rows * h, std::max(1, ffn.groups));
    const Seconds dgrad = ffn_gemm(list, ffn, "gate_up dgrad", h, in);
    if (ffn.groups == 0) {
      tensor.gather_beside(dgrad);
      tensor.scatter_beside(list.weight_gradient_time(in, h, ffn.rows));
    }
  }
}

PhaseCost mlp_forward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  const Tokens tokens(config, static_cast<double>(layer.tokens));
  const double token_bytes = list.fp8() ? 1 + kScaleBytesPerElement : 2;
  const double rows = layer.moe ? layer.expert_rows : 0;
  if (layer.moe) {
    list.memory("count and map rows to experts", MemoryKernel::gating,
                tokens.own * config.model.moe.experts * 4 * 2 * 12, 2);
    expert_exchange(list, config, rows, PhaseExchange::Kind::expert_gather);
    list.memory("expand rows", MemoryKernel::permute, rows * h * 2 * token_bytes);
    if (list.fp8_blocks()) list.memory("transpose scales", MemoryKernel::transpose, rows * h * token_bytes, 2);
  }
  ffn_forward(list, config, layer, main_part(config));
  if (layer.moe) {
    expert_exchange(list, config, rows, PhaseExchange::Kind::expert_scatter);
    list.memory("sum rows of a token", MemoryKernel::reduce, rows * h * 2 * (1 + received_per_row(config, layer)));
  }
  return std::move(list).finish();
}

PhaseCost mlp_backward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  const Tokens tokens(config, static_cast<double>(layer.tokens));
  const double t = tokens.own;
  const double token_bytes = list.fp8() ? 1 + kScaleBytesPerElement : 2;
  const double rows = layer.moe ? layer.expert_rows : 0;
  if (config.recompute.norms) list.norm("MLP norm again", t * h, true);
  if (layer.moe) {
    expert_exchange(list, config, rows, PhaseExchange::Kind::expert_gather);
    list.memory("expand gradient rows", MemoryKernel::permute, rows * h * 2 * token_bytes);
    list.quantize("cast shared gradient", t * h);
  } else {
    list.quantize("cast gradient", t * h);
  }
  ffn_backward(list, config, layer, main_part(config));
  if (layer.moe) {
    expert_exchange(list, config, rows, PhaseExchange::Kind::expert_scatter);
    list.memory("sum gradient rows", MemoryKernel::reduce, rows * h * 2 * (1 + received_per_row(config, layer)));
  }
  return std::move(list).finish();
}

PhaseCost mlp_weight(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  for (const Ffn& ffn : ffns(config, layer, FfnPart::all)) {
    const double in = ffn_in(config, ffn.width);
    const int times = std::max(1, ffn.groups);
    if (list.fp8_blocks()) {
      // The FP8 input is dequantised, transposed and quantised again along the token axis.
      list.memory(ffn.name + " transpose input", MemoryKernel::cast_transpose,
                  ffn.rows * h * 2 * (1 + kScaleBytesPerElement), ffn.groups > 0 ? 2 : 1);
    }
    list.weight_gradient(ffn.name + " down wgrad", h, ffn.width, ffn.rows / times, times);
    list.weight_gradient(ffn.name + " gate_up wgrad", in, h, ffn.rows / times, times);
  }
  return std::move(list).finish();
}

}  // namespace

std::string_view name(Phase phase) {
  switch (phase) {
    case Phase::attention_forward:
      return "ATTN(F)";
    case Phase::mlp_forward:
      return "MLP(F)";
    case Phase::mlp_backward:
      return "MLP(B)";
    case Phase::mlp_weight:
      return "MLP(W)";
    case Phase::attention_backward:
      return "ATTN(B)";
    case Phase::attention_weight:
      return "ATTN(W)";
    case Phase::shared_forward:
      return "SHARED(F)";
    case Phase::shared_backward:
      return "SHARED(B)";
  }
  assert(false);
  return "";
}

PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& layer, const KernelModel& kernels,
                      int sms) {
  KernelList list(config, kernels, sms);
  switch (phase) {
    case Phase::attention_forward:
      return attention_forward(config, layer, std::move(list));
    case Phase::mlp_forward:
      return mlp_forward(config, layer, std::move(list));
    case Phase::mlp_backward:
      return mlp_backward(config, layer, std::move(list));
    case Phase::mlp_weight:
      return mlp_weight(config, layer, std::move(list));
    case Phase::attention_backward:
      return attention_backward(config, layer, std::move(list));
    case Phase::attention_weight:
      return attention_weight(config, layer, std::move(list));
    case Phase::shared_forward:
    case Phase::shared_backward:
      if (layer.moe && config.plan.shared_expert_overlap) {
        const auto part = phase == Phase::shared_forward ? ffn_forward : ffn_backward;
        part(list, config, layer, FfnPart::shared);
      }
      return std::move(list).finish();
  }
  assert(false);
  return {};
}

namespace {

/// Bytes of a logit that loss and gradient read and write. Fused: the logit once, its gradient once. As a
/// chain of kernels in FP32 (Megatron-LM core/fusions/fused_cross_entropy.py): to FP32 6, maximum 4, shift 8,
/// exponential and sum 12, gradient 8, back to BF16 6.
void cross_entropy(KernelList& list, const TrainingConfig& config, double logits) {
  if (config.fused_loss) {
    list.memory("cross-entropy", MemoryKernel::cross_entropy, logits * 2 * 3);
  } else {
    list.memory("cross-entropy", MemoryKernel::elementwise, logits * (6 + 4 + 8 + 12 + 8 + 6), 6);
  }
}

}  // namespace

PhaseCost price_edge(EdgePhase phase, const TrainingConfig& config, std::int64_t tokens, const KernelModel& kernels,
                     int sms) {
  KernelList list(config, kernels, sms);
  const double t = static_cast<double>(tokens);
  const double own = Tokens(config, t).own;
  const double h = config.model.hidden;
  const double vocabulary = static_cast<double>(config.model.vocabulary) / config.plan.tensor;
  TensorExchange tensor(list, config, t);
  const Precision head = config.precision.head;
  switch (phase) {
    case EdgePhase::embedding_forward:
      list.memory("embedding", MemoryKernel::embedding, t * h * 2 * 2);
      tensor.scatter_beside(Seconds(0));
      break;
    case EdgePhase::embedding_backward:
      tensor.gather_beside(Seconds(0));
      list.memory("embedding gradient", MemoryKernel::embedding,
                  t * h * (2 + 2 * bytes_per_element(config.precision.gradients)));
      break;
    case EdgePhase::head_forward:
      list.norm("final norm", own * h, true);
      tensor.gather(list.linear_in(head, "head", t, vocabulary, h));
      cross_entropy(list, config, t * vocabulary);
      break;
    case EdgePhase::head_backward: {
      const Seconds dgrad = list.linear_in(head, "head dgrad", t, h, vocabulary);
      tensor.gather_beside(dgrad);
      tensor.scatter_beside(dgrad);  // the weight gradient takes as long
      list.norm_backward("final norm backward", own * h);
      break;
    }
    case EdgePhase::head_weight:
      list.weight_gradient_in(head, "head wgrad", vocabulary, h, t);
      break;
    case EdgePhase::mtp_projection_forward:
      list.memory("embedding", MemoryKernel::embedding, t * h * 2 * 2);
      list.norm("MTP norms", 2 * own * h, false);
      list.quantize("cast MTP input", 2 * t * h);
      list.linear("MTP projection", t, h, 2 * h);
      break;
    case EdgePhase::mtp_projection_backward:
      list.quantize("cast MTP gradient", t * h);
      list.linear("MTP projection dgrad", t, 2 * h, h);
      list.quantize_transposed("transpose MTP operands", 3 * t * h, 2);
      list.norm_backward("MTP norms backward", 2 * own * h);
      break;
    case EdgePhase::mtp_projection_weight:
      list.weight_gradient("MTP projection wgrad", h, 2 * h, t);
      break;
  }
  return std::move(list).finish();
}

PhaseCost price_optimizer(double parameters, const TrainingConfig& config, const KernelModel& kernels) {
  KernelList list(config, kernels, 0);
  const PrecisionPlan& p = config.precision;
  // Master weights and both moments are read and written, the gradient read, the working copy written.
  const double bytes = 2 * bytes_per_element(p.master) + 4 * bytes_per_element(p.moments) +
                       bytes_per_element(p.gradients) + bytes_per_element(p.parameters);
  list.memory("AdamW", MemoryKernel::optimizer, parameters * bytes);
  return std::move(list).finish();
}

}  // namespace flopcast
