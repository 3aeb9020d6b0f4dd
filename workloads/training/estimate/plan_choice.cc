#include "workloads/training/estimate/plan_choice.h"

#include <cassert>

#include "workloads/schedules/schedule.h"

namespace flopcast {

namespace {

constexpr const char* kSplitNames[] = {"", "balanced", "even", "fractional"};

PlanChoice::Split split_of(const ParallelPlan& plan) {
  if (!plan.stage_layers.empty()) return PlanChoice::Split::stated;
  for (const auto split : {PlanChoice::Split::even, PlanChoice::Split::fractional}) {
    if (plan.layer_split == kSplitNames[static_cast<int>(split)]) return split;
  }
  return PlanChoice::Split::balanced;
}

}  // namespace

void set_recompute(PlanChoice& c, const RecomputePlan& plan) {
  c.norms = plan.norms;
  c.attention_up_projections = plan.attention_up_projections;
  c.activation_function = plan.activation_function;
  c.attention_core = plan.attention_core;
  c.mlp = plan.mlp;
  c.full_layer = plan.full_layer;
  c.full_layers = plan.full_layers;
}

PlanChoice choice_of(const TrainingConfig& config, std::span<const PrecisionPlan> precisions) {
  const ParallelPlan& plan = config.plan;
  PlanChoice c;
  c.tensor = plan.tensor;
  c.context = plan.context;
  c.pipeline = plan.pipeline;
  c.data = plan.data;
  c.chunks = plan.chunks;
  c.expert = plan.expert;
  c.expert_tensor = plan.expert_tensor;
  c.zero_stage = plan.zero_stage;
  c.shard_group = plan.shard_group;
  c.micro_batch_sequences = config.batch.micro_batch_sequences;
  if (config.schedule_text.empty()) {
    const ScheduleRow* row = find_schedule(config.schedule);
    assert(row != nullptr && "the loader checks names");
    c.schedule = static_cast<int>(row - schedules().data());
  }
  while (!(precisions[static_cast<std::size_t>(c.precision)] == config.precision)) {
    ++c.precision;
    assert(static_cast<std::size_t>(c.precision) < precisions.size());
  }
  c.split = split_of(plan);
  c.context_exchange = plan.context_exchange;
  c.dispatcher = plan.dispatcher;
  c.sequence_parallel = plan.sequence_parallel;
  c.tensor_overlap = plan.tensor_overlap;
  c.overlap_gradients = plan.overlap_gradients;
  c.overlap_parameters = plan.overlap_parameters;
  c.shared_expert_overlap = plan.shared_expert_overlap;
  set_recompute(c, config.recompute);
  return c;
}

TrainingConfig with_choice(const TrainingConfig& base, const PlanChoice& c, std::span<const PrecisionPlan> precisions) {
  TrainingConfig config = base;
  set_choice(config, base, c, precisions);
  return config;
}

void set_choice(TrainingConfig& config, const TrainingConfig& base, const PlanChoice& c,
                std::span<const PrecisionPlan> precisions) {
  ParallelPlan& plan = config.plan;
  plan.tensor = c.tensor;
  plan.context = c.context;
  plan.pipeline = c.pipeline;
  plan.data = c.data;
  plan.chunks = c.chunks;
  plan.expert = c.expert;
  plan.expert_tensor = c.expert_tensor;
  plan.zero_stage = c.zero_stage;
  plan.shard_group = c.shard_group;
  config.batch.micro_batch_sequences = c.micro_batch_sequences;
  if (c.schedule >= 0) {
    config.schedule = schedules()[static_cast<std::size_t>(c.schedule)].name;
    config.schedule_text.clear();
    config.schedule_file.clear();
  } else {
    config.schedule = base.schedule;
    config.schedule_text = base.schedule_text;
    config.schedule_file = base.schedule_file;
  }
  config.precision = precisions[static_cast<std::size_t>(c.precision)];
  config.recompute.full_layers = c.full_layers;
  if (c.split != PlanChoice::Split::stated) {
    plan.stage_layers.clear();
    plan.layer_split = kSplitNames[static_cast<int>(c.split)];
  } else {
    plan.stage_layers = base.plan.stage_layers;
    plan.layer_split = base.plan.layer_split;
  }
  plan.context_exchange = c.context_exchange;
  plan.dispatcher = c.dispatcher;
  plan.sequence_parallel = c.sequence_parallel;
  plan.tensor_overlap = c.tensor_overlap;
  plan.overlap_gradients = c.overlap_gradients;
  plan.overlap_parameters = c.overlap_parameters;
  plan.shared_expert_overlap = c.shared_expert_overlap;
  config.recompute.norms = c.norms;
  config.recompute.attention_up_projections = c.attention_up_projections;
  config.recompute.activation_function = c.activation_function;
  config.recompute.full_layer = c.full_layer;
  config.recompute.attention_core = c.attention_core;
  config.recompute.mlp = c.mlp;
}

}  // namespace flopcast
