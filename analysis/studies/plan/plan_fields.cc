#include <fmt/format.h>

#include "analysis/studies/plan/plan_space.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

template <int PlanChoice::*member>
std::string number_of(const PlanChoice& c) {
  return fmt::format("{}", c.*member);
}
template <bool PlanChoice::*member>
std::string switch_of(const PlanChoice& c) {
  return c.*member ? "true" : "false";
}
std::string schedule_of(const PlanChoice& c) {
  return c.schedule < 0 ? "" : std::string(schedules()[static_cast<std::size_t>(c.schedule)].name);
}
std::string split_of(const PlanChoice& c) {
  switch (c.split) {
    case PlanChoice::Split::stated:
      return "";
    case PlanChoice::Split::balanced:
      return "balanced";
    case PlanChoice::Split::even:
      return "even";
    case PlanChoice::Split::fractional:
      return "fractional";
  }
  return "";
}
std::string exchange_of(const PlanChoice& c) {
  return std::string(enum_names(c.context_exchange)[static_cast<std::size_t>(c.context_exchange)]);
}
std::string dispatcher_of(const PlanChoice& c) {
  return std::string(enum_names(c.dispatcher)[static_cast<std::size_t>(c.dispatcher)]);
}

/// What a field says that means nothing beside the rest of the plan is left out.
bool idle(std::string_view path, const PlanChoice& c) {
  if (path.ends_with(".context_exchange")) return c.context == 1;
  if (path.ends_with(".dispatcher") || path.ends_with(".shared_expert_overlap")) return c.expert == 1;
  if (path.ends_with(".expert_tensor")) return c.expert_tensor == 1;
  if (path.ends_with(".sequence_parallel") || path.ends_with(".tensor_overlap")) return c.tensor == 1;
  if (path.ends_with(".shard_group")) return c.shard_group == 0;
  if (path.ends_with(".chunks")) return c.chunks == 1;
  if (path.ends_with(".layer_split")) return c.pipeline == 1 || c.split == PlanChoice::Split::stated;
  if (path.ends_with(".full_layers")) return c.full_layers == 0;
  return false;
}

/// Switches that stand at what nearly everybody has are named where they stand otherwise.
bool usual(std::string_view path, const std::string& value) {
  if (path.ends_with("_split")) return value == "balanced";
  if (path.starts_with("training.recompute.") || path.ends_with(".shared_expert_overlap")) return value == "false";
  return value == "true";
}

std::string shown(const PlanField& field, const PlanChoice& choice) {
  const std::string value = field.value(choice);
  if (!field.is_switch) return field.shown.empty() ? value : fmt::format("{} {}", field.shown, value);
  return fmt::format("{}{}", value == "true" ? "" : "no ", field.shown);
}

}  // namespace

std::span<const PlanField> plan_fields() {
  using C = PlanChoice;
  static constexpr PlanField kFields[] = {
      {"training.plan.tensor", "TP", false, number_of<&C::tensor>},
      {"training.plan.context", "CP", false, number_of<&C::context>},
      {"training.plan.pipeline", "PP", false, number_of<&C::pipeline>},
      {"training.plan.data", "DP", false, number_of<&C::data>},
      {"training.plan.expert", "EP", false, number_of<&C::expert>},
      {"training.plan.expert_tensor", "expert TP", false, number_of<&C::expert_tensor>},
      {"training.batch.micro_batch_sequences", "micro-batch", false, number_of<&C::micro_batch_sequences>},
      {"training.schedule", "", false, schedule_of},
      {"training.plan.chunks", "chunks", false, number_of<&C::chunks>},
      {"training.plan.layer_split", "layers", false, split_of},
      {"training.plan.zero_stage", "ZeRO", false, number_of<&C::zero_stage>},
      {"training.plan.shard_group", "shard group", false, number_of<&C::shard_group>},
      {"training.plan.dispatcher", "", false, dispatcher_of},
      {"training.plan.context_exchange", "", false, exchange_of},
      {"training.plan.sequence_parallel", "sequence parallel", true, switch_of<&C::sequence_parallel>},
      {"training.plan.tensor_overlap", "TP overlap", true, switch_of<&C::tensor_overlap>},
      {"training.plan.overlap_gradients", "gradient overlap", true, switch_of<&C::overlap_gradients>},
      {"training.plan.overlap_parameters", "parameter overlap", true, switch_of<&C::overlap_parameters>},
      {"training.plan.shared_expert_overlap", "shared-expert overlap", true, switch_of<&C::shared_expert_overlap>},
      {"training.recompute.norms", "norms again", true, switch_of<&C::norms>},
      {"training.recompute.attention_up_projections", "up-projections again", true,
       switch_of<&C::attention_up_projections>},
      {"training.recompute.activation_function", "activations again", true, switch_of<&C::activation_function>},
      {"training.recompute.attention_core", "attention again", true, switch_of<&C::attention_core>},
      {"training.recompute.mlp", "MLP again", true, switch_of<&C::mlp>},
      {"training.recompute.full_layer", "whole layers again", true, switch_of<&C::full_layer>},
      {"training.recompute.full_layers", "layers again", false, number_of<&C::full_layers>},
  };
  return kFields;
}

std::string plan_text(const PlanChoice& choice) {
  std::string text;
  for (const PlanField& field : plan_fields()) {
    const std::string value = field.value(choice);
    if (idle(field.path, choice) || value.empty()) continue;
    if ((field.is_switch || field.path.ends_with("_split")) && usual(field.path, value)) continue;
    if (field.path.ends_with(".expert") && choice.expert == 1 && choice.expert_tensor == 1) continue;
    if (field.path.ends_with(".context") && choice.context == 1) continue;
    text += (text.empty() ? "" : ", ") + shown(field, choice);
  }
  return text;
}

std::string plan_difference(const PlanChoice& choice, const PlanChoice& other) {
  std::string text;
  for (const PlanField& field : plan_fields()) {
    if (field.value(choice) == field.value(other) || (idle(field.path, choice) && idle(field.path, other))) continue;
    text += (text.empty() ? "" : ", ") + shown(field, choice);
  }
  return text;
}

std::vector<std::string> plan_settings(const PlanChoice& choice, const ModelConfig& model) {
  std::vector<std::string> settings;
  for (const PlanField& field : plan_fields()) {
    const bool of_experts = field.path.find("expert") != std::string_view::npos || field.path.ends_with("dispatcher");
    if (of_experts && model.moe.experts == 0) continue;
    const std::string value = field.value(choice);
    if (value.empty()) continue;
    settings.push_back(fmt::format("{}={}", field.path, value));
  }
  if (choice.split != PlanChoice::Split::stated) settings.push_back("training.plan.stage_layers=");
  if (choice.schedule >= 0) settings.push_back("training.schedule_file=");
  return settings;
}

}  // namespace flopcast
