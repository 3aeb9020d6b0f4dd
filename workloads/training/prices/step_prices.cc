#include "workloads/training/prices/step_prices.h"

#include <algorithm>

#include "workloads/training/memory/memory_terms.h"

namespace flopcast {

namespace {

int index(SmShare share) { return share == SmShare::all ? 0 : 1; }

std::int64_t tokens_of_group(const TrainingConfig& config) {
  return config.batch.sequence_length * config.batch.micro_batch_sequences / config.plan.context;
}

/// The clock, over the model's own, at which a step's kernels in turn meet the board's limit: memory-bound ones and the
/// optimiser leave room that matrix products take. Of a mean GPU; what it waits for is left out.
/// None: a model that knows its clock.
std::optional<ClockPoint> settled_clock(const TrainingConfig& config, KernelMemo& kernels, LayerShape shape) {
  constexpr PowerLoad kBeyondAnyBoard{Seconds(1), 1, Joules(1e9)};
  if (kernels.kernels().settled(kBeyondAnyBoard).clock == 1) return std::nullopt;
  const MoeConfig& moe = config.model.moe;
  const double with_experts = config.model.moe_layers();
  PhaseLoad pass;  // of a micro-batch, through all stages
  shape.moe = false;
  if (with_experts < config.model.layers)
    pass += layer_load(config, shape, kernels) * (config.model.layers - with_experts);
  if (with_experts > 0) {
    shape.moe = true;
    shape.local_experts = local_experts(config);
    shape.expert_rows =
        static_cast<double>(shape.tokens) * config.plan.expert_tensor * moe.experts_per_token / config.plan.tensor;
    pass += layer_load(config, shape, kernels) * with_experts;
  }
  for (int edge = static_cast<int>(EdgePhase::embedding_forward); edge <= static_cast<int>(EdgePhase::head_weight);
       ++edge)
    pass += load_of(price_edge(static_cast<EdgePhase>(edge), config, shape.tokens, kernels, 0));
  // States are taken to be sharded over all copies, so that the clock hangs on the product of copies and stages alone.
  const double copies = static_cast<double>(config.plan.data) * config.plan.pipeline;
  PhaseLoad step = pass * (static_cast<double>(config.batch.sequences) /
                           (copies * static_cast<double>(config.batch.micro_batch_sequences)));
  const double updated = count_parameters(config.model).total / (config.plan.tensor * copies);
  step += load_of(price_optimizer(updated, config, kernels));
  if (step.time <= Seconds(0)) return std::nullopt;
  return kernels.kernels().settled({step.time, step.on_sms / step.time, step.energy});
}

}  // namespace

StepPrices::StepPrices(const TrainingConfig& config, const KernelModel& kernels, const ExchangeTimes& exchanges,
                       std::span<const double> rank_loads)
    : StepPrices(config, std::make_unique<KernelMemo>(kernels), exchanges, rank_loads) {}

StepPrices::StepPrices(const TrainingConfig& config, std::unique_ptr<KernelMemo> kernels,
                       const ExchangeTimes& exchanges, std::span<const double> rank_loads)
    : StepPrices(config, *kernels, exchanges, rank_loads) {
  own_kernels_ = std::move(kernels);
}

StepPrices::StepPrices(const TrainingConfig& config, KernelMemo& kernels, const ExchangeTimes& exchanges,
                       std::span<const double> rank_loads)
    : config_(config),
      kernels_(kernels),
      exchanges_(exchanges),
      tokens_(tokens_of_group(config)),
      stretch_(spread_factor(config)),
      hottest_(static_cast<std::size_t>(std::max_element(rank_loads.begin(), rank_loads.end()) - rank_loads.begin())),
      loads_(rank_loads.begin(), rank_loads.end()) {
  const bool shares_sms = config.mechanisms.communication_sms && config.mechanisms.expert_communication &&
                          config.model.moe.experts > 0 && config.plan.expert > 1 &&
                          sends_tokens_once(config.plan.dispatcher);
  const int sms = kernels.kernels().gpu().sms;
  sms_ = {sms, sms - (shares_sms ? config.communication_sms : 0)};
  LayerShape shape;
  shape.tokens = tokens_;
  shape.sequence_length = config.batch.sequence_length;
  settled_ = settled_clock(config, kernels, shape);
  clock_ = settled_ ? settled_->clock : 1;
  moe_.resize(loads_.size());
}

/// Of searches over plans most want few of the prices.
const StepPrices::LayerPrices& StepPrices::with_share(LayerPrices& layer, SmShare share) const {
  const auto s = static_cast<std::size_t>(index(share));
  if (!layer.priced[s]) price_layer(layer, s);
  return layer;
}

void StepPrices::price_layer(LayerPrices& layer, std::size_t share) const {
  const bool moe = layer.moe;
  const double load = layer.load;
  layer.priced[share] = true;
  if (moe && config_.model.moe.experts == 0) return;
  LayerShape shape;
  shape.tokens = tokens_;
  shape.sequence_length = config_.batch.sequence_length;
  shape.moe = moe;
  if (moe) {
    shape.local_experts = local_experts(config_);
    // Each of the GPUs of a tensor-parallel group, whether or not it holds all of their tokens, brings its part of them
    // to those that share an expert.
    const auto part = std::max<std::int64_t>(1, tokens_ / config_.plan.tensor);
    shape.expert_rows =
        static_cast<double>(part) * config_.plan.expert_tensor * config_.model.moe.experts_per_token * load;
  }
  // Dispatch and combine of a direction, while which the host gets ahead; beside compute they add nothing.
  Seconds exchanged;
  const SoftwareProfile& software = config_.software;
  if (moe && (software.host_module > Seconds(0) || software.host_experts > Seconds(0)))
    exchanged = 2 * exchanges_.expert_exchange(sent_tokens(config_));
  Seconds copied;
  if (config_.offload.activations > 0)
    copied = kept_in_mean_layer(config_, moe, load, MemoryTerms::ranks_of_a_token(config_)) /
             exchanges_.node().host_copy_rate();
  const std::size_t other = 1 - share;
  if (layer.priced[other] && sms_[0] == sms_[1] && exchanged == Seconds(0)) {
    layer.of[share] = layer.of[other];
    layer.again[share] = layer.again[other];
    return;
  }
  if (share != 0) exchanged = Seconds(0);
  layer.of[share] = price_phases(shape, sms_[share], exchanged, copied);
  // Combine is one of what a layer done again leaves out.
  if (leaves_out())
    layer.again[share] =
        price_phases(shape, sms_[share], exchanged / 2, Seconds(0), true)[static_cast<std::size_t>(Phase::mlp_forward)];
}

StepPrices::LayerPrices& StepPrices::moe(std::size_t expert_rank) const {
  LayerPrices*& priced = moe_[expert_rank];
  if (priced == nullptr) {
    const auto twin =
        static_cast<std::size_t>(std::find(loads_.begin(), loads_.end(), loads_[expert_rank]) - loads_.begin());
    if (moe_[twin] == nullptr) moe_[twin] = &moe_priced_.emplace_back(LayerPrices{.moe = true, .load = loads_[twin]});
    priced = moe_[twin];
  }
  return *priced;
}

/// All phases of a layer. Where the host takes longer to start those of a direction than the GPU to run them, the GPU
/// waits: as long in all as the host is behind, wherever in the layer that is.
StepPrices::Layer StepPrices::price_phases(const LayerShape& shape, int sms, Seconds exchanged, Seconds copied,
                                           bool again) const {
  Layer layer;
  std::array<Seconds, kPhases> host;
  for (std::size_t p = 0; p < kPhases; ++p) {
    const auto phase = static_cast<Phase>(p);
    const PhaseCost cost = again && phase == Phase::mlp_forward
                               ? price_mlp_again(config_, shape, kernels_, sms, clock_)
                               : price_phase(phase, config_, shape, kernels_, sms, clock_);
    layer[p] = price(cost);
    host[p] = cost.host;
  }
  const auto forward = [](std::size_t p) {
    const auto phase = static_cast<Phase>(p);
    return phase == Phase::attention_forward || phase == Phase::mlp_forward || phase == Phase::shared_forward;
  };
  for (const bool direction : {true, false}) {
    Seconds of_gpu = exchanged, of_nominal_gpu = exchanged, of_kernels, of_host;
    for (std::size_t p = 0; p < kPhases; ++p) {
      if (forward(p) != direction) continue;
      of_kernels += layer[p].time;
      of_gpu += layer[p].time + layer[p].exchange;
      of_nominal_gpu += layer[p].nominal + layer[p].exchange;
      of_host += host[p];
    }
    wait_for_copies(layer, direction ? Phase::mlp_forward : Phase::attention_backward, copied,
                    std::max(of_nominal_gpu, of_host));
    // Without communication the GPU would wait for its host as long as the host is behind the kernels.
    const Seconds behind = std::max(of_host - of_kernels, Seconds(0));
    const Seconds waits = std::max(of_host - of_gpu, Seconds(0));
    for (std::size_t p = 0; p < kPhases; ++p)
      if (forward(p) == direction && behind > Seconds(0)) layer[p].host_beside = (behind - waits) * (host[p] / of_host);
    if (of_host <= of_nominal_gpu) continue;
    for (std::size_t p = 0; p < kPhases; ++p) {
      if (forward(p) != direction) continue;
      const double part = host[p] / of_host;
      layer[p].nominal += (of_host - of_nominal_gpu) * part;
      const Seconds wait = waits * part;
      layer[p].time += wait;
      layer[p].host += wait;
      layer[p].by_source[static_cast<std::size_t>(PriceSource::launches)] += wait;
    }
  }
  return layer;
}

/// Activations on their way to the host's memory, or back: what takes longer than the layer, the GPU waits for.
void StepPrices::wait_for_copies(Layer& layer, Phase at, Seconds copy, Seconds beside) const {
  const OffloadPlan& offload = config_.offload;
  if (offload.activations <= 0) return;
  const Seconds wait = offload.activations * (offload.overlap ? std::max(copy - beside, Seconds(0)) : copy);
  Price& price = layer[static_cast<std::size_t>(at)];
  price.time += wait;
  price.nominal += wait;
  price.by_source[static_cast<std::size_t>(PriceSource::memory_bound)] += wait;
}

/// Of embedding, head and MTP, each with its host: what that takes longer, the GPU waits for.
Price StepPrices::edge_price(EdgePhase phase, int sms) const {
  const PhaseCost cost = price_edge(phase, config_, tokens_, kernels_, sms, clock_);
  Price result = price(cost);
  const Seconds behind = std::max(cost.host - result.time, Seconds(0));
  const Seconds wait = std::max(cost.host - result.time - result.exchange, Seconds(0));
  result.nominal += std::max(cost.host - result.nominal - result.exchange, Seconds(0));
  result.time += wait;
  result.host = wait;
  result.host_beside = behind - wait;
  result.by_source[static_cast<std::size_t>(PriceSource::launches)] += wait;
  return result;
}

Price StepPrices::price(const PhaseCost& cost) const {
  Price result;
  result.time = cost.time * stretch_;
  result.nominal = cost.time;
  result.exchanges = cost.exchanges;
  result.exchange = exchange(result, {});
  for (const PricedKernel& kernel : cost.kernels) {
    result.by_evidence[static_cast<std::size_t>(kernel.price.evidence)] += kernel.price.time * stretch_;
    result.by_source[static_cast<std::size_t>(source_of(kernel.kernel))] += kernel.price.time * stretch_;
  }
  result.by_source[static_cast<std::size_t>(PriceSource::launches)] = (cost.time - cost.kernel_sum) * stretch_;
  return result;
}

Seconds StepPrices::exchange(const Price& price, const ExchangeTimes::GroupSpeeds& speeds) const {
  Seconds sum;
  for (const PhaseExchange& exchange : price.exchanges) sum += exchanges_.split(exchange, speeds).exposed;
  return sum;
}

std::int64_t StepPrices::own_tokens(const TrainingConfig& config) {
  const std::int64_t tokens = tokens_of_group(config);
  return config.plan.sequence_parallel ? std::max<std::int64_t>(1, tokens / config.plan.tensor) : tokens;
}

std::int64_t StepPrices::sent_tokens(const TrainingConfig& config) {
  return std::max<std::int64_t>(1, tokens_of_group(config) / config.plan.tensor * config.plan.senders());
}

const Price& StepPrices::phase(Phase phase, bool moe, int expert_rank, SmShare share) const {
  const LayerPrices& table = with_share(moe ? this->moe(static_cast<std::size_t>(expert_rank)) : dense_, share);
  return table.of[index(share)][static_cast<std::size_t>(phase)];
}

const Price& StepPrices::mlp_again(bool moe, int expert_rank, SmShare share) const {
  if (!leaves_out()) return phase(Phase::mlp_forward, moe, expert_rank, share);
  const LayerPrices& table = with_share(moe ? this->moe(static_cast<std::size_t>(expert_rank)) : dense_, share);
  return table.again[index(share)];
}

const Price& StepPrices::edge(EdgePhase phase, SmShare share) const {
  std::optional<Price>& price = edges_[index(share)][static_cast<std::size_t>(phase)];
  if (!price) price = edge_price(phase, sms_[index(share)]);
  return *price;
}

/// What the CPUs update: gradients to them, AdamW at the rate of their memory, parameters back; overlapped, the slowest
/// of the three decides, beside what the GPU updates itself. Offloaded shards come and go with their exchange.
Price StepPrices::optimizer(double parameters) const {
  const OffloadPlan& offload = config_.offload;
  const double on_host = parameters * offload.optimizer_share();
  Price result = price(price_optimizer(parameters - on_host, config_, kernels_));
  if (on_host <= 0) return result;
  const PrecisionPlan& p = config_.precision;
  const NodeSpec& node = exchanges_.node();
  const double gradient = bytes_per_element(p.gradients), working = bytes_per_element(p.parameters);
  const double touched = gradient + 2 * bytes_per_element(p.master) + 4 * bytes_per_element(p.moments) + working;
  const Seconds update = Bytes(on_host * touched) / node.host_memory_per_gpu();
  const double moved = offload.parameters ? 0 : on_host;
  const Seconds down = Bytes(moved * gradient) / node.host_copy_rate(),
                up = Bytes(moved * working) / node.host_copy_rate();
  const Seconds beside =
      offload.overlap ? std::max({result.nominal, down, update, up}) : result.nominal + down + update + up;
  const Seconds wait = beside - result.nominal;
  result.time += wait;
  result.nominal += wait;
  result.by_source[static_cast<std::size_t>(PriceSource::memory_bound)] += wait;
  return result;
}

StepPrices::Message StepPrices::message() const {
  const Bytes whole(static_cast<double>(own_tokens()) * config_.model.hidden * bytes_per_element(Precision::bf16));
  const ParallelPlan& plan = config_.plan;
  if (!config_.software.scatters_messages || plan.sequence_parallel || plan.tensor < 2) return {whole, Seconds(0)};
  return {whole / plan.tensor, exchanges_.time({LayerExchange::Kind::tensor_gather, whole})};
}

Price StepPrices::copy(Bytes bytes) const { return price(price_copy(bytes, config_, kernels_)); }

// Layers are dealt out before anyone knows which GPU is slow: at nominal speed, as the closed form of plans does.
LayerCosts StepPrices::layer_costs() const {
  const auto sum = [&](LayerPrices& layer) {
    const LayerPrices& table = with_share(layer, SmShare::beside_communication);
    Seconds total;
    for (const Price& price : table.of[1]) total += price.nominal + price.exchange;
    return total.value();
  };
  const auto edge_sum = [&](std::initializer_list<EdgePhase> phases) {
    Seconds total;
    for (EdgePhase e : phases) {
      const Price& price = edge(e, SmShare::beside_communication);
      total += price.nominal + price.exchange;
    }
    return total.value();
  };
  LayerCosts costs;
  costs.dense = sum(dense_);
  costs.moe = config_.model.moe.experts > 0 ? sum(moe(hottest_)) : costs.dense;
  if (!config_.mechanisms.embedding_head_mtp) return costs;
  costs.embedding = edge_sum({EdgePhase::embedding_forward, EdgePhase::embedding_backward});
  costs.head = edge_sum({EdgePhase::head_forward, EdgePhase::head_backward, EdgePhase::head_weight});
  if (config_.with_mtp && config_.model.mtp_depth > 0) {
    const bool moe = config_.model.mtp_has_experts();
    costs.mtp =
        config_.model.mtp_depth * (costs.head + (moe ? costs.moe : costs.dense) +
                                   edge_sum({EdgePhase::mtp_projection_forward, EdgePhase::mtp_projection_backward,
                                             EdgePhase::mtp_projection_weight}));
  }
  return costs;
}

}  // namespace flopcast
