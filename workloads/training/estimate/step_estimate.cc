// Time of a plan: what is kept between plans, the walk over a schedule, and what follows the passes.
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "workloads/training/estimate/estimator_parts.h"
#include "workloads/training/passes/end_of_step.h"

namespace flopcast {

namespace {

/// The configuration is copied for every set of degrees: where its figures come from stays behind.
TrainingConfig without_sources(TrainingConfig config) {
  config.model.sources.clear();
  config.software.sources.clear();
  return config;
}

}  // namespace

// ------------------------------------------------------------------------------------------------ keys

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
  patterns_.set_habits(base.rounds(), base.software.blocking_messages && base.mechanisms.pipeline_transfers);
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
    of_tokens.shared_expert_overlap = false;
    of_tokens.recompute = {};
    std::unique_ptr<TokenExchange>& exchange = exchanges_[of_tokens];
    if (!exchange) exchange = std::make_unique<TokenExchange>(config, loads, topology_, *links_);
    known = std::make_unique<PassPrices>(config, loads, memos_[static_cast<std::size_t>(key.precision)], *exchange,
                                         topology_, *links_);
  }
  return *known;
}

StepEstimator::Degrees& StepEstimator::degrees(const PlanChoice& choice) {
  const bool twice = choice.two_copies();
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

ScheduleRequest request_of(const TrainingConfig& base, const PlanChoice& choice) {
  const std::int64_t step = std::int64_t{choice.data} * choice.micro_batch_sequences;
  return {choice.pipeline, static_cast<int>(base.batch.sequences / step), choice.chunks};
}

// ------------------------------------------------------------------------------------------------ stages

StepEstimator::Layout& StepEstimator::layout(Degrees& degrees, const PlanChoice& choice,
                                             const SchedulePattern& pattern) {
  const auto [found, fresh] =
      degrees.layouts.try_emplace({choice.schedule, choice.chunks, static_cast<int>(choice.split)});
  if (!fresh) return found->second;
  std::vector<StageContent>& split = degrees.splits[{choice.split, pattern.groups_number}];
  if (split.empty()) {
    set_choice(degrees.config, base_, choice, precisions_);
    split = split_layers(degrees.config, pattern.stages, pattern.groups, degrees.costs);
  }
  set_stages(degrees, found->second, split, pattern);
  return found->second;
}

void StepEstimator::set_stages(Degrees& degrees, Layout& layout, std::span<const StageContent> stages,
                               const SchedulePattern& pattern) {
  layout.stages.assign(stages.begin(), stages.end());
  layout.contents.clear();
  layout.known_as.clear();
  layout.content_of.clear();
  layout.memory_of.clear();
  layout.profiles.clear();
  layout.end.reset();
  for (const StageContent& stage : stages) {
    const auto found = std::find_if(layout.contents.begin(), layout.contents.end(), [&](const StageContent& known) {
      return PassProfiles::same_content(known, stage);
    });
    layout.content_of.push_back(static_cast<std::uint16_t>(found - layout.contents.begin()));
    if (found != layout.contents.end()) continue;
    layout.contents.push_back(stage);
    layout.known_as.push_back(degrees.known_content(stage));
  }
  layout.profile_at.assign(2 * Layout::kKinds * layout.contents.size() * layout.contents.size(), -1);
  for (const std::vector<int>& held : pattern.stage_of) {
    held_before_.swap(held_contents_);
    held_contents_.clear();
    for (const int stage : held)
      held_contents_.push_back(layout.known_as[layout.content_of[static_cast<std::size_t>(stage)]]);
    const bool as_before = !layout.memory_of.empty() && held_contents_ == held_before_;
    layout.memory_of.push_back(as_before ? layout.memory_of.back()
                                         : degrees.rank_kind(held_contents_, pattern.two_copies));
  }
}

// ------------------------------------------------------------------------------------------------ time

/// Optimiser, and the collectives that nothing runs beside, of the rank that holds most.
void StepEstimator::add_end_of_step(Degrees& degrees, Layout& layout, const SchedulePattern& pattern) {
  if (layout.end) return;
  std::vector<StageParameters> of_content;
  for (const StageContent& content : layout.contents)
    of_content.push_back(trained_parameters_of(degrees.config, shared_memory(degrees.config).count, content));
  int most = 0;
  StageParameters held{-1, 0};
  for (int rank = 0; rank < pattern.ranks; ++rank) {
    StageParameters parameters;
    for (const int stage : pattern.stage_of[static_cast<std::size_t>(rank)]) {
      parameters += of_content[layout.content_of[static_cast<std::size_t>(stage)]];
    }
    if (parameters.replicated + parameters.expert <= held.replicated + held.expert) continue;
    held = parameters;
    most = rank;
  }
  const auto [known, fresh] =
      degrees.ends.try_emplace(Degrees::EndKey(most, pattern.two_copies, held.replicated, held.expert));
  if (fresh) known->second = end_of_rank(degrees, layout, pattern, most);
  layout.end = known->second;
}

EndTimes StepEstimator::end_of_rank(Degrees& degrees, const Layout& layout, const SchedulePattern& pattern,
                                    int pipeline_rank) {
  Schedule schedule;
  schedule.ranks = pattern.ranks;
  schedule.stages = pattern.stages;
  schedule.stage_of = pattern.stage_of;
  GraphBuilder graph(training_op_names());
  std::vector<RankProgram> programs(1);
  RankProgram& program = programs.front();
  program.position = degrees.profiles.position();
  program.rank.pipeline_rank = pipeline_rank;
  program.rank.gpu = degrees.grid.gpu(pipeline_rank, program.position);
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
  EndTimes end{paths.makespan(), {}};
  for (std::size_t i = 0; i < built.size(); ++i) {
    if (built.kind(OpId::at(i)) == OpKind::compute) end.update += paths.duration(OpId::at(i));
  }
  return end;
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

StepEstimate StepEstimator::estimate(const PlanChoice& choice, bool must_fit, Seconds longest) {
  StepEstimate result = memory_alone(choice);
  if (!result.possible || (must_fit && !result.fits)) return result;
  const PatternPair& pair = patterns_.get(choice.schedule, request_of(base_, choice));
  Degrees& degrees = this->degrees(choice);
  Layout& layout = this->layout(degrees, choice, *pair.pattern);
  add_end_of_step(degrees, layout, *pair.pattern);
  if (longest < kAnyLength) {
    result.step = bound_of_layout(degrees, choice, layout, *pair.pattern) + layout.end->all;
    result.beyond = result.step > longest;
    if (result.beyond) return result;
  }
  result.step = walk_through(degrees, layout, patterns_.with_steps(choice.schedule, *pair.pattern), false).end;
  if (pair.shorter) {
    const SchedulePattern& less = patterns_.with_steps(choice.schedule, *pair.shorter);
    const Seconds shorter = walk_through(degrees, layout, less, false).end;
    result.step += pair.repeats * (result.step - shorter);
  }
  // Where parameters are gathered beside exchanges inside layers, a lone pass shows less than a step has; and a long
  // step is read off short ones. It takes no less than its bounds.
  result.step = std::max(result.step, bound_of_layout(degrees, choice, layout, *pair.pattern)) + layout.end->all;
  result.step = std::max(result.step, lower_bound(choice));
  return result;
}

StepEstimate StepEstimator::estimate(const PlanChoice& choice, Seconds longest) {
  return estimate(choice, true, longest);
}
StepEstimate StepEstimator::estimate_whatever_fits(const PlanChoice& choice) {
  return estimate(choice, false, kAnyLength);
}

StepParts StepEstimator::parts(const PlanChoice& choice) {
  estimate_whatever_fits(choice);  // settles the split
  Degrees& degrees = this->degrees(choice);
  const SchedulePattern whole = patterns_.whole(choice.schedule, request_of(base_, choice));
  Layout& layout = this->layout(degrees, choice, whole);
  const Walked walked = walk_through(degrees, layout, whole, true);
  StepParts parts;
  parts.compute = walked.busy;
  parts.end = layout.end->update;
  parts.data = layout.end->all - layout.end->update + walked.collectives_after;
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
          kind == LayerExchange::Kind::context_scatter || kind == LayerExchange::Kind::context_all_to_all) {
        of_context += exposed;
      }
    }
  }
  return all > Seconds(0) ? of_context / all : 0;
}

}  // namespace flopcast
