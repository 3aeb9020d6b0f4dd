// Memory of a plan: of the split that it states, of one that fits, and the least of any.
#include <algorithm>
#include <limits>

#include "workloads/training/estimate/estimator_parts.h"

namespace flopcast {

namespace {

/// A split that needs more than this of the memory is not mended: to move so many layers costs more time than to
/// compute some again.
constexpr double kMostOverfull = 1.2;

/// What a rank needs that holds one stage (a twin of it too where stages are held twice) and so many activations of it.
Bytes memory_of_stage(const MemoryTerms& terms, const StageContent& stage, bool two_copies, int held) {
  MemoryTerms::Held of;
  terms.add(of, stage);
  return terms.figures(of, two_copies ? 2 : 1, held * terms.activation(stage)).total();
}

}  // namespace

const MemoryTerms::Shared& StepEstimator::shared_memory(const TrainingConfig& config) {
  const auto [known, fresh] = shared_memory_.try_emplace({config.plan.expert, config.plan.dispatcher});
  if (fresh) known->second = {count_parameters(config.model), MemoryTerms::ranks_of_a_token(config)};
  return known->second;
}

const StepEstimator::ModelMemory& StepEstimator::model_memory(const PlanChoice& choice) {
  const bool twice = choice.two_copies();
  PlanChoice key = choice;
  key.chunks = 1;
  key.schedule = twice ? 1 : 0;
  key.split = PlanChoice::Split::balanced;
  const auto [known, fresh] = model_memory_.try_emplace(key);
  if (!fresh) return known->second;
  set_choice(changed_, base_, choice, precisions_);
  // Of layers of which some are computed again, those add least: all are taken for such.
  changed_.recompute.full_layers = 0;
  const MemoryTerms terms(changed_, 1, shared_memory(changed_));
  const auto memory = [&](const StageContent& stage, int held) { return memory_of_stage(terms, stage, twice, held); };
  ModelMemory& of = known->second;
  of.base = memory(StageContent{}, 1);
  // Of layers that are gathered (ZeRO-3) or come from the host one or two are there at a time, however many there are:
  // what one more than all of the model's would add, each adds at least.
  const auto layer = [&](double StageContent::*kind) {
    StageContent all, more;
    all.*kind = std::max(8, base_.model.layers);
    more.*kind = all.*kind + 1;
    const Bytes activation = (memory(more, 2) - memory(more, 1)) - (memory(all, 2) - memory(all, 1));
    return LayerMemory{std::max(Bytes(), memory(more, 1) - memory(all, 1) - activation), activation};
  };
  of.dense = layer(&StageContent::dense_layers);
  of.moe = layer(&StageContent::moe_layers);
  return of;
}

/// Weights that add up to 1 over the ranks make a mean of their memories, which the fullest exceeds; each layer adds to
/// that mean at least what it adds where it adds least. Weights that make all places equal for the commoner kind of
/// layer give the sharpest such bound.
Bytes StepEstimator::least_memory(const PlanChoice& choice) {
  const PatternPair& pair = patterns_.get(choice.schedule, request_of(base_, choice));
  if (!pair.pattern || (choice.zero_stage >= 2 && pair.pattern->two_copies))
    return Bytes(std::numeric_limits<double>::infinity());
  const ModelMemory& of = model_memory(choice);
  const int moe_layers = base_.model.moe_layers();
  const int dense_layers = base_.model.layers - moe_layers;
  const std::vector<int>& least_held = pair.pattern->least_held;
  const auto at = [&](const LayerMemory& layer, std::size_t rank) {
    return layer.always + least_held[rank] * layer.activation;
  };
  const LayerMemory& common = moe_layers > dense_layers ? of.moe : of.dense;
  double weights = 0;
  for (std::size_t rank = 0; rank < least_held.size(); ++rank) weights += 1 / std::max(1.0, at(common, rank).value());
  const auto least = [&](const LayerMemory& layer) {
    double least_added = std::numeric_limits<double>::infinity();
    for (std::size_t rank = 0; rank < least_held.size(); ++rank)
      least_added = std::min(least_added, at(layer, rank).value() / std::max(1.0, at(common, rank).value()));
    return Bytes(least_added / weights);
  };
  Bytes total = of.base;
  if (moe_layers > 0) total += moe_layers * least(of.moe);
  if (dense_layers > 0) total += dense_layers * least(of.dense);
  return total;
}

std::uint16_t StepEstimator::Degrees::known_content(const StageContent& stage) {
  std::size_t at = 0;
  while (at < contents.size() && !PassProfiles::same_content(contents[at].holds, stage)) ++at;
  if (at == contents.size()) contents.push_back({stage, activation(stage)});
  return static_cast<std::uint16_t>(at);
}

/// Of one micro-batch in a stage.
Bytes StepEstimator::Degrees::activation(const StageContent& stage) const {
  return memory_of_stage(memory, stage, false, 2) - memory_of_stage(memory, stage, false, 1);
}

std::uint16_t StepEstimator::Degrees::rank_kind(std::span<const std::uint16_t> holds, bool two_copies) {
  const auto found = std::find_if(rank_kinds.begin(), rank_kinds.end(), [&](const RankKind& kind) {
    return kind.twice == two_copies &&
           std::equal(kind.contents.begin(), kind.contents.end(), holds.begin(), holds.end());
  });
  const auto at = static_cast<std::uint16_t>(found - rank_kinds.begin());
  if (found == rank_kinds.end())
    rank_kinds.push_back({{holds.begin(), holds.end()}, two_copies, rank_memory(holds, two_copies)});
  return at;
}

/// Of a rank that holds such stages: what is always there follows from all that it holds together, what an activation
/// takes from its own stage.
RankMemory StepEstimator::Degrees::rank_memory(std::span<const std::uint16_t> holds, bool two_copies) {
  StageContent all;
  RankMemory out;
  for (const std::uint16_t content : holds) {
    const StageContent& stage = contents[content].holds;
    all.dense_layers += stage.dense_layers;
    all.moe_layers += stage.moe_layers;
    all.embedding |= stage.embedding;
    all.head |= stage.head;
    all.mtp_modules += stage.mtp_modules;
    out.held.push_back(contents[content].activation);
  }
  // Where each stage computes some layers again, what is on its way from the host hangs on how they share them.
  if (config.offload.activations > 0 && config.recompute.full_layers > 0) {
    MemoryTerms::Held held;
    for (const std::uint16_t content : holds) memory.add(held, contents[content].holds);
    out.always = memory.figures(held, two_copies ? 2 : 1, Bytes()).total();
    return out;
  }
  const auto [known, fresh] = always.try_emplace({PassProfiles::key(all), two_copies});
  if (fresh) known->second = memory_of_stage(memory, all, two_copies, 1) - activation(all);
  out.always = known->second;
  return out;
}

Bytes StepEstimator::Degrees::memory_of(const Layout& layout, const PatternPair& pair, std::size_t rank) const {
  const RankMemory& own = rank_kinds[layout.memory_of[rank]].memory;
  Bytes most;
  for (const std::vector<int>& held : pair.pattern->held[rank]) {
    Bytes sum;
    for (std::size_t chunk = 0; chunk < held.size(); ++chunk) sum += held[chunk] * own.held[chunk];
    most = std::max(most, sum);
  }
  // Where a longer schedule holds more (GPipe), it holds more by as much for each repetition.
  if (pair.shorter && pair.pattern->held[rank].size() == 1 && pair.shorter->held[rank].size() == 1) {
    const std::vector<int>&more = pair.pattern->held[rank].front(), &less = pair.shorter->held[rank].front();
    for (std::size_t chunk = 0; chunk < more.size(); ++chunk) {
      most += pair.repeats * (more[chunk] - less[chunk]) * own.held[chunk];
    }
  }
  return own.always + most;
}

/// Of the fullest GPU, of the split that the builder of the step would settle for.
Bytes StepEstimator::fullest(Degrees& degrees, const PlanChoice& choice, Layout& layout, const PatternPair& pair) {
  const Bytes capacity = topology_.cluster().node.gpu.hbm_usable();
  const std::size_t ranks = static_cast<std::size_t>(pair.pattern->ranks);
  Bytes most, sum;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const Bytes memory = degrees.memory_of(layout, pair, rank);
    most = std::max(most, memory);
    sum += memory;
  }
  if (most <= capacity || choice.split != PlanChoice::Split::balanced) return most;
  // Layers that move take their memory with them: what is too much for all ranks together fits nowhere.
  if (sum > static_cast<double>(ranks) * capacity || most > kMostOverfull * capacity) return most;

  set_choice(degrees.config, base_, choice, precisions_);
  Layout tried;
  const MemoryOfSplit memory = [&](const std::vector<StageContent>& stages) {
    set_stages(degrees, tried, stages, *pair.pattern);
    std::vector<Bytes> of_rank;
    for (std::size_t rank = 0; rank < ranks; ++rank) of_rank.push_back(degrees.memory_of(tried, pair, rank));
    return of_rank;
  };
  FittedSplit fitted = split_within_memory(degrees.config, pair.pattern->stage_of, pair.pattern->groups, degrees.costs,
                                           capacity, memory);
  const std::vector<Bytes> of_rank = memory(fitted.stages);
  layout = std::move(tried);
  return *std::max_element(of_rank.begin(), of_rank.end());
}

StepEstimate StepEstimator::memory_alone(const PlanChoice& choice) {
  StepEstimate result;
  const PatternPair& pair = patterns_.get(choice.schedule, request_of(base_, choice));
  if (!pair.pattern || (choice.zero_stage >= 2 && pair.pattern->two_copies)) return result;
  result.possible = true;
  Degrees& degrees = this->degrees(choice);
  result.memory = fullest(degrees, choice, layout(degrees, choice, *pair.pattern), pair);
  result.fits = result.memory <= topology_.cluster().node.gpu.hbm_usable();
  return result;
}

}  // namespace flopcast
