// What a search over plans varies: small, comparable, cheap to copy. All else is the configuration's that it starts
// from.
#pragma once
#include <compare>
#include <cstdint>
#include <span>
#include <string_view>

#include "sim/base/fields.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/training.h"

namespace flopcast {

/// A field is the configuration's of the same name, where describe() says nothing else. Equality, order, hashing and
/// the way from and to a configuration (plan_choice.cc) follow from the description; the search orders plans that are
/// equally fast by the order of the fields.
struct PlanChoice {
  /// How layers are cut into stages: as the configuration states, or by ParallelPlan::layer_split.
  enum class Split : std::uint8_t {
    stated,
    balanced,
    even,
    fractional,
    even_with_embedding,
    even_with_head,
    even_with_both,
    filled
  };

  int tensor = 1, context = 1, pipeline = 1, data = 1;
  int chunks = 1;
  int expert = 1, expert_tensor = 1;
  int zero_stage = 1, shard_group = 0;
  int micro_batch_sequences = 1;
  int schedule = -1;  ///< place in schedules(); -1: the configuration's own order
  int precision = 0;  ///< place in a list of precisions
  Split split = Split::balanced;
  ContextExchange context_exchange = ContextExchange::ring;
  ExpertDispatcher dispatcher = ExpertDispatcher::deep_ep;
  bool sequence_parallel = true, tensor_overlap = true;
  bool overlap_gradients = true, overlap_parameters = true;
  bool shared_expert_overlap = false;
  RecomputePlan recompute;

  /// Null for the configuration's own order.
  const ScheduleRow* schedule_row() const {
    return schedule < 0 ? nullptr : &schedules()[static_cast<std::size_t>(schedule)];
  }
  /// Whether a GPU holds two copies of its stages.
  bool two_copies() const { return schedule >= 0 && schedule_row()->two_copies; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("tensor", &PlanChoice::tensor);
    field("context", &PlanChoice::context);
    field("pipeline", &PlanChoice::pipeline);
    field("data", &PlanChoice::data);
    field("chunks", &PlanChoice::chunks);
    field("expert", &PlanChoice::expert);
    field("expert_tensor", &PlanChoice::expert_tensor);
    field("zero_stage", &PlanChoice::zero_stage);
    field("shard_group", &PlanChoice::shard_group);
    field("micro_batch_sequences", &PlanChoice::micro_batch_sequences);
    field("schedule", &PlanChoice::schedule);
    field("precision", &PlanChoice::precision);
    field("layer_split", &PlanChoice::split);
    field("context_exchange", &PlanChoice::context_exchange);
    field("dispatcher", &PlanChoice::dispatcher);
    field("sequence_parallel", &PlanChoice::sequence_parallel);
    field("tensor_overlap", &PlanChoice::tensor_overlap);
    field("overlap_gradients", &PlanChoice::overlap_gradients);
    field("overlap_parameters", &PlanChoice::overlap_parameters);
    field("shared_expert_overlap", &PlanChoice::shared_expert_overlap);
    field("recompute", &PlanChoice::recompute);
  }
};

/// By the fields in their order.
std::strong_ordering operator<=>(const PlanChoice& a, const PlanChoice& b);

struct PlanChoiceHash {
  std::size_t operator()(const PlanChoice& choice) const;
};

/// As ParallelPlan::layer_split says it; empty for `stated`.
std::string_view split_name(PlanChoice::Split split);
/// @param name a value of ParallelPlan::layer_split
PlanChoice::Split split_named(std::string_view name);

/// What `config` states. @param precisions: the first that equals its own is taken; one of them does.
PlanChoice choice_of(const TrainingConfig& config, std::span<const PrecisionPlan> precisions);
/// `base` with what the choice says.
TrainingConfig with_choice(const TrainingConfig& base, const PlanChoice& choice,
                           std::span<const PrecisionPlan> precisions);
/// Makes of `config`, a copy of `base` with any choice, one with this choice.
void set_choice(TrainingConfig& config, const TrainingConfig& base, const PlanChoice& choice,
                std::span<const PrecisionPlan> precisions);

}  // namespace flopcast
