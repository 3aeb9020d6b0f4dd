#include "workloads/training/estimate/step_bound.h"

#include <algorithm>
#include <initializer_list>

#include "workloads/training/estimate/estimator_parts.h"

namespace flopcast {

/// Sums of prices of one kind of layer, on one share of the SMs.
class FloorPrices {
 public:
  FloorPrices(const TrainingConfig& config, const StepPrices& prices, double stretch)
      : prices_(prices), exchanges_(config.mechanisms.tensor_context_communication), stretch_(stretch) {}

  Seconds phases(bool moe, SmShare share, std::initializer_list<Phase> list) const {
    Seconds sum;
    for (const Phase phase : list) sum += of(prices_.phase(phase, moe, 0, share));
    return sum;
  }
  Seconds edge(EdgePhase phase) const { return of(prices_.edge(phase, SmShare::all)); }
  Seconds of(const Price& price) const { return price.time * stretch_ + (exchanges_ ? price.exchange : Seconds()); }

 private:
  const StepPrices& prices_;
  bool exchanges_;
  double stretch_;
};

namespace {

constexpr std::initializer_list<Phase> kAllPhases = {
    Phase::attention_forward,  Phase::mlp_forward,      Phase::mlp_backward,   Phase::mlp_weight,
    Phase::attention_backward, Phase::attention_weight, Phase::shared_forward, Phase::shared_backward};

WorkFloor floor_of_layer(bool moe, const FloorPrices& prices) {
  WorkFloor floor;
  floor.lane = prices.phases(moe, SmShare::all, kAllPhases);
  floor.weights = prices.phases(moe, SmShare::all, {Phase::mlp_weight, Phase::attention_weight});
  floor.forward = prices.phases(moe, SmShare::all, {Phase::attention_forward, Phase::mlp_forward});
  floor.backward = prices.phases(moe, SmShare::all, {Phase::mlp_backward, Phase::attention_backward});
  return floor;
}

/// Only what it adds to the lane and to the way back: a forward without anything beside it.
WorkFloor floor_of_layer_again(bool moe, const FloorPrices& prices, const StepPrices& of, Seconds tokens_alone) {
  WorkFloor floor;
  floor.lane =
      prices.phases(moe, SmShare::all, {Phase::attention_forward}) + prices.of(of.mlp_again(moe, 0, SmShare::all));
  if (!moe) return floor;
  const Seconds shared = prices.phases(true, SmShare::all, {Phase::shared_forward});
  // The combine of the last layer holds up nobody.
  floor.lane += shared + std::max(Seconds(), tokens_alone / 4 - shared);
  return floor;
}

}  // namespace

WorkFloor& WorkFloor::operator+=(const WorkFloor& other) {
  lane += other.lane;
  weights += other.weights;
  forward += other.forward;
  backward += other.backward;
  return *this;
}

WorkFloor operator*(double times, const WorkFloor& floor) {
  return {times * floor.lane, times * floor.weights, times * floor.forward, times * floor.backward};
}

WorkFloors::WorkFloors(const TrainingConfig& config, const PassPrices& of, bool pairs, double stretch) {
  const StepPrices& table = of.prices();
  const FloorPrices prices(config, table, stretch);
  const bool experts = config.model.moe.experts > 0;
  dense = floor_of_layer(false, prices);
  if (experts) {
    moe = floor_of_layer(true, prices);
    moe.forward += of.tokens_alone() / 2;
    moe.backward += of.tokens_alone() / 2;
    tokens = Tokens(prices, of.tokens_alone(), pairs);
  }
  if (config.recompute.full_layer) {
    dense_again = floor_of_layer_again(false, prices, table, Seconds());
    if (experts) moe_again = floor_of_layer_again(true, prices, table, of.tokens_alone());
    most_again = config.recompute.full_layers;
  }
  if (!config.mechanisms.embedding_head_mtp) return;
  const auto edges = [&](EdgePhase forward, EdgePhase backward) {
    WorkFloor floor;
    floor.forward = prices.edge(forward);
    floor.backward = prices.edge(backward);
    floor.lane = floor.forward + floor.backward;
    return floor;
  };
  const auto with_weights = [&](WorkFloor floor, EdgePhase weights) {
    floor.weights = prices.edge(weights);
    floor.lane += floor.weights;
    return floor;
  };
  embedding = edges(EdgePhase::embedding_forward, EdgePhase::embedding_backward);
  head = with_weights(edges(EdgePhase::head_forward, EdgePhase::head_backward), EdgePhase::head_weight);
  mtp = with_weights(edges(EdgePhase::mtp_projection_forward, EdgePhase::mtp_projection_backward),
                     EdgePhase::mtp_projection_weight);
  mtp += head;
  mtp += config.model.mtp_has_experts() ? moe : dense;
}

/// Tokens of a forward are hidden by its shared experts, those of a backward by its weight gradients too; beside
/// another micro-batch they hide altogether, and compute has fewer SMs.
WorkFloors::Tokens::Tokens(const FloorPrices& prices, Seconds tokens_alone, bool may_pair)
    : pairs(may_pair), last_combine(tokens_alone / 4) {
  const auto forward = {Phase::attention_forward, Phase::mlp_forward, Phase::shared_forward};
  const auto backward = {Phase::mlp_backward, Phase::mlp_weight, Phase::attention_backward, Phase::attention_weight,
                         Phase::shared_backward};
  const auto slower = [&](std::initializer_list<Phase> phases) {
    return std::max(Seconds(), prices.phases(true, SmShare::beside_communication, phases) -
                                   prices.phases(true, SmShare::all, phases));
  };
  const Seconds way = tokens_alone / 2;
  forward_seen = std::max(Seconds(), way - prices.phases(true, SmShare::all, {Phase::shared_forward}));
  backward_seen = std::max(
      Seconds(),
      way - prices.phases(true, SmShare::all, {Phase::mlp_weight, Phase::attention_weight, Phase::shared_backward}));
  forward_slower = slower(forward);
  backward_slower = slower(backward);
}

Seconds WorkFloors::Tokens::of(double layers) const {
  const Seconds forward = std::max(Seconds(), layers * forward_seen - last_combine);
  const Seconds backward = layers * backward_seen;
  if (!pairs) return forward + backward;
  return std::min(forward, layers * forward_slower) + std::min(backward, layers * backward_slower);
}

WorkFloor WorkFloors::of(const StageContent& stage) const {
  WorkFloor sum = stage.dense_layers * dense;
  sum += stage.moe_layers * moe;
  sum.lane += tokens.of(stage.moe_layers);
  if (stage.embedding) sum += embedding;
  if (stage.head) sum += head;
  if (stage.mtp_modules > 0) sum += stage.mtp_modules * mtp;
  const bool limited = most_again > 0 && most_again < stage.layers();
  const double dense_layers = limited ? std::min<double>(most_again, stage.dense_layers) : stage.dense_layers;
  const double moe_layers = limited ? most_again - dense_layers : stage.moe_layers;
  sum += dense_layers * dense_again;
  sum += moe_layers * moe_again;
  return sum;
}

Seconds passes_bound(std::span<const std::vector<int>> stage_of, std::span<const WorkFloor> floors, int micro_batches,
                     bool weights_later) {
  std::vector<Seconds> down(floors.size()), back(floors.size());  // [stage]: through all stages before it
  for (std::size_t stage = 1; stage < floors.size(); ++stage) {
    down[stage] = down[stage - 1] + floors[stage - 1].forward;
    back[stage] = back[stage - 1] + floors[stage - 1].backward;
  }
  std::vector<int> holders(floors.size());
  for (const std::vector<int>& stages : stage_of)
    for (const int stage : stages) ++holders[static_cast<std::size_t>(stage)];
  Seconds longest;
  for (const std::vector<int>& stages : stage_of) {
    WorkFloor work;
    Seconds last_weights;
    std::size_t first = floors.size() - 1;
    for (const int held : stages) {
      const auto stage = static_cast<std::size_t>(held);
      work += (micro_batches / holders[stage]) * floors[stage];
      last_weights = std::max(last_weights, floors[stage].weights);
      first = std::min(first, stage);
    }
    const Seconds after = weights_later ? work.weights : last_weights;
    longest = std::max(longest, down[first] + work.lane + std::max(Seconds(), back[first] - after));
  }
  return longest;
}

// ------------------------------------------------------------------------------------------------ of plans

Seconds StepEstimator::lower_bound(const PlanChoice& choice, bool pairs) {
  const PassPrices& of = prices(choice);
  const FloorPrices prices(base_, of.prices(), 1);
  const auto layer = [&](bool moe) {
    const Seconds alone = prices.phases(moe, SmShare::all, kAllPhases);
    if (!moe) return alone;
    // Tokens travel beside another micro-batch, which then has fewer SMs, or nothing but weight gradients and shared
    // experts hides them.
    const Seconds hides =
        prices.phases(true, SmShare::all,
                      {Phase::mlp_weight, Phase::attention_weight, Phase::shared_forward, Phase::shared_backward});
    const Seconds exposed = alone + std::max(Seconds(), of.tokens_alone() - hides);
    return pairs ? std::min(prices.phases(true, SmShare::beside_communication, kAllPhases), exposed) : exposed;
  };
  const int moe_layers = base_.model.moe_layers();
  const int others = base_.model.layers - moe_layers;
  const Seconds dense_layer = layer(false), moe_layer = moe_layers > 0 ? layer(true) : dense_layer;
  Seconds model = others * dense_layer + moe_layers * moe_layer;
  if (base_.mechanisms.embedding_head_mtp) {
    for (const EdgePhase edge : {EdgePhase::head_forward, EdgePhase::head_backward, EdgePhase::head_weight})
      model += of.prices().edge(edge, SmShare::all).time;
  }
  const ScheduleRequest asked = request_of(base_, choice);
  Seconds of_rank = model / asked.ranks;
  // Layers are whole: some rank has at least so many.
  if (choice.split != PlanChoice::Split::fractional) {
    const int most = (base_.model.layers + asked.ranks - 1) / asked.ranks;
    const int dense = std::min(most, others);  // any of them may be dense
    of_rank = std::max(of_rank, dense * std::min(dense_layer, moe_layer) + (most - dense) * moe_layer);
  }
  return asked.micro_batches * of_rank;
}

/// Of the split that was settled for.
Seconds StepEstimator::bound_of_layout(Degrees& degrees, const PlanChoice& choice, const Layout& layout,
                                       const SchedulePattern& pattern) {
  std::optional<WorkFloors>& floors = pattern.overlaps ? degrees.floors_together : degrees.floors_apart;
  if (!floors) floors.emplace(degrees.config, degrees.prices, pattern.overlaps, degrees.profiles.stretch());
  std::vector<WorkFloor> of_content, of_stage;
  for (const StageContent& content : layout.contents) of_content.push_back(floors->of(content));
  for (const std::uint16_t content : layout.content_of) of_stage.push_back(of_content[content]);
  return passes_bound(pattern.stage_of, of_stage, request_of(base_, choice).micro_batches, pattern.weights_later);
}

}  // namespace flopcast
