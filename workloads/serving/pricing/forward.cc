#include "workloads/serving/pricing/forward.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/node_count.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/expert_collective.h"
#include "workloads/collectives/nccl.h"
#include "workloads/serving/experts/expert_rows.h"

namespace flopcast {
namespace {

std::int64_t whole(double elements) { return std::max<std::int64_t>(1, std::llround(elements)); }

/// Experts of four bits are multiplied in BF16.
bool unpacks_experts(const ServingPrecision& p) {
  const WeightFormat experts = p.experts != WeightFormat::as_multiplied ? p.experts : p.stored;
  return experts != WeightFormat::as_multiplied && p.linear == Precision::bf16;
}

/// Blocks of experts are triton_kernels'.
bool unpacks_mxfp4(const ServingPrecision& p) {
  const WeightFormat experts = p.experts != WeightFormat::as_multiplied ? p.experts : p.stored;
  return experts == WeightFormat::mxfp4 && p.linear == Precision::bf16;
}

/// Serving engines as of 2025 (SGLang, vLLM, TensorRT-LLM): fused norms, positions and gates; scales of FP8 tensors
/// known beforehand.
/// @param gpu that computes
KernelHabits habits_of(const EngineConfig& engine, StepKind kind, const GpuSpec& gpu) {
  KernelHabits habits;
  const bool open_source = engine.kernels == KernelLibrary::open_source || engine.kernels == KernelLibrary::vllm;
  const bool fp4_units = gpu.fp4_peak > FlopPerSecond(0);
  // Products in FP8 with one scale per tensor were measured as vLLM and SGLang make them on Hopper (CUTLASS, few rows
  // and many), SGLang's on Blackwell too; elsewhere prompts take those of the vendor's library.
  const bool measured = gpu.architecture == "hopper" || (engine.kernels == KernelLibrary::open_source && fp4_units);
  habits.vendor_gemms = !open_source || (kind == StepKind::prompt && !measured);
  habits.expert_gemms = kind == StepKind::decode ? ExpertGemms::masked : ExpertGemms::contiguous;
  if (!sends_to_experts(engine) && engine.model.gated_ffn) habits.expert_gemms = ExpertGemms::fused;
  const ExpertKernels experts = expert_kernels_of(engine);
  if (experts == ExpertKernels::deep_gemm || experts == ExpertKernels::deep_gemm_padded)
    habits.expert_gemms = ExpertGemms::contiguous;
  const bool tensorrt = engine.kernels == KernelLibrary::tensorrt_llm || experts == ExpertKernels::cutlass;
  habits.expert_block = tensorrt                                ? ExpertBlock::tensorrt
                        : engine.kernels == KernelLibrary::vllm ? ExpertBlock::vllm
                                                                : ExpertBlock::sglang;
  habits.latent_decode = engine.kernels == KernelLibrary::tensorrt_llm ? LatentDecode::tensorrt : LatentDecode::sglang;
  habits.tensor_scales = TensorScales::fixed;
  habits.head_norm_kernels = engine.head_norm_kernels;
  habits.residual_in_attention_norm = true;
  // Blocks of experts in MXFP4 on Hopper were measured with the choice in them (triton_kernels' top-k, histogram and
  // two kernels that sort tokens); elsewhere the choice is one kernel and the block sorts.
  habits.router_kernels = unpacks_mxfp4(engine.precision) && !fp4_units ? 0 : 1;
  habits.row_map_kernels = 0;
  habits.rows_come_sorted = kind == StepKind::decode && sends_to_experts(engine);
  habits.transposes_row_scales = false;
  habits.counts_row_scales = false;
  habits.activation_casts = false;
  habits.fused_latent_down = true;
  habits.positions_write_cache = true;
  habits.writes_cache_apart = open_source;
  habits.origin = engine.kernels == KernelLibrary::torch_compile ? KernelOrigin::compiled : KernelOrigin::engine;
  habits.keeps_attention_output = false;
  habits.tensor_exchange = TensorExchange::all_reduce;
  habits.logits = LogitUse::sampling;
  habits.mtp_input_kernels = false;
  return habits;
}

/// A collective of so many kernels.
PassTime exchanged(Seconds time, int kernels) { return {time, kernels, {}, {}, time}; }

KernelTime price_of(const KernelModel& kernels, const GemmShape& shape, int sms) { return kernels.gemm(shape, sms); }

KernelTime price_of(const KernelModel& kernels, const AttentionShape& shape, int sms) {
  return kernels.attention(shape, sms);
}

KernelTime price_of(const KernelModel& kernels, const LatentBlockShape& shape, int sms) {
  return kernels.latent_block(shape, sms);
}

KernelTime price_of(const KernelModel& kernels, const MemoryTraffic& traffic, int sms) {
  return kernels.memory_bound(traffic.kernel, traffic.bytes, sms, traffic.origin);
}

/// TensorRT-LLM's own all-reduce has one shot (every GPU reads all others' parts) until NCCL is faster; SGLang's and
/// vLLM's turns to two shots in between (direct_all_reduce): 1 MiB over eight GPUs takes 30 to 35 us, or 20.
/// @param goodput over NVLink's rate
Seconds one_shot_all_reduce(const ClusterSpec& cluster, const LinkCalibration& links, double goodput, int ranks,
                            Bytes bytes) {
  const Seconds fixed((links.direct_launch_us.value + ranks * links.direct_rank_us.value) * 1e-6);
  const Seconds own = fixed + bytes * (ranks - 1) / (node_link_pace(cluster.node) * goodput);
  return std::min(own, choose_nccl(NcclOp::all_reduce, even_group(1, ranks, cluster.fabric.cross_leaf_latency), bytes,
                                   cluster, links)
                           .total());
}

/// vLLM's buffer for DeepGEMM: all picks, and for each expert on the GPU a tile less a row. Kernels between the
/// products pass over all of it. The products skip tiles that no expert has, or before version 0.13 (vllm pull request
/// 30494) multiply them with the first expert: as many tiles in all, shared out among experts as evenly as they divide.
void align(ExpertShare& share, double picks, double experts, bool padded) {
  constexpr double kTile = 128;
  const double tiles = std::ceil((picks + experts * (kTile - 1)) / kTile);
  share.buffer_rows = tiles * kTile;
  if (!padded) return;
  share.multiplied_rows = share.buffer_rows;
  const double each = std::ceil(tiles / share.experts);
  share.experts = static_cast<int>(std::max(1.0, std::round(tiles / each)));
}

/// What shared experts add where they run beside routed ones: what they take beyond the others, and of the rest what
/// does not hide, as SMs and L2 are shared. vllm pull request 26440 (2025-10, DeepSeek-R1 in FP8 on eight B200, 32 at
/// once): a second stream saves 1.26 of 23.35 ms; one after the other shared experts are priced at 2.3 ms there.
PassTime beside(const PassTime& shared, const PassTime& routed) {
  constexpr double kHides = 0.55;
  PassTime out = shared;
  out.time -= std::min(shared.time, routed.time) * kHides;
  out.on_sms = shared.time > Seconds(0) ? shared.on_sms * (out.time / shared.time) : Seconds(0);
  return out;
}

/// XQA reads an FP8 cache in the time of as many tokens in BF16: half the tokens, for the same bytes.
void read_cache_as_xqa(LayerKernels& list) {
  for (LayerKernel& kernel : list.kernels) {
    auto* core = std::get_if<AttentionShape>(&kernel.shape);
    if (core == nullptr || core->latent || core->kv_precision != Precision::fp8) continue;
    core->kv_precision = Precision::bf16;
    core->kv_length = (core->kv_length + 1) / 2;
  }
}

LayerWork in_bf16(LayerWork work) {
  work.precision.linear = Precision::bf16;
  work.precision.scaling = Scaling::none;
  work.precision.weights = WeightFormat::as_multiplied;
  return work;
}

}  // namespace

ForwardSetting drafter_setting(const ForwardSetting& setting) {
  ForwardSetting out = setting;
  EngineConfig& engine = out.engine;
  engine.model = setting.engine.drafter;
  engine.drafter = {};
  engine.speculation = {};
  const Precision kv = engine.precision.kv;
  engine.precision = {};
  engine.precision.kv = kv;
  engine.plan = {};
  engine.plan.tensor = setting.engine.plan.tensor;
  engine.two_micro_batches = false;
  out.hot_load = 1;
  out.expert_variation = 0;
  return out;
}

double launch_us(const ForwardSetting& setting, double kernels, StepKind kind) {
  const EngineConfig& engine = setting.engine;
  double layers = 0;
  if (kind == StepKind::prompt && engine.model.attention.from_latent())
    layers = std::ceil(static_cast<double>(engine.model.layers) / engine.plan.pipeline);
  return kernels * setting.constants->launch_us.value +
         layers * engine.host.latent_layer.value_or(Seconds(0)).value() * 1e6;
}

ClockPoint under_limit(const KernelModel& kernels, Seconds time, Seconds on_sms, Joules energy) {
  if (time <= Seconds(0)) return {};
  return kernels.settled({time, std::min(1.0, on_sms / time), energy});
}

// Kernels that unpack four-bit weights take tiles as high as the mean expert has rows: of uneven loads more than half
// of the tiles are begun for a rest. Tiles of other blocks are chosen apart, and NVIDIA's tables of them differ by some
// per cent.
ForwardModel::ForwardModel(ForwardSetting setting)
    : setting_(std::move(setting)), moe_layers_(setting_.engine.model.moe_layers()) {
  const EngineConfig& engine = setting_.engine;
  if (moe_layers_ > 0 && unpacks_experts(engine.precision) && !(setting_.kernels->gpu().fp4_peak > FlopPerSecond(0)))
    expert_skew_ = rank_power(engine.model.moe.experts, setting_.expert_variation);
}

int ForwardModel::compute_sms(bool overlapped, StepKind kind) const {
  const EngineConfig& engine = setting_.engine;
  const bool low_latency = kind == StepKind::decode && engine.decode_exchange == ExpertExchange::low_latency;
  if (!overlapped || low_latency || !sends_to_experts(engine)) return 0;
  return std::max(1, setting_.kernels->gpu().sms - engine.communication_sms);
}

LayerWork ForwardModel::work(double tokens, StepKind kind) const {
  const EngineConfig& engine = setting_.engine;
  LayerWork work(engine.model);
  work.habits = habits_of(engine, kind, setting_.kernels->gpu());
  work.precision.linear = engine.precision.linear;
  work.precision.scaling = engine.precision.scaling;
  work.precision.weights = engine.precision.stored;
  work.precision.experts = engine.precision.experts;
  work.precision.cache = engine.precision.kv;
  work.tokens = work.own_tokens = tokens;
  work.tensor = engine.plan.tensor;
  work.reach.decode = kind == StepKind::decode;
  return work;
}

LayerWork ForwardModel::attention_work(double tokens, StepKind kind) const {
  LayerWork work = this->work(tokens, kind);
  return attends_in_bf16(setting_.engine) ? in_bf16(std::move(work)) : work;
}

/// Where tokens are sent to their experts each GPU holds the shared experts whole and sends its own tokens through;
/// under tensor-parallel attention a group's tokens enter the exchange once. Otherwise all that share an expert have
/// all tokens, and shared experts are cut as dense FFNs are. The busiest GPU decides.
ExpertShare ForwardModel::expert_share(double t) const {
  const EngineConfig& engine = setting_.engine;
  const MoeConfig& moe = engine.model.moe;
  const int ranks = engine.plan.expert;
  ExpertShare share;
  share.exchanged = sends_to_experts(engine);
  share.shared_tokens = share.exchanged ? t / engine.plan.tensor : t;
  share.shared_degree = share.exchanged ? 1 : engine.plan.tensor;
  const double picks = t * engine.plan.attention_data * moe.experts_per_token;
  share.rows = ranks > 1 ? busiest_rows(picks / ranks, ranks, setting_.hot_load) : picks;
  share.sums = share.exchanged ? t : t * engine.plan.attention_data;
  share.degree = engine.plan.expert_slices();
  share.skew = share.exchanged ? 0 : expert_skew_;
  const double here = std::max(1.0, (moe.experts + (ranks > 1 ? engine.redundant_experts : 0)) / double(ranks));
  const double used = experts_touched(static_cast<int>(std::lround(here)), share.rows, setting_.expert_variation);
  share.experts = static_cast<int>(std::max(1.0, std::round(std::min(here, used))));
  const ExpertKernels kernels = expert_kernels_of(engine);
  if (kernels == ExpertKernels::deep_gemm || kernels == ExpertKernels::deep_gemm_padded) {
    align(share, picks, here, kernels == ExpertKernels::deep_gemm_padded);
  } else if (kernels == ExpertKernels::as_kernels && !share.exchanged &&
             (engine.kernels == KernelLibrary::vllm || unpacks_mxfp4(engine.precision))) {
    share.passing_rows = std::max(0.0, picks - share.rows);
  }
  return share;
}

/// Sum of the kernels of a list. Gaps between them are the caller's.
PassTime ForwardModel::price(const LayerKernels& list, int sms) const {
  const KernelModel& kernels = *setting_.kernels;
  PassTime sum;
  for (const LayerKernel& kernel : list.kernels) {
    const KernelTime once = std::visit([&](const auto& shape) { return price_of(kernels, shape, sms); }, kernel.shape);
    sum.time += once.time * kernel.count / setting_.gpu_speed;
    sum.on_sms += once.on_sms * kernel.count / setting_.gpu_speed;
    sum.energy += once.energy * kernel.count;
    sum.kernels += launches(kernel);
  }
  return sum;
}

/// ncclLaunchPrepare (NCCL 2.19 to 2.28, its enqueue): a captured plan with work for the network's proxy gets a host
/// function in front of its kernel. Outside graphs the proxy is told when the kernel is launched.
Seconds ForwardModel::network_call(int gpus, StepKind kind) const {
  const bool graph = kind == StepKind::decode && setting_.engine.cuda_graphs;
  if (!graph || nodes_for(gpus, setting_.cluster.node) < 2) return Seconds(0);
  return Seconds(setting_.constants->network_call_us.value * 1e-6);
}

PassTime ForwardModel::all_reduces(const LayerKernels& list, StepKind kind) const {
  const int tensor = setting_.engine.plan.tensor;
  const bool one_shot = setting_.engine.kernels == KernelLibrary::tensorrt_llm && tensor <= setting_.cluster.node.gpus;
  const auto all_reduce = [&](Bytes bytes) {
    return one_shot ? one_shot_all_reduce(setting_.cluster, *setting_.links, setting_.constants->one_shot_goodput.value,
                                          tensor, bytes)
                    : tensor_all_reduce_time(setting_.cluster, *setting_.links, tensor, bytes);
  };
  PassTime sum;
  for (const LayerExchange& exchange : list.exchanges) {
    // Where experts are cut, training gathers and scatters their rows; here all GPUs have them, and the layer's
    // all-reduce sums up.
    if (exchange.kind != LayerExchange::Kind::tensor_all_reduce) continue;
    sum += exchanged(all_reduce(exchange.bytes) + network_call(tensor, kind), 1);
  }
  return sum;
}

/// Of the mean layer, where the checkpoint has the dense FFNs of some in BF16.
PassTime ForwardModel::mean_ffn(const LayerWork& work, const LayerKernels& list, int sms) const {
  PassTime out = price(list, sms);
  const int ends = ends_in_bf16(setting_.engine);
  if (work.moe || ends == 0) return out;
  const LayerWork other = in_bf16(work);
  LayerKernels whole_list;
  add_ffn_input(whole_list, other, KernelPass::forward);
  add_ffn_block(whole_list, other, KernelPass::forward, FfnPart::routed);
  const PassTime whole = price(whole_list, sms);
  const double share = static_cast<double>(ends) / setting_.engine.model.dense_layers();
  out.time += (whole.time - out.time) * share;
  out.on_sms += (whole.on_sms - out.on_sms) * share;
  out.energy += (whole.energy - out.energy) * share;
  return out;
}

LayerTime ForwardModel::layer(double tokens, bool moe, StepKind kind, bool overlapped) const {
  const int sms = compute_sms(overlapped, kind);
  LayerWork work = this->work(tokens, kind);
  work.moe = moe;
  if (moe) work.experts = expert_share(tokens);
  LayerKernels attention, shared, ffn;
  add_attention_block(attention, attention_work(tokens, kind), KernelPass::forward, AttentionCore::left_out);
  if (moe) add_ffn_block(shared, work, KernelPass::forward, FfnPart::shared);
  add_ffn_input(ffn, work, KernelPass::forward);
  add_ffn_block(ffn, work, KernelPass::forward, FfnPart::routed);
  LayerTime out;
  out.projections = price(attention, sms);
  out.shared_experts = price(shared, sms);
  out.ffn = mean_ffn(work, ffn, sms);
  if (moe && kind == StepKind::decode && runs_shared_beside(setting_.engine, tokens))
    out.shared_experts = beside(out.shared_experts, out.ffn);
  out.all_reduces = all_reduces(attention, kind);
  out.all_reduces += all_reduces(ffn, kind);
  if (!moe) return out;
  if (sends_to_experts(setting_.engine)) add_exchange(out, tokens, kind, overlapped);
  if (transport_of(setting_.engine) == ExpertTransport::all_gather) add_gathering(out, tokens, kind);
  return out;
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
  const BytesPerSecond nic = nic_pace(setting_.cluster), nvlink = node_link_pace(setting_.cluster.node);
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
    layer.dispatch = exchanged(low_latency_time(x, *setting_.constants), 1);
    x.bytes_per_token = bytes(engine.precision.combine);
    layer.combine = exchanged(low_latency_time(x, *setting_.constants), 1);
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
    // A token crosses the NICs once per node, to the GPU of its own place there, and then NVLink: NICs get what nodes
    // get, which differ as means of their GPUs' loads do.
    traffic.nic_in *= 1 + (setting_.hot_load - 1) / std::sqrt(per_node);
    traffic.nvlink_in *= setting_.hot_load;
    ExpertSetting setting;
    setting.nic = nic;
    setting.nvlink = nvlink;
    setting.nodes = std::max(1, engine.plan.expert / per_node);
    setting.op = op;
    setting.overlapped = overlapped;
    setting.sms = engine.communication_sms;
    PassTime& part = op == ExpertOp::dispatch ? layer.dispatch : layer.combine;
    part = exchanged(expert_time(setting, traffic, *setting_.links).total(), 2);  // a handshake and a transfer
  }
}

/// Each of the attention groups' GPUs of the same index gets the tokens of all groups in BF16, and the sums of their
/// results go back (vLLM AgRsAll2AllManager, SGLang's attention-DP, TensorRT-LLM's AllGather and ReduceScatter).
void ForwardModel::add_gathering(LayerTime& layer, double t, StepKind kind) const {
  const ServingPlan& plan = setting_.engine.plan;
  const int nodes = nodes_for(plan.tensor * plan.attention_data, setting_.cluster.node);
  const NcclGroup group =
      even_group(nodes, std::max(1, plan.attention_data / nodes), setting_.cluster.fabric.cross_leaf_latency);
  const Bytes all(t * plan.attention_data * setting_.engine.model.hidden * 2);
  const Seconds call = network_call(plan.tensor * plan.attention_data, kind);
  const auto time = [&](NcclOp op) {
    return choose_nccl(op, group, all, setting_.cluster, *setting_.links).total() + call;
  };
  layer.dispatch = exchanged(time(NcclOp::all_gather), 1);
  layer.combine = exchanged(time(NcclOp::reduce_scatter), 1);
}

/// Engines take their own all-reduce or NCCL's, whichever is faster for the size.
Seconds tensor_all_reduce_time(const ClusterSpec& cluster, const LinkCalibration& links, int ranks, Bytes bytes) {
  const int nodes = nodes_for(ranks, cluster.node);
  const NcclGroup group = even_group(nodes, ranks / nodes, cluster.fabric.cross_leaf_latency);
  const Seconds nccl = choose_nccl(NcclOp::all_reduce, group, bytes, cluster, links).total();
  return nodes > 1 ? nccl : std::min(nccl, direct_all_reduce(group, bytes, cluster, links).total());
}

PassTime ForwardModel::attention(const DecodeAttention& shape) const {
  LayerWork work = attention_work(shape.batch * shape.queries, StepKind::decode);
  work.reach.batch = whole(shape.batch);
  work.reach.queries = shape.queries;
  work.reach.keys = whole(shape.kv_tokens);
  if (decodes_as_block(work)) {
    // layer() holds the block with one token in the cache. Where tokens are chosen, FlashMLA goes over as many places
    // as may be, those without a token too (deepseek-ai/FlashMLA README, 2025-09-29: indices of -1); on Blackwell
    // engines have TensorRT-LLM's kernels, which are told how many there are.
    LatentBlockShape block = latent_block(work);
    LayerKernels choice;
    if (const IndexerConfig& index = setting_.engine.model.attention.indexer; index.heads > 0) {
      const bool told =
          setting_.engine.kernels == KernelLibrary::tensorrt_llm || setting_.kernels->gpu().fp4_peak > FlopPerSecond(0);
      const double places = told ? shape.kv_tokens : std::max<double>(shape.kv_tokens, index.tokens);
      block.kv_length = whole(setting_.engine.model.mean_keys(places));
      add_choice_of_tokens(choice, work);
    }
    const KernelTime whole_block = setting_.kernels->latent_block(block);
    block.kv_length = 1;
    const KernelTime one = setting_.kernels->latent_block(block);
    PassTime out = price(choice, 0);
    out += {std::max(Seconds(0), whole_block.time - one.time) / setting_.gpu_speed, 0,
            std::max(Joules(0), whole_block.energy - one.energy),
            std::max(Seconds(0), whole_block.on_sms - one.on_sms) / setting_.gpu_speed};
    return out;
  }
  LayerKernels list;
  add_attention_core(list, work);
  if (setting_.engine.kernels == KernelLibrary::tensorrt_llm) read_cache_as_xqa(list);
  return price(list, 0);
}

PassTime ForwardModel::attention(const PromptAttention& shape, bool overlapped) const {
  LayerWork work = attention_work(shape.requests * shape.tokens, StepKind::prompt);
  work.reach.batch = whole(shape.requests);
  work.reach.queries = whole(shape.tokens);
  work.reach.keys = std::max(work.reach.queries, whole(shape.kv_tokens));
  work.reach.cached = shape.requests * shape.kv_tokens;
  LayerKernels list;
  add_attention_core(list, work);
  return price(list, compute_sms(overlapped, StepKind::prompt));
}

PassTime ForwardModel::edges(double tokens, double sequences) const {
  LayerKernels list;
  add_edge(list, work(tokens, StepKind::decode), KernelPass::forward, Edge::embedding);
  LayerWork head = work(sequences, StepKind::decode);
  head.own_tokens = tokens;  // the norm goes over all of them
  add_edge(list, head, KernelPass::forward, Edge::head);
  return price(list, 0);
}

PassTime ForwardModel::draft_projection(double sequences) const {
  LayerKernels list;
  add_edge(list, work(sequences, StepKind::decode), KernelPass::forward, Edge::mtp_projection);
  return price(list, 0);
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
