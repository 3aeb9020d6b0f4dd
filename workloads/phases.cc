#include "workloads/phases.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {

namespace {

/// Collects a phase's kernels in launch order. Sizes are in elements; traffic is what a kernel must read and write
/// when nothing stays in L2.
class KernelList {
 public:
  KernelList(const TrainingConfig& config, const KernelModel& kernels, int sms)
      : config_(config), kernels_(kernels), sms_(sms) {}

  bool fp8() const { return config_.precision.linear == Precision::fp8; }
  bool fp8_blocks() const { return fp8() && config_.precision.scaling == Scaling::blocks; }

  /// y[m,n] = x[m,k] w[k,n], forward or input gradient.
  void linear(std::string name, double m, double n, double k) {
    gemm(std::move(name), {GemmKind::dense, round(m), round(n), round(k), 1, config_.precision.linear,
                           config_.precision.scaling, Precision::bf16});
  }
  void linear_in(Precision precision, std::string name, double m, double n, double k) {
    gemm(std::move(name),
         {GemmKind::dense, round(m), round(n), round(k), 1, precision, Scaling::none, Precision::bf16});
  }
  /// The same for `groups` experts, m rows in all.
  void grouped(std::string name, double m, double n, double k, int groups) {
    gemm(std::move(name), {GemmKind::grouped_contiguous, round(m), round(n), round(k), groups, config_.precision.linear,
                           config_.precision.scaling, Precision::bf16});
  }
  /// dw[m,n] += dy^T x over `tokens`, accumulated in the precision of the gradients.
  void weight_gradient(std::string name, double m, double n, double tokens, int times = 1) {
    const GemmShape shape{GemmKind::weight_gradient, round(m), round(n), round(tokens), 1, config_.precision.linear,
                          config_.precision.scaling, config_.precision.gradients};
    add(std::move(name), kernels_.gemm(shape, sms_), times);
  }
  void weight_gradient_in(Precision precision, std::string name, double m, double n, double tokens) {
    gemm(std::move(name), {GemmKind::weight_gradient, round(m), round(n), round(tokens), 1, precision, Scaling::none,
                           config_.precision.gradients});
  }
  void attention(std::string name, const AttentionShape& shape) {
    // A backward is three kernels (prepare, main, convert dQ) that the model prices together.
    const int launches = shape.kind == AttentionKind::backward ? 3 : 1;
    cost_.kernels.push_back({std::move(name), kernels_.attention(shape, sms_), launches});
  }
  void memory(std::string name, MemoryKernel kernel, double bytes, int times = 1) {
    if (bytes <= 0) return;
    add(std::move(name), kernels_.memory_bound(kernel, Bytes(bytes / times), sms_), times);
  }

  /// BF16 -> FP8 with scales, before a GEMM (nothing to do when linears run in BF16).
  void quantize(std::string name, double elements) {
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
    memory(std::move(name), MemoryKernel::norm_backward, elements * 2.0 * 4);  // dy, x, residual gradient in; dx out
  }

  PhaseCost finish() && {
    for (const PricedKernel& kernel : cost_.kernels) {
      cost_.kernel_sum += kernel.price.time;
      cost_.time += kernel.price.time + kernel.launches * kernels_.kernel_gap();
    }
    return std::move(cost_);
  }

 private:
  static std::int64_t round(double elements) { return std::max<std::int64_t>(1, std::llround(elements)); }
  void gemm(std::string name, const GemmShape& shape) { add(std::move(name), kernels_.gemm(shape, sms_), 1); }
  void add(std::string name, KernelTime price, int times) {
    price.time *= times;
    cost_.kernels.push_back({std::move(name), price, times});
  }

  const TrainingConfig& config_;
  const KernelModel& kernels_;
  int sms_;
  PhaseCost cost_;
};

/// The sizes that recur in a layer, as numbers of elements per token.
struct Widths {
  double hidden, heads, qk, v, rope, query, key, value, q_rank, kv_rank;
  explicit Widths(const ModelConfig& model)
      : hidden(model.hidden),
        heads(model.attention.heads),
        qk(model.attention.qk_dim()),
        v(model.attention.value_dim()),
        rope(model.attention.type == AttentionType::latent ? model.attention.qk_rope_dim : model.attention.head_dim),
        query(heads * qk),
        key((model.attention.type == AttentionType::latent ? heads : model.attention.kv_heads) * qk),
        value((model.attention.type == AttentionType::latent ? heads : model.attention.kv_heads) * v),
        q_rank(model.attention.q_lora_rank),
        kv_rank(model.attention.kv_lora_rank) {}
};

bool latent(const TrainingConfig& config) { return config.model.attention.type == AttentionType::latent; }

/// Attention of one rank's tokens. Under context parallelism the ranks share a sequence so that each has the same
/// number of query-key pairs; a query then meets half the sequence on average.
AttentionShape attention_shape(const TrainingConfig& config, const LayerShape& layer, AttentionKind kind) {
  const AttentionConfig& attention = config.model.attention;
  AttentionShape shape;
  shape.kind = kind;
  shape.query_heads = attention.heads;
  shape.kv_heads = attention.type == AttentionType::latent ? attention.heads : attention.kv_heads;
  shape.qk_dim = attention.qk_dim();
  shape.v_dim = attention.value_dim();
  shape.precision = config.precision.attention;
  shape.kv_precision = config.precision.attention;
  shape.query_length = layer.sequence_length / layer.context_parallel;
  shape.batch = std::max<std::int64_t>(1, layer.tokens / std::max<std::int64_t>(1, shape.query_length));
  shape.causal = layer.context_parallel == 1;
  shape.kv_length = shape.causal ? layer.sequence_length : layer.sequence_length / 2;
  return shape;
}

/// Query, key and value from the latent vectors (MLA): the part that DeepSeek-V3 recomputes in the backward pass.
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

/// Gate scores, group-limited top-k, normalised weights: about twenty small kernels over tokens x experts in FP32.
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
  const Widths w(config.model);
  const double t = static_cast<double>(layer.tokens);
  list.norm("attention norm", t * w.hidden, false);
  list.quantize("cast attention input", t * w.hidden);
  if (latent(config)) {
    if (w.q_rank > 0) {
      list.linear("q_a_proj", t, w.q_rank, w.hidden);
      list.norm("q latent norm", t * w.q_rank, false);
    } else {
      list.linear("q_proj", t, w.query, w.hidden);
    }
    list.linear("kv_a_proj", t, w.kv_rank + w.rope, w.hidden);
    list.norm("kv latent norm", t * w.kv_rank, false);
    latent_up_projection(list, w, t, "");
  } else {
    list.linear("qkv_proj", t, w.query + w.key + w.value, w.hidden);
    list.memory("rotary", MemoryKernel::rotary, t * (w.query + w.key) * 2 * 2);
  }
  list.attention("attention", attention_shape(config, layer, AttentionKind::forward));
  if (list.fp8_blocks()) {
    // One pass writes the FP8 operand and the copy kept for the backward pass (E5M6 in DeepSeek-V3, 3.3.3).
    list.memory("cast attention output", MemoryKernel::cast, t * w.heads * w.v * (2.0 + 1.0 + 1.5));
  } else {
    list.quantize("cast attention output", t * w.heads * w.v);
  }
  list.linear("o_proj", t, w.hidden, w.heads * w.v);
  list.norm("MLP norm", t * w.hidden, true);
  list.quantize("cast MLP input", t * w.hidden);
  if (layer.moe) gate(list, config, t, false);
  return std::move(list).finish();
}

PhaseCost attention_backward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const Widths w(config.model);
  const double t = static_cast<double>(layer.tokens);
  if (layer.moe) gate(list, config, t, true);
  list.norm_backward("MLP norm backward", t * w.hidden);
  list.quantize("cast output gradient", t * w.hidden);
  list.linear("o_proj dgrad", t, w.heads * w.v, w.hidden);
  if (list.fp8_blocks()) {
    list.memory("cast back attention output", MemoryKernel::cast, t * w.heads * w.v * (1.5 + 2.0));
    list.quantize_transposed("transpose o_proj operands", t * (w.hidden + w.heads * w.v), 2);
  }
  if (config.recompute.norms) {
    list.norm("attention norm again", t * w.hidden, false);
    if (latent(config)) list.norm("latent norms again", t * (w.q_rank + w.kv_rank), false);
  }
  if (latent(config) && config.recompute.attention_up_projections) latent_up_projection(list, w, t, " again");
  list.attention("attention backward", attention_shape(config, layer, AttentionKind::backward));
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
    list.quantize_transposed("transpose down-projection operands",
                             t * (w.q_rank + w.kv_rank + w.rope + w.hidden), 3);
    list.linear("kv_a_proj dgrad", t, w.hidden, w.kv_rank + w.rope);
    if (w.q_rank > 0) list.linear("q_a_proj dgrad", t, w.hidden, w.q_rank);
  } else {
    const double qkv = w.query + w.key + w.value;
    list.memory("rotary backward", MemoryKernel::rotary, t * (w.query + w.key) * 2 * 2);
    list.quantize("cast qkv gradients", t * qkv);
    list.quantize_transposed("transpose qkv operands", t * (qkv + w.hidden), 2);
    list.linear("qkv_proj dgrad", t, w.hidden, qkv);
  }
  list.norm_backward("attention norm backward", t * w.hidden);
  return std::move(list).finish();
}

PhaseCost attention_weight(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const Widths w(config.model);
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

/// A feed-forward network of `width` over `rows` tokens. groups > 0: that many experts, rows in all.
struct Ffn {
  std::string name;
  double rows, width;
  int groups;
};

std::vector<Ffn> ffns(const TrainingConfig& config, const LayerShape& layer) {
  const MoeConfig& moe = config.model.moe;
  const double t = static_cast<double>(layer.tokens);
  if (!layer.moe) return {{"ffn", t, static_cast<double>(config.model.ffn_width), 0}};
  std::vector<Ffn> result;
  if (moe.shared_experts > 0) result.push_back({"shared", t, static_cast<double>(moe.shared_experts * moe.expert_width), 0});
  result.push_back({"routed", layer.expert_rows, static_cast<double>(moe.expert_width), layer.local_experts});
  return result;
}

void ffn_gemm(KernelList& list, const Ffn& ffn, std::string name, double n, double k) {
  if (ffn.groups > 0) {
    list.grouped(ffn.name + " " + std::move(name), ffn.rows, n, k, ffn.groups);
  } else {
    list.linear(ffn.name + " " + std::move(name), ffn.rows, n, k);
  }
}

/// Distinct (token, rank) pairs per token copy: an expert rank receives a token once even when two of its experts
/// want it. Uniform choice: ranks r, copies k -> r (1 - (1 - 1/r)^k) / k.
double received_per_row(const TrainingConfig& config, const LayerShape& layer) {
  const double copies = config.model.moe.experts_per_token;
  const double ranks = static_cast<double>(config.model.moe.experts) / std::max(1, layer.local_experts) *
                       config.model.moe.groups_per_token / std::max(1, config.model.moe.groups);
  if (ranks <= 1) return 1 / copies;
  return ranks * (1 - std::pow(1 - 1 / ranks, copies)) / copies;
}

PhaseCost mlp_forward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  const double token_bytes = list.fp8() ? 1 + kScaleBytesPerElement : 2;
  const double rows = layer.moe ? layer.expert_rows : 0;
  if (layer.moe) {
    list.memory("count and map rows to experts", MemoryKernel::gating,
                static_cast<double>(layer.tokens) * config.model.moe.experts * 4 * 2 * 12, 2);
    list.memory("expand rows", MemoryKernel::permute, rows * h * 2 * token_bytes);
    if (list.fp8_blocks()) list.memory("transpose scales", MemoryKernel::transpose, rows * h * token_bytes, 2);
  }
  for (const Ffn& ffn : ffns(config, layer)) {
    const double in = ffn_in(config, ffn.width);
    ffn_gemm(list, ffn, "gate_up", in, h);
    list.memory(ffn.name + " activation", MemoryKernel::swiglu,
                ffn.rows * (in * 2 + ffn.width * (list.fp8() ? 1 + kScaleBytesPerElement : 2)));
    if (config.precision.activations == Precision::fp8) {
      list.quantize(ffn.name + " cast kept activation input", ffn.rows * in);
    }
    ffn_gemm(list, ffn, "down", h, ffn.width);
  }
  if (layer.moe) {
    list.memory("sum rows of a token", MemoryKernel::reduce, rows * h * 2 * (1 + received_per_row(config, layer)));
  }
  return std::move(list).finish();
}

PhaseCost mlp_backward(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  const double t = static_cast<double>(layer.tokens);
  const double token_bytes = list.fp8() ? 1 + kScaleBytesPerElement : 2;
  const double rows = layer.moe ? layer.expert_rows : 0;
  if (config.recompute.norms) list.norm("MLP norm again", t * h, true);
  if (layer.moe) {
    list.memory("expand gradient rows", MemoryKernel::permute, rows * h * 2 * token_bytes);
    list.quantize("cast shared gradient", t * h);
  } else {
    list.quantize("cast gradient", t * h);
  }
  for (const Ffn& ffn : ffns(config, layer)) {
    const double in = ffn_in(config, ffn.width);
    ffn_gemm(list, ffn, "down dgrad", ffn.width, h);
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
    ffn_gemm(list, ffn, "gate_up dgrad", h, in);
  }
  if (layer.moe) {
    list.memory("sum gradient rows", MemoryKernel::reduce, rows * h * 2 * (1 + received_per_row(config, layer)));
  }
  return std::move(list).finish();
}

PhaseCost mlp_weight(const TrainingConfig& config, const LayerShape& layer, KernelList list) {
  const double h = config.model.hidden;
  for (const Ffn& ffn : ffns(config, layer)) {
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
    case Phase::attention_forward: return "ATTN(F)";
    case Phase::mlp_forward: return "MLP(F)";
    case Phase::mlp_backward: return "MLP(B)";
    case Phase::mlp_weight: return "MLP(W)";
    case Phase::attention_backward: return "ATTN(B)";
    case Phase::attention_weight: return "ATTN(W)";
  }
  assert(false);
  return "";
}

PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& layer, const KernelModel& kernels,
                      int sms) {
  KernelList list(config, kernels, sms);
  switch (phase) {
    case Phase::attention_forward: return attention_forward(config, layer, std::move(list));
    case Phase::mlp_forward: return mlp_forward(config, layer, std::move(list));
    case Phase::mlp_backward: return mlp_backward(config, layer, std::move(list));
    case Phase::mlp_weight: return mlp_weight(config, layer, std::move(list));
    case Phase::attention_backward: return attention_backward(config, layer, std::move(list));
    case Phase::attention_weight: return attention_weight(config, layer, std::move(list));
  }
  assert(false);
  return {};
}

PhaseCost price_edge(EdgePhase phase, const TrainingConfig& config, std::int64_t tokens, const KernelModel& kernels,
                     int sms) {
  KernelList list(config, kernels, sms);
  const double t = static_cast<double>(tokens);
  const double h = config.model.hidden;
  const double vocabulary = config.model.vocabulary;
  const Precision head = config.precision.head;
  switch (phase) {
    case EdgePhase::embedding_forward:
      list.memory("embedding", MemoryKernel::embedding, t * h * 2 * 2);
      break;
    case EdgePhase::embedding_backward:
      list.memory("embedding gradient", MemoryKernel::embedding, t * h * (2 + 2 * bytes_per_element(config.precision.gradients)));
      break;
    case EdgePhase::head_forward:
      list.norm("final norm", t * h, true);
      list.linear_in(head, "head", t, vocabulary, h);
      // Loss and its gradient in one go: logits in, gradient of the logits out.
      list.memory("cross-entropy", MemoryKernel::cross_entropy, t * vocabulary * 2 * 3);
      break;
    case EdgePhase::head_backward:
      list.linear_in(head, "head dgrad", t, h, vocabulary);
      list.norm_backward("final norm backward", t * h);
      break;
    case EdgePhase::head_weight:
      list.weight_gradient_in(head, "head wgrad", vocabulary, h, t);
      break;
    case EdgePhase::mtp_projection_forward:
      list.memory("embedding", MemoryKernel::embedding, t * h * 2 * 2);
      list.norm("MTP norms", 2 * t * h, false);
      list.quantize("cast MTP input", 2 * t * h);
      list.linear("MTP projection", t, h, 2 * h);
      break;
    case EdgePhase::mtp_projection_backward:
      list.quantize("cast MTP gradient", t * h);
      list.linear("MTP projection dgrad", t, 2 * h, h);
      list.quantize_transposed("transpose MTP operands", 3 * t * h, 2);
      list.norm_backward("MTP norms backward", 2 * t * h);
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
