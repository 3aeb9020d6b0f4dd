#include "workloads/training/prices/phases.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "workloads/model/selective_again.h"

namespace flopcast {

namespace {

/// Megatron-LM and Transformer Engine, or DeepGEMM with block scales.
KernelHabits habits_of(const TrainingConfig& config) {
  KernelHabits habits;
  habits.vendor_gemms = true;
  habits.expert_gemms = config.vendor_gemms() ? ExpertGemms::one_by_one : ExpertGemms::contiguous;
  habits.tensor_overlap = config.plan.tensor_overlap;
  habits.eager_elementwise = config.software.eager;
  habits.repeats_keys = config.software.repeats_keys;
  habits.gathers_context = config.software.gathers_context;
  habits.separate_projections = config.software.separate_projections;
  habits.distributed_tensors = config.software.distributed_tensors;
  habits.scatters_per_product = config.software.scatters_per_product;
  habits.expert_bias_kernels = config.software.expert_bias_kernels;
  habits.complex_positions = config.software.complex_positions;
  habits.indexed_rows = config.software.indexed_rows;
  habits.indexed_once = config.software.indexed_once;
  habits.experts_keep_late = config.software.experts_keep_late;
  habits.fuses_expert_activation = config.software.fuses_expert_activation;
  habits.expert_cast_bytes = config.software.expert_cast_bytes;
  habits.unfused_attention = config.attention_kernel == AttentionKernel::unfused;
  habits.attention_dropout = config.dropout;
  habits.amax_pass = config.precision.current_scales;
  habits.adapter_rank = config.adapter_rank;
  habits.adapter_targets = config.adapter_targets;
  habits.fused_norms = config.software.fused_norms;
  habits.compiled_layers = config.software.compiled_layers;
  habits.torch_edges = config.software.torch_edges;
  habits.loss_parts = config.loss_parts;
  habits.whole_logits = config.software.whole_logits;
  habits.logits = config.fused_loss             ? LogitUse::fused_loss
                  : config.software.bf16_loss   ? LogitUse::bf16_loss
                  : config.software.torch_edges ? LogitUse::torch_loss
                                                : LogitUse::eager_loss;
  return habits;
}

/// A mean layer of two kinds, as models whose layers differ are priced: so much of `a`, and the rest of `b`.
PhaseCost mean(PhaseCost a, double share, const PhaseCost& b) {
  const auto mixed = [&](auto x, auto y) { return x * share + y * (1 - share); };
  const auto scale = [](KernelTime& price, double by) {
    price.time *= by;
    price.on_sms *= by;
    price.energy *= by;
  };
  for (PricedKernel& kernel : a.kernels) scale(kernel.price, share);
  for (PricedKernel kernel : b.kernels) {
    scale(kernel.price, 1 - share);
    a.kernels.push_back(kernel);
  }
  assert(a.exchanges.size() == b.exchanges.size() && "formats change what travels, not how often");
  for (std::size_t i = 0; i < a.exchanges.size(); ++i) {
    a.exchanges[i].exchange.bytes = mixed(a.exchanges[i].exchange.bytes, b.exchanges[i].exchange.bytes);
    a.exchanges[i].beside = mixed(a.exchanges[i].beside, b.exchanges[i].beside);
  }
  a.time = mixed(a.time, b.time);
  a.host = mixed(a.host, b.host);
  a.kernel_sum = mixed(a.kernel_sum, b.kernel_sum);
  return a;
}

/// What `price` says of a layer, where some layers multiply in BF16 though others do not.
template <class Price>
PhaseCost mean_of_formats(const TrainingConfig& config, Price price) {
  const double share = config.precision.bf16_share(config.model.layers);
  if (share <= 0) return price(config);
  TrainingConfig wide = config;
  wide.precision.linear = wide.precision.activations = Precision::bf16;
  wide.precision.scaling = Scaling::none;
  wide.precision.current_scales = false;
  return share >= 1 ? price(wide) : mean(price(wide), share, price(config));
}

KernelPrecision precision_of(const PrecisionPlan& plan) {
  KernelPrecision precision;
  precision.linear = plan.linear;
  precision.scaling = plan.scaling;
  precision.attention = plan.attention;
  precision.head = plan.head;
  precision.gradients = plan.gradients;
  precision.activations = plan.activations;
  return precision;
}

RecomputedKernels recomputed(const RecomputePlan& plan) {
  RecomputedKernels again;
  if (plan.full_layer && plan.full_layers == 0) return again;  // they come with the layer that is done again
  again.norms = plan.norms;
  again.attention_up_projections = plan.attention_up_projections;
  again.activation_function = plan.activation_function;
  again.attention_core = plan.attention_core;
  again.mlp = plan.mlp;
  return again;
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

/// Tokens of a micro-batch as one GPU sees them: all of its tensor-parallel group where matrices are shared, its own
/// where the sequence is.
LayerWork work_of(const TrainingConfig& config, double tokens) {
  LayerWork work(config.model);
  work.precision = precision_of(config.precision);
  work.habits = habits_of(config);
  work.again = recomputed(config.recompute);
  work.tokens = tokens;
  work.own_tokens = config.plan.sequence_parallel ? tokens / config.plan.tensor : tokens;
  work.tensor = config.plan.tensor;
  return work;
}

LayerWork work_of(const TrainingConfig& config, const LayerShape& layer) {
  LayerWork work = work_of(config, static_cast<double>(layer.tokens));
  work.moe = layer.moe;
  work.context = {config.plan.context, config.plan.context_exchange == ContextExchange::all_gather,
                  config.plan.context > 1 && config.plan.context_exchange == ContextExchange::all_to_all};
  // Documents that are packed into a sequence: as many sequences of their mean length, each cut over the GPUs that
  // share one.
  const std::int64_t longest = std::min(layer.sequence_length, config.batch.attended());
  work.reach.queries = std::max<std::int64_t>(1, longest / config.plan.context);
  work.reach.keys = work.reach.queries;
  work.reach.batch = std::max<std::int64_t>(1, layer.tokens / std::max<std::int64_t>(1, work.reach.queries));
  if (!layer.moe) return work;
  work.experts.shared_tokens = work.tokens;
  work.experts.shared_degree = config.plan.tensor;
  work.experts.rows = layer.expert_rows;
  work.experts.sums = layer.expert_rows * received_per_row(config, layer);
  work.experts.experts = layer.local_experts;
  work.experts.degree = config.plan.expert_tensor;
  work.experts.same_tokens = !config.plan.sequence_parallel && config.plan.tensor > 1;
  work.experts.exchanged = config.plan.expert > 1 && !sends_tokens_once(config.plan.dispatcher);
  return work;
}

/// Prices kernels with `sms` SMs, as training's software runs them.
class Pricer {
 public:
  Pricer(const TrainingConfig& config, KernelMemo& kernels, int sms, double clock = 1)
      : config_(config), kernels_(kernels), sms_(sms) {
    const KernelTime unit{Seconds(1), Evidence::roofline, Joules(1), Seconds(1)};
    const KernelTime slowed = kernels.kernels().at_clock(unit, clock);
    stretch_ = slowed.on_sms / unit.on_sms;
    energy_ = slowed.energy / unit.energy;
  }

  /// @param host further time of the host, beside that of modules and launches
  PhaseCost cost(const LayerKernels& list, Seconds host = {}) const {
    PhaseCost cost;
    std::vector<Seconds> times;  // of every kernel of the list, those that run elsewhere too
    int started = 0, by_host = 0;
    for (const LayerKernel& kernel : list.kernels) {
      KernelTime price = std::visit([&](const auto& shape) { return this->price(shape); }, kernel.shape);
      if (sums_exactly(kernel)) price = stretched(price, config_.overheads.fp8_exact_sums);
      const double times_run = std::max(1, kernel.count);
      price.time *= times_run;
      price.on_sms *= times_run;
      price.energy *= times_run;
      times.push_back(price.time);
      if (kernel.count == 0) continue;
      cost.kernels.push_back({kernel, price});
      cost.kernel_sum += price.time;
      started += launches(kernel);
      if (in_graph(kernel)) continue;
      by_host += launches(kernel);
      host += of_host(kernel) * calls(kernel);
    }
    for (const LayerExchange& exchange : list.exchanges) {
      Seconds beside;
      for (int i = exchange.first_beside; i < exchange.last_beside; ++i) beside += times[i];
      cost.exchanges.push_back({exchange, beside});
    }
    for (const LayerExchange& exchange : list.exchanges) host += exchange.times * config_.software.host_exchange;
    const TrainingOverheads& overheads = config_.overheads;
    const Seconds gap = config_.cuda_graphs ? overheads.graph_gap : kernels_.kernels().kernel_gap();
    cost.time = cost.kernel_sum + started * gap;
    cost.host = by_host * overheads.host_launch;
    if (!config_.cuda_graphs || routes_outside_graphs()) cost.host += host;
    if (!config_.mechanisms.host) cost.host = Seconds(0);
    return cost;
  }

 private:
  /// How many rows an expert gets is known on the GPU only, unless every expert takes as many: dispatch and experts are
  /// left out of CUDA graphs (Megatron-Core --cuda-graph-scope attn moe_router moe_preprocess). A graph of the whole
  /// step has buffers that are large enough for all (full_iteration).
  bool routes_outside_graphs() const {
    return config_.software.host_experts > Seconds(0) && !config_.expert_load.capacity_factor &&
           !config_.iteration_graph;
  }
  bool in_graph(const LayerKernel& kernel) const {
    const bool expert = kernel.part == LayerPart::routed_experts || kernel.part == LayerPart::rows;
    return config_.cuda_graphs && !(expert && routes_outside_graphs());
  }
  /// The call of a module, whose kernels launch themselves: a linear layer (all experts of a layer are one, where their
  /// products are grouped) or attention.
  Seconds of_host(const LayerKernel& kernel) const {
    const SoftwareProfile& software = config_.software;
    if (std::holds_alternative<MemoryTraffic>(kernel.shape)) return {};
    const auto* gemm = std::get_if<GemmShape>(&kernel.shape);
    if (kernel.adapter) return software.host_adapter + dispatch(kernel);
    if (gemm == nullptr) return software.host_module;
    return software.host_module + (is_narrow(gemm->precision) ? software.host_module_fp8 : Seconds(0)) +
           dispatch(kernel);
  }
  /// Operations on distributed tensors round a product (F.linear of one: t, view, mm, view); routed experts are no such
  /// tensors.
  Seconds dispatch(const LayerKernel& kernel) const {
    constexpr double kOperations = 4;
    const bool shared = config_.plan.tensor > 1 && kernel.part != LayerPart::routed_experts;
    return shared ? kOperations * config_.software.host_dispatch : Seconds(0);
  }
  /// A loop over experts calls each of them.
  double calls(const LayerKernel& kernel) const {
    const bool loop = !config_.grouped_experts && kernel.part == LayerPart::routed_experts;
    return loop ? std::max(1, kernel.count) : 1;
  }
  /// Kernels were measured with fast accumulation, which gradients are not left to.
  static bool sums_exactly(const LayerKernel& kernel) {
    const auto* gemm = std::get_if<GemmShape>(&kernel.shape);
    return gemm != nullptr && gemm->precision == Precision::fp8 && gemm->vendor_library &&
           (gemm->scaling == Scaling::per_tensor || gemm->scaling == Scaling::rows) &&
           kernel.pass != KernelPass::forward && !kernel.again;
  }
  static KernelTime stretched(KernelTime time, double factor) {
    time.time *= factor;
    time.on_sms *= factor;
    return time;
  }
  /// As KernelModel::at_clock().
  KernelTime slowed(KernelTime time) const {
    if (stretch_ != 1) {
      const Seconds on_sms = time.on_sms * stretch_;
      time.time = time.time - time.on_sms + on_sms;
      time.on_sms = on_sms;
      time.energy *= energy_;
    }
    return stretched(time, 1 / config_.efficiency);
  }
  KernelTime price(const GemmShape& shape) const { return slowed(kernels_.gemm(shape, sms_)); }
  KernelTime price(const LatentBlockShape& shape) const { return slowed(kernels_.kernels().latent_block(shape, sms_)); }
  /// Over that of kernels made for the chip. Ampere, Ada and the graphics chips of Blackwell have Ampere's
  /// instructions, and so nothing faster than FlashAttention-2.
  double attention_speed(bool backward) const {
    const TrainingOverheads& o = config_.overheads;
    const std::string& architecture = kernels_.kernels().gpu().architecture;
    const bool first = architecture == "ampere" || architecture == "ada" || kernels_.kernels().gpu().die == "GB202";
    switch (config_.attention_kernel) {
      case AttentionKernel::flash2:
        if (first) return 1;
        if (architecture == "blackwell") return backward ? o.flash2_backward_blackwell : o.flash2_forward_blackwell;
        return backward ? o.flash2_backward : o.flash2_forward;
      case AttentionKernel::flex:
        if (first) return backward ? o.flex_backward_ampere : o.flex_forward_ampere;
        return backward ? o.flex_backward : o.flex_forward;
      case AttentionKernel::fused:
      case AttentionKernel::unfused:
        break;
    }
    return 1;
  }
  KernelTime price(const AttentionShape& shape) const {
    KernelTime time = slowed(kernels_.attention(shape, sms_));
    if (const double speed = attention_speed(shape.kind == AttentionKind::backward); speed != 1) {
      time = stretched(time, 1 / speed);
      time.energy *= config_.overheads.flash2_energy;
    }
    // Fused dropout makes a random number per score, and again in the backward pass: Philox4x32-10, four numbers in
    // about 64 integer operations, at half the rate of the FP32 lanes (a quarter of their FLOP).
    if (config_.dropout && config_.attention_kernel != AttentionKernel::unfused) {
      constexpr double kOperationsPerScore = 16;
      const double pairs = static_cast<double>(shape.query_length) * static_cast<double>(shape.kv_length);
      const double scores = pairs * static_cast<double>(shape.batch) * shape.query_heads * (shape.causal ? 0.5 : 1);
      time.time += Flop(scores * kOperationsPerScore) / (kernels_.kernels().gpu().fp32_peak / 4);
    }
    if (const FlopPerSecond most = config_.software.attention_rate; most > FlopPerSecond(0)) {
      // As fast per SM and cycle on every chip: such kernels are made of Ampere's instructions. On the A100 itself they
      // meet the board's limit.
      const GpuSpec& gpu = kernels_.kernels().gpu();
      const double cycles = gpu.sms * gpu.boost_clock.value();
      const FlopPerSecond of_a100 = config_.software.attention_rate_a100;
      const bool known = gpu.architecture == "ampere" && of_a100 > FlopPerSecond(0);
      const FlopPerSecond rate = known ? of_a100 * (cycles / (108 * 1.41e9)) : most * (cycles / (132 * 1.83e9));
      time.time = std::max(time.time, flop(shape) / rate);
    }
    return time;
  }
  KernelTime price(const MemoryTraffic& traffic) const {
    return slowed(kernels_.memory_bound(traffic.kernel, traffic.bytes, sms_, traffic.origin));
  }

  const TrainingConfig& config_;
  KernelMemo& kernels_;
  int sms_;
  double stretch_, energy_;  // by the clock: of what waits for the SMs, of energy
};

/// Dropout behind a block, fused with the sum of residuals: a byte of mask per element; backward a pass of its own.
void add_residual_dropout(LayerKernels& list, const TrainingConfig& config, const LayerWork& work, KernelPass pass) {
  if (!config.dropout) return;
  LayerKernel kernel;
  kernel.role = "residual dropout";
  kernel.pass = pass;
  const double bytes = pass == KernelPass::forward ? 1 : 2 + 1 + 2;
  kernel.shape = MemoryTraffic{MemoryKernel::elementwise, Bytes(work.own_tokens * work.model.hidden * bytes)};
  list.kernels.push_back(kernel);
}

/// Where products do not add the gradients of weights to those of the micro-batches before.
void add_accumulation(LayerKernels& list, const TrainingConfig& config) {
  const double bytes = config.software.accumulation_bytes;
  if (bytes <= 0) return;
  double elements = 0;
  LayerKernel sum;
  sum.count = 0;
  for (const LayerKernel& kernel : list.kernels) {
    const auto* gemm = std::get_if<GemmShape>(&kernel.shape);
    if (gemm == nullptr || gemm->kind != GemmKind::weight_gradient || kernel.count == 0) continue;
    elements += static_cast<double>(gemm->m) * static_cast<double>(gemm->n) * kernel.count;
    sum.count += kernel.count;
    sum.part = kernel.part;
  }
  if (sum.count == 0) return;
  sum.role = "gradients added up";
  sum.pass = KernelPass::weight_gradient;
  sum.shape = MemoryTraffic{MemoryKernel::elementwise, Bytes(elements * bytes / sum.count)};
  list.kernels.push_back(sum);
}

LayerKernels phase_kernels(Phase phase, const TrainingConfig& config, const LayerWork& work) {
  // Shared experts have phases of their own where they run beside the exchange.
  const FfnPart main = config.plan.shared_expert_overlap ? FfnPart::routed : FfnPart::all;
  const bool shared_apart = work.moe && config.plan.shared_expert_overlap;
  const bool again = config.recompute.selective_operations;
  LayerKernels list;
  switch (phase) {
    case Phase::attention_forward:
      add_attention_block(list, work, KernelPass::forward);
      add_residual_dropout(list, config, work, KernelPass::forward);
      add_ffn_input(list, work, KernelPass::forward);
      break;
    case Phase::mlp_forward:
      add_ffn_block(list, work, KernelPass::forward, main);
      add_residual_dropout(list, config, work, KernelPass::forward);
      break;
    case Phase::mlp_backward:
      if (again) add_ffn_again(list, work, main);
      add_residual_dropout(list, config, work, KernelPass::input_gradient);
      add_ffn_block(list, work, KernelPass::input_gradient, main);
      break;
    case Phase::mlp_weight:
      add_ffn_block(list, work, KernelPass::weight_gradient);
      break;
    case Phase::attention_backward:
      if (again) add_attention_again(list, work);
      add_ffn_input(list, work, KernelPass::input_gradient);
      add_attention_block(list, work, KernelPass::input_gradient);
      add_residual_dropout(list, config, work, KernelPass::input_gradient);
      break;
    case Phase::attention_weight:
      add_attention_block(list, work, KernelPass::weight_gradient);
      break;
    case Phase::shared_forward:
      if (shared_apart) add_ffn_block(list, work, KernelPass::forward, FfnPart::shared);
      break;
    case Phase::shared_backward:
      if (shared_apart && again) add_ffn_again(list, work, FfnPart::shared);
      if (shared_apart) add_ffn_block(list, work, KernelPass::input_gradient, FfnPart::shared);
      break;
  }
  add_accumulation(list, config);
  return list;
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

PhaseLoad load_of(const PhaseCost& cost) {
  PhaseLoad load;
  load.time = cost.time;
  for (const PricedKernel& kernel : cost.kernels) {
    load.on_sms += kernel.price.on_sms;
    load.energy += kernel.price.energy;
  }
  return load;
}

PhaseLoad layer_load(const TrainingConfig& config, const LayerShape& layer, KernelMemo& kernels) {
  PhaseLoad load;
  for (int phase = 0; phase < kPhases; ++phase)
    load += load_of(price_phase(static_cast<Phase>(phase), config, layer, kernels, 0));
  return load;
}

PriceSource source_of(const LayerKernel& kernel) {
  if (const auto* attention = std::get_if<AttentionShape>(&kernel.shape))
    return attention->kind == AttentionKind::backward ? PriceSource::attention_backward
                                                      : PriceSource::attention_forward;
  const auto* gemm = std::get_if<GemmShape>(&kernel.shape);
  if (gemm == nullptr) return PriceSource::memory_bound;
  if (kernel.part == LayerPart::routed_experts) return PriceSource::expert_gemm;
  return is_narrow(gemm->precision) ? PriceSource::gemm_fp8 : PriceSource::gemm;
}

PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& layer, const KernelModel& kernels,
                      int sms, double clock) {
  KernelMemo memo(kernels);
  return price_phase(phase, config, layer, memo, sms, clock);
}

namespace {

/// What the host does for a phase beside launches and calls of modules.
Seconds host_of_phase(Phase phase, const TrainingConfig& config, bool moe) {
  Seconds host;
  switch (phase) {
    case Phase::attention_forward:
    case Phase::mlp_forward:
      host = config.software.host_layer / 2;
      break;
    case Phase::attention_backward:
    case Phase::mlp_backward:
      host = config.software.host_layer;
      break;
    default:
      break;
  }
  if (moe && (phase == Phase::mlp_forward || phase == Phase::mlp_backward)) host += config.software.host_experts;
  return host;
}

}  // namespace

PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& layer, KernelMemo& kernels, int sms,
                      double clock) {
  const Seconds host = host_of_phase(phase, config, layer.moe);
  return mean_of_formats(config, [&](const TrainingConfig& of) {
    return Pricer(of, kernels, sms, clock).cost(phase_kernels(phase, of, work_of(of, layer)), host);
  });
}

PhaseCost price_mlp_again(const TrainingConfig& config, const LayerShape& layer, KernelMemo& kernels, int sms,
                          double clock) {
  const Seconds host = host_of_phase(Phase::mlp_forward, config, layer.moe);
  return mean_of_formats(config, [&](const TrainingConfig& of) {
    LayerWork work = work_of(of, layer);
    const bool needed = work.model.norms_behind_ffn() > 0 || of.dropout;
    if (of.software.stops_early && !needed) work.last = LastProduct::left_out;
    return Pricer(of, kernels, sms, clock).cost(phase_kernels(Phase::mlp_forward, of, work), host);
  });
}

PhaseCost price_edge(EdgePhase phase, const TrainingConfig& config, std::int64_t tokens, KernelMemo& kernels, int sms,
                     double clock) {
  struct Kernels {
    Edge edge;
    KernelPass pass;
  };
  static constexpr Kernels kOf[] = {
      {Edge::embedding, KernelPass::forward},
      {Edge::embedding, KernelPass::input_gradient},
      {Edge::head, KernelPass::forward},
      {Edge::head, KernelPass::input_gradient},
      {Edge::head, KernelPass::weight_gradient},
      {Edge::mtp_projection, KernelPass::forward},
      {Edge::mtp_projection, KernelPass::input_gradient},
      {Edge::mtp_projection, KernelPass::weight_gradient},
  };
  const Kernels& of = kOf[static_cast<std::size_t>(phase)];
  LayerKernels list;
  add_edge(list, work_of(config, static_cast<double>(tokens)), of.pass, of.edge);
  add_accumulation(list, config);
  return Pricer(config, kernels, sms, clock).cost(list);
}

PhaseCost price_optimizer(double parameters, const TrainingConfig& config, KernelMemo& kernels) {
  const PrecisionPlan& p = config.precision;
  // Master weights and both moments are read and written, the gradient read, the working copy written.
  double bytes = 2 * bytes_per_element(p.master) + 4 * bytes_per_element(p.moments) + bytes_per_element(p.gradients) +
                 bytes_per_element(p.parameters);
  // Lists of tensors, one kernel after the other. Clipping: gradients read for the norm, then scaled. AdamW: decay of
  // the weights; first moment with the gradient; second moment scaled, then the gradient's square added; its root,
  // scaled, shifted; the update of the weights from both.
  if (config.software.foreach_optimizer)
    bytes = 3 * bytes_per_element(p.gradients) + 2 * bytes_per_element(p.master) +
            (2 * bytes_per_element(p.moments) + bytes_per_element(p.gradients)) + 2 * bytes_per_element(p.moments) +
            (2 * bytes_per_element(p.moments) + bytes_per_element(p.gradients)) + 6 * bytes_per_element(p.moments) +
            (2 * bytes_per_element(p.master) + 2 * bytes_per_element(p.moments));
  LayerKernel adamw;
  adamw.role = "AdamW";
  adamw.part = LayerPart::edge;
  adamw.shape = MemoryTraffic{MemoryKernel::optimizer, Bytes(parameters * bytes)};
  LayerKernels list;
  if (parameters > 0) list.kernels.push_back(adamw);
  return Pricer(config, kernels, 0).cost(list);
}

PhaseCost price_copy(Bytes bytes, const TrainingConfig& config, KernelMemo& kernels) {
  LayerKernel copy;
  copy.role = "copy of shards";
  copy.part = LayerPart::edge;
  copy.shape = MemoryTraffic{MemoryKernel::copy, bytes};
  LayerKernels list;
  if (bytes > Bytes(0)) list.kernels.push_back(copy);
  return Pricer(config, kernels, 0).cost(list);
}

}  // namespace flopcast
