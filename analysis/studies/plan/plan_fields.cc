#include <fmt/format.h>

#include "analysis/studies/plan/plan_space.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

template <int PlanChoice::*member>
std::string number_of(const PlanChoice& c) {
  return fmt::format("{}", c.*member);
}
std::string truth(bool on) { return on ? "true" : "false"; }
template <bool PlanChoice::*member>
std::string switch_of(const PlanChoice& c) {
  return truth(c.*member);
}
template <bool RecomputePlan::*member>
std::string again_of(const PlanChoice& c) {
  return truth(c.recompute.*member);
}
template <auto PlanChoice::*member>
std::string word_of(const PlanChoice& c) {
  return std::string(enum_names(c.*member)[static_cast<std::size_t>(c.*member)]);
}
std::string schedule_of(const PlanChoice& c) {
  const ScheduleRow* row = c.schedule_row();
  return row == nullptr ? "" : std::string(row->name);
}
std::string split_of(const PlanChoice& c) { return std::string(split_name(c.split)); }
std::string layers_again_of(const PlanChoice& c) { return fmt::format("{}", c.recompute.full_layers); }

bool one_context(const PlanChoice& c) { return c.context == 1; }
bool one_expert_rank(const PlanChoice& c) { return c.expert == 1; }
bool one_expert_tensor(const PlanChoice& c) { return c.expert_tensor == 1; }
bool one_tensor(const PlanChoice& c) { return c.tensor == 1; }
bool one_chunk(const PlanChoice& c) { return c.chunks == 1; }
bool one_shard_group(const PlanChoice& c) { return c.shard_group == 0; }
bool one_stage(const PlanChoice& c) { return c.pipeline == 1 || c.split == PlanChoice::Split::stated; }
bool all_layers(const PlanChoice& c) { return c.recompute.full_layers == 0; }

std::string shown(const PlanField& field, const PlanChoice& choice) {
  const std::string value = field.value(choice);
  if (!field.is_switch) return field.shown.empty() ? value : fmt::format("{} {}", field.shown, value);
  return fmt::format("{}{}", value == "true" ? "" : "no ", field.shown);
}

}  // namespace

std::span<const PlanField> plan_fields() {
  using C = PlanChoice;
  using R = RecomputePlan;
  constexpr bool kSwitch = true, kValue = false;
  static constexpr PlanField kFields[] = {
      {"training.plan.tensor", "TP", kValue, number_of<&C::tensor>},
      {"training.plan.context", "CP", kValue, number_of<&C::context>},
      {"training.plan.pipeline", "PP", kValue, number_of<&C::pipeline>},
      {"training.plan.data", "DP", kValue, number_of<&C::data>},
      {"training.plan.expert", "EP", kValue, number_of<&C::expert>},
      {"training.plan.expert_tensor", "expert TP", kValue, number_of<&C::expert_tensor>, one_expert_tensor},
      {"training.batch.micro_batch_sequences", "micro-batch", kValue, number_of<&C::micro_batch_sequences>},
      {"training.schedule", "", kValue, schedule_of},
      {"training.plan.chunks", "chunks", kValue, number_of<&C::chunks>, one_chunk},
      {"training.plan.layer_split", "layers", kValue, split_of, one_stage, "balanced"},
      {"training.plan.zero_stage", "ZeRO", kValue, number_of<&C::zero_stage>},
      {"training.plan.shard_group", "shard group", kValue, number_of<&C::shard_group>, one_shard_group},
      {"training.plan.dispatcher", "", kValue, word_of<&C::dispatcher>, one_expert_rank},
      {"training.plan.context_exchange", "", kValue, word_of<&C::context_exchange>, one_context},
      {"training.plan.sequence_parallel", "sequence parallel", kSwitch, switch_of<&C::sequence_parallel>, one_tensor,
       "true"},
      {"training.plan.tensor_overlap", "TP overlap", kSwitch, switch_of<&C::tensor_overlap>, one_tensor, "true"},
      {"training.plan.overlap_gradients", "gradient overlap", kSwitch, switch_of<&C::overlap_gradients>, nullptr,
       "true"},
      {"training.plan.overlap_parameters", "parameter overlap", kSwitch, switch_of<&C::overlap_parameters>, nullptr,
       "true"},
      {"training.plan.shared_expert_overlap", "shared-expert overlap", kSwitch, switch_of<&C::shared_expert_overlap>,
       one_expert_rank, "false"},
      {"training.recompute.norms", "norms again", kSwitch, again_of<&R::norms>, nullptr, "false"},
      {"training.recompute.attention_up_projections", "up-projections again", kSwitch,
       again_of<&R::attention_up_projections>, nullptr, "false"},
      {"training.recompute.activation_function", "activations again", kSwitch, again_of<&R::activation_function>,
       nullptr, "false"},
      {"training.recompute.attention_core", "attention again", kSwitch, again_of<&R::attention_core>, nullptr, "false"},
      {"training.recompute.mlp", "MLP again", kSwitch, again_of<&R::mlp>, nullptr, "false"},
      {"training.recompute.full_layer", "whole layers again", kSwitch, again_of<&R::full_layer>, nullptr, "false"},
      {"training.recompute.full_layers", "layers again", kValue, layers_again_of, all_layers},
  };
  // All but `precision`, and of `recompute` all but `selective_operations`.
  static_assert(std::ssize(kFields) == described_members<C>() - 1 + described_members<R>() - 1 - 1);
  return kFields;
}

std::string plan_text(const PlanChoice& choice, std::string_view of) {
  std::string text;
  for (const PlanField& field : plan_fields()) {
    if (!field.path.starts_with(of)) continue;
    const std::string value = field.value(choice);
    if (field.means_nothing(choice) || value.empty() || value == field.usual) continue;
    if (field.path.ends_with(".expert") && choice.expert == 1 && choice.expert_tensor == 1) continue;
    if (field.path.ends_with(".context") && choice.context == 1) continue;
    text += (text.empty() ? "" : ", ") + shown(field, choice);
  }
  return text;
}

std::string plan_difference(const PlanChoice& choice, const PlanChoice& other) {
  std::string text;
  for (const PlanField& field : plan_fields()) {
    if (field.value(choice) == field.value(other) || (field.means_nothing(choice) && field.means_nothing(other)))
      continue;
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
