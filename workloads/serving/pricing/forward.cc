#include "workloads/serving/pricing/forward.h"

#include <algorithm>
#include <cmath>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/expert_collective.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {
namespace {

std::int64_t whole(double elements) { return std::max<std::int64_t>(1, std::llround(elements)); }

double ceil_div(double a, double b) { return std::ceil(a / b); }

/// Experts that at least one of `rows` picks falls on, all experts drawn alike: E (1 - (1 - 1/E)^rows).
double touched(double experts, double rows) { return experts * (1 - std::pow(1 - 1 / experts, rows)); }

}  // namespace

/// Adds up the kernels of a part of the pass. Traffic of memory-bound kernels is what they read and write,
/// activations in BF16.
class ForwardModel::Kernels {
 public:
  Kernels(const ForwardModel& model, int sms)
      : kernels_(*model.setting_.kernels),
        precision_(model.setting_.engine.precision),
        tensorrt_(model.setting_.engine.kernels == KernelLibrary::tensorrt_llm),
        sms_(sms) {}

  void linear(double m, double n, double k) {
    GemmShape shape{GemmKind::dense,   whole(m),           whole(n),       whole(k), 1,
                    precision_.linear, precision_.scaling, Precision::bf16};
    shape.vendor_library =
        tensorrt_ && precision_.linear == Precision::fp8 && precision_.scaling == Scaling::per_tensor;
    add(kernels_.gemm(shape, sms_));
  }
  void linear_bf16(double m, double n, double k) {
    add(kernels_.gemm(
        {GemmKind::dense, whole(m), whole(n), whole(k), 1, Precision::bf16, Scaling::none, Precision::bf16}, sms_));
  }
  void grouped(GemmKind kind, double m, double n, double k, double groups) {
    const int used = static_cast<int>(std::max(1.0, std::round(groups)));
    add(kernels_.gemm(
        {kind, whole(m), whole(n), whole(k), used, precision_.linear, precision_.scaling, Precision::bf16}, sms_));
  }
  void memory(MemoryKernel kernel, double bytes, int launches = 1) {
    sum_.time += kernels_.memory_bound(kernel, Bytes(bytes / launches), sms_).time * launches;
    sum_.kernels += launches;
  }
  /// Activations to FP8 before a GEMM. With one static scale per tensor the kernel before writes FP8 itself.
  void quantize(double elements) {
    if (precision_.linear == Precision::fp8 && precision_.scaling == Scaling::blocks)
      memory(MemoryKernel::cast, elements * (2 + 1 + kScaleBytesPerElement));
  }
  void attention(const AttentionShape& shape) { add(kernels_.attention(shape, sms_)); }
  PassTime sum() const { return sum_; }

 private:
  void add(const KernelTime& price) {
    sum_.time += price.time;
    ++sum_.kernels;
  }
  const KernelModel& kernels_;
  const ServingPrecision& precision_;
  bool tensorrt_;
  int sms_;
  PassTime sum_;
};

ForwardModel::ForwardModel(ForwardSetting setting) : setting_(std::move(setting)) {
  for (int i = 0; i < setting_.engine.model.layers; ++i) moe_layers_ += setting_.engine.model.is_moe_layer(i);
}

int ForwardModel::compute_sms(bool overlapped, StepKind kind) const {
  const EngineConfig& engine = setting_.engine;
  const bool low_latency = kind == StepKind::decode && engine.decode_exchange == ExpertExchange::low_latency;
  if (!overlapped || low_latency || engine.plan.expert == 1) return 0;
  return std::max(1, setting_.kernels->gpu().sms - engine.communication_sms);
}

LayerTime ForwardModel::layer(double tokens, bool moe, StepKind kind, bool overlapped) const {
  const EngineConfig& engine = setting_.engine;
  const int sms = compute_sms(overlapped, kind);
  const bool spread = moe && engine.plan.expert > 1;
  LayerTime out;
  out.projections = attention_projections(tokens, kind, sms);
  if (moe) out.shared_experts = shared_experts(tokens, sms);
  out.ffn = moe ? routed_experts(tokens, kind, sms) : dense_ffn(tokens, engine.model.ffn_width, sms);
  // After attention, and after the FFN unless its results come by exchange.
  out.all_reduces = tensor_all_reduce(tokens) * (spread ? 1 : 2);
  if (spread) add_exchange(out, tokens, kind, overlapped);
  return out;
}

/// Norms, projections, positions; the attention core between them is priced apart.
PassTime ForwardModel::attention_projections(double t, StepKind kind, int sms) const {
  const ModelConfig& model = setting_.engine.model;
  const AttentionConfig& a = model.attention;
  const double tp = setting_.engine.plan.tensor;
  const double hidden = model.hidden, heads = ceil_div(a.heads, tp);
  Kernels list(*this, sms);
  list.memory(MemoryKernel::norm, t * hidden * 2 * 4);  // with the residual: both read and written
  list.quantize(t * hidden);
  if (a.type == AttentionType::latent) {
    const double query = heads * a.qk_dim(), latent = a.kv_lora_rank + a.qk_rope_dim;
    if (a.q_lora_rank > 0) {
      list.linear(t, a.q_lora_rank + latent, hidden);
      list.memory(MemoryKernel::norm, t * (a.q_lora_rank + a.kv_lora_rank) * 2 * 2);
      list.quantize(t * a.q_lora_rank);
      list.linear(t, query, a.q_lora_rank);
    } else {
      list.linear(t, query + latent, hidden);
      list.memory(MemoryKernel::norm, t * a.kv_lora_rank * 2 * 2);
    }
    list.memory(MemoryKernel::rotary,
                t * (heads * a.qk_rope_dim + latent) * 2 * 2);  // and the cache is written
    if (kind == StepKind::decode) {
      // Absorbed form: queries into the latent space and results out of it, a small matrix per head.
      list.linear_bf16(t, heads * a.kv_lora_rank, a.qk_nope_dim);
      list.linear_bf16(t, heads * a.v_dim, a.kv_lora_rank);
    }
    list.quantize(t * heads * a.v_dim);
    list.linear(t, hidden, heads * a.v_dim);
  } else {
    const double kv_heads = std::max(1.0, ceil_div(a.kv_heads, tp));
    const double query = heads * a.head_dim, key_value = 2 * kv_heads * a.head_dim;
    list.linear(t, query + key_value, hidden);
    list.memory(MemoryKernel::rotary, t * (query + key_value) * 2 * 2);
    list.quantize(t * query);
    list.linear(t, hidden, query);
  }
  list.memory(MemoryKernel::norm, t * hidden * 2 * 4);
  return list.sum();
}

PassTime ForwardModel::dense_ffn(double t, double width, int sms) const {
  const ModelConfig& model = setting_.engine.model;
  const double local = ceil_div(width, setting_.engine.plan.tensor), inner = model.gated_ffn ? 2 * local : local;
  Kernels list(*this, sms);
  list.quantize(t * model.hidden);
  list.linear(t, inner, model.hidden);
  list.memory(MemoryKernel::swiglu, t * (inner + local) * 2);
  list.quantize(t * local);
  list.linear(t, model.hidden, local);
  return list.sum();
}

/// Gate and routed experts. The busiest GPU decides: `hot_load` times the mean number of rows.
PassTime ForwardModel::routed_experts(double t, StepKind kind, int sms) const {
  const EngineConfig& engine = setting_.engine;
  const ModelConfig& model = engine.model;
  const MoeConfig& moe = model.moe;
  const double hidden = model.hidden;
  const bool spread = engine.plan.expert > 1;
  const double groups =
      spread ? std::max(1.0, (moe.experts + engine.redundant_experts) / double(engine.plan.expert)) : moe.experts;
  // Under expert parallelism with tensor-parallel attention a group's tokens enter the exchange once.
  const double rows = t / (spread ? engine.plan.tensor : 1) * moe.experts_per_token * (spread ? setting_.hot_load : 1);
  const double width = spread ? moe.expert_width : ceil_div(moe.expert_width, engine.plan.tensor);
  const double inner = model.gated_ffn ? 2 * width : width;
  const double used = std::min(groups, std::max(1.0, touched(groups, rows)));
  const bool masked = kind == StepKind::decode;
  const GemmKind grouped = masked ? GemmKind::grouped_masked : GemmKind::grouped_contiguous;

  Kernels list(*this, sms);
  list.linear_bf16(t, moe.experts, hidden);
  list.memory(MemoryKernel::gating, t * moe.experts * 4 * 2);
  list.quantize(t * hidden);
  if (!masked || !spread)
    list.memory(MemoryKernel::permute, rows * hidden * 2 * bytes_per_element(engine.precision.linear));
  list.grouped(grouped, rows, inner, hidden, used);
  list.memory(MemoryKernel::swiglu, rows * (inner * 2 + width * bytes_per_element(engine.precision.linear)));
  list.grouped(grouped, rows, hidden, width, used);
  if (!masked || !spread) list.memory(MemoryKernel::reduce, (rows + t) * hidden * 2);
  return list.sum();
}

/// Each GPU of an expert-parallel group holds the shared experts whole and sends its own tokens through.
PassTime ForwardModel::shared_experts(double t, int sms) const {
  const EngineConfig& engine = setting_.engine;
  const ModelConfig& model = engine.model;
  if (model.moe.shared_experts == 0) return {};
  const double width = model.moe.shared_experts * model.moe.expert_width;
  const bool whole_here = engine.plan.expert > 1;
  const double own = whole_here ? t / engine.plan.tensor : t;
  const double local = whole_here ? width : ceil_div(width, engine.plan.tensor),
               both = model.gated_ffn ? 2 * local : local;
  Kernels list(*this, sms);
  list.linear(own, both, model.hidden);
  list.memory(MemoryKernel::swiglu, own * (both + local) * 2);
  list.quantize(own * local);
  list.linear(own, model.hidden, local);
  return list.sum();
}

Seconds low_latency_time(const LowLatencyExchange& x, const EngineConstants& c) {
  const int nodes = std::max(1, x.ranks / x.ranks_per_node);
  const int local = std::min(x.ranks, x.ranks_per_node);
  const Bytes sent = x.bytes_per_token * (x.tokens * x.experts_per_token * x.hot_load);
  const double own_node = static_cast<double>(local) / x.ranks;
  const Seconds nic = nodes > 1 ? sent * (1 - own_node) / (x.nic * c.exchange_nic.value) : Seconds(0);
  const Seconds nvlink =
      x.nvlink > BytesPerSecond(0) ? sent * own_node / (x.nvlink * c.exchange_nvlink.value) : Seconds(0);
  return Seconds((c.exchange_setup_us.value + c.exchange_doubling_us.value * std::log2(nodes)) * 1e-6) +
         std::max(nic, nvlink);
}

void ForwardModel::add_exchange(LayerTime& layer, double t, StepKind kind, bool overlapped) const {
  const EngineConfig& engine = setting_.engine;
  const ModelConfig& model = engine.model;
  const double own = t / engine.plan.tensor;
  const auto bytes = [&](Precision p) {
    return Bytes(model.hidden * (bytes_per_element(p) + (p == Precision::fp8 ? kScaleBytesPerElement : 0)));
  };
  const BytesPerSecond nic = endpoint_bandwidth(setting_.cluster), nvlink = node_link_bandwidth(setting_.cluster.node);
  const int per_node = std::min(engine.plan.expert, setting_.cluster.node.gpus);
  if (kind == StepKind::decode && engine.decode_exchange == ExpertExchange::low_latency) {
    LowLatencyExchange x{own,
                         model.moe.experts_per_token,
                         engine.plan.expert,
                         per_node,
                         bytes(engine.precision.dispatch),
                         nic,
                         nvlink,
                         setting_.hot_load};
    layer.dispatch = {low_latency_time(x, *setting_.constants), 1};
    x.bytes_per_token = bytes(engine.precision.combine);
    layer.combine = {low_latency_time(x, *setting_.constants), 1};
    return;
  }
  RoutingRequest routing;
  routing.ranks = engine.plan.expert;
  routing.ranks_per_node = per_node;
  routing.experts = model.moe.experts;
  routing.experts_per_token = model.moe.experts_per_token;
  routing.groups = model.moe.groups;
  routing.groups_per_token = model.moe.groups_per_token;
  routing.tokens_per_rank = whole(own);
  for (const ExpertOp op : {ExpertOp::dispatch, ExpertOp::combine}) {
    routing.bytes_per_token = bytes(op == ExpertOp::dispatch ? engine.precision.dispatch : engine.precision.combine);
    ExpertTraffic traffic = expert_traffic(routing).front();
    traffic.nic_in *= setting_.hot_load;
    traffic.nvlink_in *= setting_.hot_load;
    ExpertSetting setting;
    setting.nic = nic;
    setting.nvlink = nvlink;
    setting.nodes = std::max(1, engine.plan.expert / per_node);
    setting.op = op;
    setting.overlapped = overlapped;
    setting.sms = engine.communication_sms;
    PassTime& part = op == ExpertOp::dispatch ? layer.dispatch : layer.combine;
    part = {expert_time(setting, traffic, *setting_.links).total(), 2};  // a handshake and a transfer
  }
}

/// Engines take their own all-reduce or NCCL's, whichever is faster for the size.
Seconds tensor_all_reduce_time(const ClusterSpec& cluster, const LinkCalibration& links, int ranks, Bytes bytes) {
  const int nodes = (ranks + cluster.node.gpus - 1) / cluster.node.gpus;
  const NcclGroup group = even_group(nodes, ranks / nodes, cluster.fabric.cross_leaf_latency);
  const Seconds nccl = choose_nccl(NcclOp::all_reduce, group, bytes, cluster, links).total();
  return nodes > 1 ? nccl : std::min(nccl, direct_all_reduce(group, bytes, cluster, links).total());
}

PassTime ForwardModel::tensor_all_reduce(double t) const {
  const int tensor = setting_.engine.plan.tensor;
  if (tensor == 1) return {};
  const Bytes bytes(t * setting_.engine.model.hidden * 2);
  return {tensor_all_reduce_time(setting_.cluster, *setting_.links, tensor, bytes), 1};
}

PassTime ForwardModel::attention(const DecodeAttention& shape) const {
  const AttentionConfig& a = setting_.engine.model.attention;
  const int tp = setting_.engine.plan.tensor;
  AttentionShape s;
  s.kind = AttentionKind::decode;
  s.batch = whole(shape.batch);
  s.query_length = shape.queries;
  s.kv_length = whole(shape.kv_tokens);
  s.query_heads = static_cast<int>(ceil_div(a.heads, tp));
  s.kv_precision = setting_.engine.precision.kv;
  s.latent = a.type == AttentionType::latent;
  s.kv_heads = s.latent ? 1 : static_cast<int>(ceil_div(a.kv_heads, tp));
  s.qk_dim = s.latent ? a.kv_lora_rank + a.qk_rope_dim : a.head_dim;
  s.v_dim = s.latent ? a.kv_lora_rank : a.head_dim;
  if (setting_.engine.kernels == KernelLibrary::tensorrt_llm && !s.latent && s.kv_precision == Precision::fp8) {
    // XQA: the same bytes as half as many tokens in BF16.
    s.kv_precision = Precision::bf16;
    s.kv_length = (s.kv_length + 1) / 2;
  }
  Kernels list(*this, 0);
  list.attention(s);
  return list.sum();
}

PassTime ForwardModel::attention(const PromptAttention& shape, bool overlapped) const {
  const AttentionConfig& a = setting_.engine.model.attention;
  const int tp = setting_.engine.plan.tensor;
  const bool latent = a.type == AttentionType::latent;
  AttentionShape s;
  s.kind = AttentionKind::forward;
  s.batch = whole(shape.requests);
  s.query_length = whole(shape.tokens);
  s.kv_length = std::max(s.query_length, whole(shape.kv_tokens));
  s.query_heads = static_cast<int>(ceil_div(a.heads, tp));
  s.kv_heads = latent ? s.query_heads : static_cast<int>(ceil_div(a.kv_heads, tp));
  s.qk_dim = a.qk_dim();
  s.v_dim = a.value_dim();
  Kernels list(*this, compute_sms(overlapped, StepKind::prompt));
  if (latent) {
    // Keys and values of all tokens, cached ones too, come out of the latent vectors.
    const double keys = shape.requests * shape.kv_tokens, up = s.query_heads * (a.qk_nope_dim + a.v_dim);
    list.quantize(keys * a.kv_lora_rank);
    list.linear(keys, up, a.kv_lora_rank);
    list.memory(MemoryKernel::copy, keys * s.query_heads * (a.qk_nope_dim + s.qk_dim) * 2);
  }
  list.attention(s);
  return list.sum();
}

PassTime ForwardModel::edges(double tokens, double sequences) const {
  const ModelConfig& model = setting_.engine.model;
  Kernels list(*this, 0);
  const double local = ceil_div(model.vocabulary, setting_.engine.plan.tensor);
  list.memory(MemoryKernel::embedding, tokens * model.hidden * 2 * 2);
  list.memory(MemoryKernel::norm, tokens * model.hidden * 2 * 4);
  list.linear_bf16(sequences, local, model.hidden);
  list.memory(MemoryKernel::elementwise, sequences * local * (2 + 4));  // logits to FP32, largest one
  return list.sum();
}

PassTime ForwardModel::draft_projection(double sequences) const {
  const double hidden = setting_.engine.model.hidden;
  Kernels list(*this, 0);
  list.memory(MemoryKernel::norm, sequences * hidden * 2 * 4);
  list.linear(sequences, hidden, 2 * hidden);
  return list.sum();
}

Seconds ForwardModel::stage_transfers(double tokens) const {
  const EngineConfig& engine = setting_.engine;
  const int hops = engine.plan.pipeline - 1;
  if (hops == 0) return Seconds(0);
  const bool within = engine.plan.gpus() <= setting_.cluster.node.gpus;
  const NcclGroup pair = within ? even_group(1, 2) : even_group(2, 1, setting_.cluster.fabric.cross_leaf_latency);
  const Bytes bytes(tokens * engine.model.hidden * 2 / engine.plan.tensor);
  return choose_nccl(NcclOp::send_recv, pair, bytes, setting_.cluster, *setting_.links).total() * hops;
}

}  // namespace flopcast
