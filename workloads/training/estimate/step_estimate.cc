#include "workloads/training/estimate/step_estimate.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "workloads/training/end_of_step.h"

namespace flopcast {

namespace {

constexpr int kKinds = 5;  // of passes

/// A split that needs more than this of the memory is not mended: to move so many layers costs more time than to
/// compute some again.
constexpr double kMostOverfull = 1.2;

/// The configuration is copied for every set of degrees: where its figures come from stays behind.
TrainingConfig without_sources(TrainingConfig config) {
  config.model.sources.clear();
  config.software.sources.clear();
  return config;
}

}  // namespace

// ------------------------------------------------------------------------------------------------ what is kept

struct StepEstimator::Layout {
  std::vector<StageContent> stages;
  std::vector<StageContent> contents;     // those that differ
  std::vector<std::uint16_t> content_of;  // [stage]
  std::vector<int> memory_of;             // [rank] into Degrees::memories
  std::vector<PassProfile> profiles;
  std::vector<std::int16_t> profile_at;  // [kind][at][content][content]; -1: not asked for yet
  std::vector<std::uint16_t> profile_of_form;
  std::optional<Seconds> end;  // of the step: what follows the passes
  Seconds update;              // of it: optimiser and host

  std::size_t slot(PassKind kind, PassProfiles::At at, std::size_t forward, std::size_t backward) const {
    const std::size_t first = static_cast<std::size_t>(kind) * 2 + static_cast<std::size_t>(at);
    return (first * contents.size() + forward) * contents.size() + backward;
  }
};

struct StepEstimator::Degrees {
  Degrees(TrainingConfig plan, const PassPrices& of, const MemoryTerms::Shared& of_memory, Topology& topology,
          const LinkCalibration& links, bool held_twice, PassProfiles::Known& plain, ShardTraffic::Shares& shares)
      : config(std::move(plan)),
        grid(config.plan),
        prices(of),
        memory(config, of.hottest_load(), of_memory),
        profiles(config, prices, topology, links, collectives_beside_passes(config, grid, held_twice), plain, shares),
        costs(prices.prices().layer_costs()) {}

  TrainingConfig config;
  JobGrid grid;
  const PassPrices& prices;
  MemoryTerms memory;
  PassProfiles profiles;
  LayerCosts costs;
  std::vector<RankMemory> memories;
  std::map<PassProfiles::ContentKey, Bytes> activations;              // of one micro-batch in a stage
  std::map<std::pair<PassProfiles::ContentKey, bool>, Bytes> always;  // by what a rank holds, and whether twice
  std::map<std::vector<PassProfiles::ContentKey>, int> memory_at;
  std::map<std::tuple<int, int, int>, Layout> layouts;  // schedule, chunks, split
  std::map<std::pair<PlanChoice::Split, StageGroups>, std::vector<StageContent>> splits;
};

namespace {

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
  const bool twice = choice.schedule >= 0 && schedules()[static_cast<std::size_t>(choice.schedule)].two_copies;
  PlanChoice key = choice;
  key.chunks = 1;
  key.schedule = twice ? 1 : 0;
  key.split = PlanChoice::Split::balanced;
  const auto [known, fresh] = model_memory_.try_emplace(key);
  if (!fresh) return known->second;
  set_choice(changed_, base_, choice, precisions_);
  const MemoryTerms terms(changed_, 1, shared_memory(changed_));
  const auto memory = [&](const StageContent& stage, int held) { return memory_of_stage(terms, stage, twice, held); };
  ModelMemory& of = known->second;
  of.base = memory(StageContent{}, 1);
  // Of layers that are gathered (ZeRO-3) one or two are whole at a time, however many there are: what the ninth layer
  // adds, each adds at least.
  const auto layer = [&](double StageContent::*kind) {
    StageContent eight, nine;
    eight.*kind = 8;
    nine.*kind = 9;
    const Bytes activation = (memory(nine, 2) - memory(nine, 1)) - (memory(eight, 2) - memory(eight, 1));
    return LayerMemory{std::max(Bytes(), memory(nine, 1) - memory(eight, 1) - activation), activation};
  };
  of.dense = layer(&StageContent::dense_layers);
  of.moe = layer(&StageContent::moe_layers);
  return of;
}

/// Weights that add up to 1 over the ranks make a mean of their memories, which the fullest exceeds; each layer adds to
/// that mean at least what it adds where it adds least. Weights that make all places equal for the commoner kind of
/// layer give the sharpest such bound.
Bytes StepEstimator::least_memory(const PlanChoice& choice) {
  const PatternPair& pair = patterns_.get(choice.schedule, request(choice));
  if (!pair.pattern || (choice.zero_stage >= 2 && pair.pattern->two_copies))
    return Bytes(std::numeric_limits<double>::infinity());
  const ModelMemory& of = model_memory(choice);
  int moe_layers = 0;
  for (int i = 0; i < base_.model.layers; ++i) moe_layers += base_.model.is_moe_layer(i) ? 1 : 0;
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

// ------------------------------------------------------------------------------------------------ keys

std::size_t StepEstimator::Hash::operator()(const PlanChoice& c) const {
  std::uint64_t hash = 0x9e3779b97f4a7c15;
  const auto mix = [&](std::uint64_t value) {
    hash = (hash ^ value) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  };
  const auto both = [](int high, int low) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32 | static_cast<std::uint32_t>(low);
  };
  mix(both(c.tensor, c.context));
  mix(both(c.pipeline, c.data));
  mix(both(c.expert, c.expert_tensor));
  mix(both(c.chunks, c.micro_batch_sequences));
  mix(both(c.zero_stage, c.shard_group));
  mix(both(c.schedule, c.precision));
  mix(both(c.full_layers, static_cast<int>(c.split)));
  std::uint64_t bits = 0;
  for (const int bit : {int(c.context_exchange), int(c.dispatcher), int(c.sequence_parallel), int(c.tensor_overlap),
                        int(c.overlap_gradients), int(c.overlap_parameters), int(c.shared_expert_overlap), int(c.norms),
                        int(c.attention_up_projections), int(c.activation_function), int(c.full_layer),
                        int(c.attention_core), int(c.mlp)}) {
    bits = bits << 1 | static_cast<std::uint64_t>(bit);
  }
  mix(bits);
  return hash;
}

StepEstimator::StepEstimator(const TrainingConfig& base, std::vector<PrecisionPlan> precisions,
                             std::vector<KernelModel> kernels, const ClusterSpec& cluster,
                             std::shared_ptr<const LinkCalibration> links)
    : base_(without_sources(base)),
      precisions_(std::move(precisions)),
      kernels_(std::move(kernels)),
      links_(std::move(links)),
      topology_(cluster),
      changed_(base_) {
  for (const KernelModel& model : kernels_) memos_.emplace_back(model);
  patterns_.set_own_order(base.schedule_text, base.schedule_file);
}

StepEstimator::~StepEstimator() = default;

void StepEstimator::forget_plans() {
  degrees_.clear();
  plain_.clear();
  model_memory_.clear();
}

const PassPrices& StepEstimator::prices(const PlanChoice& choice) {
  PlanChoice key = choice;
  key.data *= key.pipeline;
  key.pipeline = key.chunks = 1;
  key.zero_stage = key.shard_group = key.schedule = 0;
  key.split = PlanChoice::Split::balanced;
  key.overlap_gradients = key.overlap_parameters = false;
  std::unique_ptr<PassPrices>& known = prices_[key];
  if (!known) {
    const TrainingConfig config = with_choice(base_, key, precisions_);
    std::vector<double>& loads = loads_[key.expert];
    if (loads.empty()) loads = expert_rank_loads(config, topology_.cluster().node.gpus);
    PlanChoice of_tokens = key;
    of_tokens.shared_expert_overlap = of_tokens.norms = of_tokens.attention_up_projections = false;
    of_tokens.activation_function = of_tokens.attention_core = of_tokens.mlp = of_tokens.full_layer = false;
    of_tokens.full_layers = 0;
    std::unique_ptr<TokenExchange>& exchange = exchanges_[of_tokens];
    if (!exchange) exchange = std::make_unique<TokenExchange>(config, loads, topology_, *links_);
    known = std::make_unique<PassPrices>(config, loads, memos_[static_cast<std::size_t>(key.precision)], *exchange,
                                         topology_, *links_);
  }
  return *known;
}

StepEstimator::Degrees& StepEstimator::degrees(const PlanChoice& choice) {
  const bool twice = choice.schedule >= 0 && schedules()[static_cast<std::size_t>(choice.schedule)].two_copies;
  PlanChoice key = choice;
  key.chunks = 1;
  key.schedule = twice ? 1 : 0;
  key.split = PlanChoice::Split::balanced;
  std::unique_ptr<Degrees>& known = degrees_[key];
  if (!known) {
    PlanChoice beside_nothing = key;
    beside_nothing.schedule = beside_nothing.zero_stage = beside_nothing.shard_group = 0;
    beside_nothing.overlap_gradients = beside_nothing.overlap_parameters = false;
    set_choice(changed_, base_, choice, precisions_);
    known = std::make_unique<Degrees>(
        changed_, prices(choice), shared_memory(changed_), topology_, *links_, twice && choice.pipeline > 1,
        plain_[beside_nothing],
        shares_[{choice.tensor, choice.context, choice.pipeline, choice.data, choice.expert, choice.expert_tensor,
                 choice.shard_group, choice.expert > 1 ? prices(choice).position() : 0}]);
  }
  return *known;
}

ScheduleRequest StepEstimator::request(const PlanChoice& choice) const {
  const std::int64_t step = std::int64_t{choice.data} * choice.micro_batch_sequences;
  return {choice.pipeline, static_cast<int>(base_.batch.sequences / step), choice.chunks};
}

// ------------------------------------------------------------------------------------------------ stages

StepEstimator::Layout& StepEstimator::layout(Degrees& degrees, const PlanChoice& choice,
                                             const SchedulePattern& pattern) {
  const auto [found, fresh] =
      degrees.layouts.try_emplace({choice.schedule, choice.chunks, static_cast<int>(choice.split)});
  if (!fresh) return found->second;
  std::vector<StageContent>& split = degrees.splits[{choice.split, pattern.groups}];
  if (split.empty()) {
    set_choice(degrees.config, base_, choice, precisions_);
    split = split_layers(degrees.config, pattern.stages, pattern.groups, degrees.costs);
  }
  set_stages(degrees, found->second, split, pattern);
  return found->second;
}

void StepEstimator::set_stages(Degrees& degrees, Layout& layout, std::vector<StageContent> stages,
                               const SchedulePattern& pattern) {
  layout = Layout{};
  layout.stages = std::move(stages);
  std::vector<PassProfiles::ContentKey> keys;
  for (const StageContent& stage : layout.stages) {
    const auto key = PassProfiles::key(stage);
    const auto at = std::find(keys.begin(), keys.end(), key) - keys.begin();
    if (static_cast<std::size_t>(at) == keys.size()) {
      keys.push_back(key);
      layout.contents.push_back(stage);
    }
    layout.content_of.push_back(static_cast<std::uint16_t>(at));
  }
  layout.profile_at.assign(2 * kKinds * layout.contents.size() * layout.contents.size(), -1);
  for (const std::vector<int>& held : pattern.stage_of) {
    std::vector<PassProfiles::ContentKey> key;
    std::vector<StageContent> of_rank;
    for (const int stage : held) {
      key.push_back(keys[layout.content_of[static_cast<std::size_t>(stage)]]);
      of_rank.push_back(layout.stages[static_cast<std::size_t>(stage)]);
    }
    const auto [known, fresh] = degrees.memory_at.try_emplace(key, static_cast<int>(degrees.memories.size()));
    if (fresh) degrees.memories.push_back(rank_memory(degrees, of_rank, pattern.two_copies));
    layout.memory_of.push_back(known->second);
  }
}

// ------------------------------------------------------------------------------------------------ memory

/// Of one micro-batch in a stage.
Bytes StepEstimator::activation(Degrees& degrees, const StageContent& stage) {
  const auto [known, fresh] = degrees.activations.try_emplace(PassProfiles::key(stage));
  if (fresh) {
    known->second = memory_of_stage(degrees.memory, stage, false, 2) - memory_of_stage(degrees.memory, stage, false, 1);
  }
  return known->second;
}

/// Of a rank that holds such stages: what is always there follows from all that it holds together, what an activation
/// takes from its own stage.
RankMemory StepEstimator::rank_memory(Degrees& degrees, const std::vector<StageContent>& stages, bool two_copies) {
  StageContent all;
  RankMemory memory;
  for (const StageContent& stage : stages) {
    all.dense_layers += stage.dense_layers;
    all.moe_layers += stage.moe_layers;
    all.embedding |= stage.embedding;
    all.head |= stage.head;
    all.mtp_modules += stage.mtp_modules;
    memory.held.push_back(activation(degrees, stage));
  }
  const auto [known, fresh] = degrees.always.try_emplace({PassProfiles::key(all), two_copies});
  if (fresh) known->second = memory_of_stage(degrees.memory, all, two_copies, 1) - activation(degrees, all);
  memory.always = known->second;
  return memory;
}

Bytes StepEstimator::memory_of(Degrees& degrees, const Layout& layout, const PatternPair& pair, std::size_t rank) {
  const RankMemory& memory = degrees.memories[static_cast<std::size_t>(layout.memory_of[rank])];
  Bytes most;
  for (const std::vector<int>& held : pair.pattern->held[rank]) {
    Bytes sum;
    for (std::size_t chunk = 0; chunk < held.size(); ++chunk) sum += held[chunk] * memory.held[chunk];
    most = std::max(most, sum);
  }
  // Where a longer schedule holds more (GPipe), it holds more by as much for each repetition.
  if (pair.shorter && pair.pattern->held[rank].size() == 1 && pair.shorter->held[rank].size() == 1) {
    const std::vector<int>&more = pair.pattern->held[rank].front(), &less = pair.shorter->held[rank].front();
    for (std::size_t chunk = 0; chunk < more.size(); ++chunk) {
      most += pair.repeats * (more[chunk] - less[chunk]) * memory.held[chunk];
    }
  }
  return memory.always + most;
}

/// Of the fullest GPU, of the split that the builder of the step would settle for.
Bytes StepEstimator::fullest(Degrees& degrees, const PlanChoice& choice, Layout& layout, const PatternPair& pair) {
  const Bytes capacity = topology_.cluster().node.gpu.hbm_usable();
  const std::size_t ranks = static_cast<std::size_t>(pair.pattern->ranks);
  Bytes most, sum;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    const Bytes memory = memory_of(degrees, layout, pair, rank);
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
    for (std::size_t rank = 0; rank < ranks; ++rank) of_rank.push_back(memory_of(degrees, tried, pair, rank));
    return of_rank;
  };
  FittedSplit fitted = split_within_memory(degrees.config, pair.pattern->stage_of, pair.pattern->groups, degrees.costs,
                                           capacity, memory);
  const std::vector<Bytes> of_rank = memory(fitted.stages);
  layout = std::move(tried);
  return *std::max_element(of_rank.begin(), of_rank.end());
}

// ------------------------------------------------------------------------------------------------ time

/// Optimiser, and the collectives that nothing runs beside, of the rank that holds most.
void StepEstimator::add_end_of_step(Degrees& degrees, Layout& layout, const SchedulePattern& pattern) {
  if (layout.end) return;
  int most = 0;
  double held = -1;
  for (int rank = 0; rank < pattern.ranks; ++rank) {
    StageParameters parameters;
    for (const int stage : pattern.stage_of[static_cast<std::size_t>(rank)]) {
      parameters += trained_parameters(degrees.config, layout.stages[static_cast<std::size_t>(stage)]);
    }
    if (const double all = parameters.replicated + parameters.expert; all > held) {
      held = all;
      most = rank;
    }
  }
  Schedule schedule;
  schedule.ranks = pattern.ranks;
  schedule.stages = pattern.stages;
  schedule.stage_of = pattern.stage_of;
  GraphBuilder graph(training_op_names());
  std::vector<RankProgram> programs(1);
  RankProgram& program = programs.front();
  program.position = degrees.prices.position();
  program.rank.pipeline_rank = most;
  program.rank.gpu = degrees.grid.gpu(most, program.position);
  program.rank.replica = degrees.grid.replica(program.position);
  program.rank.tensor_rank = degrees.grid.tensor_rank(program.position);
  program.rank.compute = graph.add_lane(program.rank.gpu, "compute");
  program.rank.communication = graph.add_lane(program.rank.gpu, "communication");
  program.rank.pipeline = graph.add_lane(program.rank.gpu, "pipeline");
  std::vector<StepCollective> collectives;
  EndOfStep(degrees.config, degrees.grid, schedule, layout.stages, degrees.prices.prices(), topology_, *links_, graph,
            programs, collectives)
      .add(degrees.profiles.beside());
  const OperationGraph built = std::move(graph).build();
  LongestPaths paths(built, topology_.network(), degrees.profiles.stretch());
  paths.run();
  layout.end = paths.makespan();
  for (std::size_t i = 0; i < built.size(); ++i) {
    if (built.kind(OpId::at(i)) == OpKind::compute) layout.update += paths.duration(OpId::at(i));
  }
}

Walked StepEstimator::walk_through(Degrees& degrees, Layout& layout, const SchedulePattern& pattern, bool detailed) {
  layout.profile_of_form.resize(pattern.forms.size());
  for (std::size_t i = 0; i < pattern.forms.size(); ++i) {
    const SchedulePattern::Form& form = pattern.forms[i];
    const std::vector<int>& stage_of = pattern.stage_of[form.rank];
    const std::uint16_t forward = layout.content_of[static_cast<std::size_t>(stage_of[form.chunk])];
    const std::uint16_t backward = layout.content_of[static_cast<std::size_t>(stage_of[form.backward_chunk])];
    std::int16_t& at = layout.profile_at[layout.slot(form.kind, form.at, forward, backward)];
    if (at < 0) {
      at = static_cast<std::int16_t>(layout.profiles.size());
      layout.profiles.push_back(
          degrees.profiles.profile(form.kind, form.at, layout.contents[forward], layout.contents[backward]));
    }
    layout.profile_of_form[i] = static_cast<std::uint16_t>(at);
  }
  return walk(pattern, layout.profile_of_form, layout.profiles, degrees.profiles.message(), scratch_, detailed);
}

StepEstimate StepEstimator::estimate(const PlanChoice& choice, bool must_fit) {
  StepEstimate result = memory_alone(choice);
  if (!result.possible || (must_fit && !result.fits)) return result;
  const PatternPair& pair = patterns_.get(choice.schedule, request(choice));
  Degrees& degrees = this->degrees(choice);
  Layout& layout = this->layout(degrees, choice, *pair.pattern);
  result.step = walk_through(degrees, layout, *pair.pattern, false).end;
  if (pair.shorter) {
    const Seconds shorter = walk_through(degrees, layout, *pair.shorter, false).end;
    result.step += pair.repeats * (result.step - shorter);
  }
  add_end_of_step(degrees, layout, *pair.pattern);
  // Where parameters are gathered beside exchanges inside layers, a lone pass shows less than a step has.
  result.step = std::max(result.step + *layout.end, lower_bound(choice));
  return result;
}

StepEstimate StepEstimator::estimate(const PlanChoice& choice) { return estimate(choice, true); }
StepEstimate StepEstimator::estimate_whatever_fits(const PlanChoice& choice) { return estimate(choice, false); }

StepEstimate StepEstimator::memory_alone(const PlanChoice& choice) {
  StepEstimate result;
  const PatternPair& pair = patterns_.get(choice.schedule, request(choice));
  if (!pair.pattern || (choice.zero_stage >= 2 && pair.pattern->two_copies)) return result;
  result.possible = true;
  Degrees& degrees = this->degrees(choice);
  result.memory = fullest(degrees, choice, layout(degrees, choice, *pair.pattern), pair);
  result.fits = result.memory <= topology_.cluster().node.gpu.hbm_usable();
  return result;
}

StepParts StepEstimator::parts(const PlanChoice& choice) {
  estimate_whatever_fits(choice);  // settles the split
  Degrees& degrees = this->degrees(choice);
  const SchedulePattern whole = patterns_.whole(choice.schedule, request(choice));
  Layout& layout = this->layout(degrees, choice, whole);
  const Walked walked = walk_through(degrees, layout, whole, true);
  StepParts parts;
  parts.compute = walked.busy;
  parts.end = layout.update;
  parts.data = *layout.end - layout.update + walked.collectives_after;
  parts.context = walked.exchanged * context_share(degrees, choice);
  parts.tensor = walked.exchanged - parts.context;
  parts.expert = walked.idle_in_passes + walked.waits_for_tokens;
  parts.pipeline = walked.waits_for_others;
  return parts;
}

/// Of the unhidden exchanges inside layers, what context parallelism has.
double StepEstimator::context_share(const Degrees& degrees, const PlanChoice& choice) {
  if (choice.context == 1) return 0;
  if (choice.tensor == 1 && choice.expert_tensor == 1) return 1;
  const ExchangeTimes times(degrees.config, topology_.cluster(), *links_);
  LayerShape shape;
  shape.tokens = degrees.prices.prices().tokens();
  shape.sequence_length = base_.batch.sequence_length;
  Seconds all, of_context;
  for (const Phase phase :
       {Phase::attention_forward, Phase::mlp_forward, Phase::mlp_backward, Phase::attention_backward}) {
    const PhaseCost cost =
        price_phase(phase, degrees.config, shape, memos_[static_cast<std::size_t>(choice.precision)], 0);
    for (const PhaseExchange& exchange : cost.exchanges) {
      const Seconds exposed = times.split(exchange).exposed;
      const LayerExchange::Kind kind = exchange.exchange.kind;
      all += exposed;
      if (kind == LayerExchange::Kind::context_hop || kind == LayerExchange::Kind::context_gather ||
          kind == LayerExchange::Kind::context_scatter) {
        of_context += exposed;
      }
    }
  }
  return all > Seconds(0) ? of_context / all : 0;
}

Seconds StepEstimator::lower_bound(const PlanChoice& choice, bool pairs) {
  const PassPrices& of = prices(choice);
  const StepPrices& table = of.prices();
  const bool exchanges = base_.mechanisms.tensor_context_communication;
  const auto phases = [&](bool moe, SmShare share, std::initializer_list<Phase> list) {
    Seconds sum;
    for (const Phase phase : list) {
      const Price& price = table.phase(phase, moe, 0, share);
      sum += price.time;
      if (exchanges) sum += price.exchange;
    }
    return sum;
  };
  const auto layer = [&](bool moe) {
    const auto all = {Phase::attention_forward, Phase::mlp_forward,        Phase::mlp_backward,
                      Phase::mlp_weight,        Phase::attention_backward, Phase::attention_weight,
                      Phase::shared_forward,    Phase::shared_backward};
    const Seconds alone = phases(moe, SmShare::all, all);
    if (!moe) return alone;
    // Tokens travel beside another micro-batch, which then has fewer SMs, or nothing but weight gradients and shared
    // experts hides them.
    const Seconds hides =
        phases(true, SmShare::all,
               {Phase::mlp_weight, Phase::attention_weight, Phase::shared_forward, Phase::shared_backward});
    const Seconds exposed = alone + std::max(Seconds(), of.tokens_alone() - hides);
    return pairs ? std::min(phases(true, SmShare::beside_communication, all), exposed) : exposed;
  };
  Seconds model;
  int moe_layers = 0;
  for (int i = 0; i < base_.model.layers; ++i) moe_layers += base_.model.is_moe_layer(i) ? 1 : 0;
  const Seconds dense_layer = layer(false), moe_layer = moe_layers > 0 ? layer(true) : dense_layer;
  model += (base_.model.layers - moe_layers) * dense_layer + moe_layers * moe_layer;
  if (base_.mechanisms.embedding_head_mtp) {
    for (const EdgePhase edge : {EdgePhase::head_forward, EdgePhase::head_backward, EdgePhase::head_weight}) {
      model += table.edge(edge, SmShare::all).time;
    }
  }
  const ScheduleRequest asked = request(choice);
  Seconds of_rank = model / asked.ranks;
  // Layers are whole: some rank has at least so many.
  if (choice.split != PlanChoice::Split::fractional) {
    const int most = (base_.model.layers + asked.ranks - 1) / asked.ranks;
    const int others = base_.model.layers - moe_layers;  // any of them may be dense
    const int dense = std::min(most, others);
    of_rank = std::max(of_rank, dense * std::min(dense_layer, moe_layer) + (most - dense) * moe_layer);
  }
  return asked.micro_batches * of_rank;
}

}  // namespace flopcast
