// What a search over plans varies: small, comparable, cheap to copy. All else is the configuration's that it starts
// from.
#pragma once
#include <compare>
#include <cstdint>
#include <span>
#include <string>

#include "workloads/training/training.h"

namespace flopcast {

struct PlanChoice {
  /// How layers are cut into stages: as the configuration states, or by ParallelPlan::layer_split.
  enum class Split : std::uint8_t { stated, balanced, even, fractional };

  int tensor = 1, context = 1, pipeline = 1, data = 1;
  int chunks = 1;
  int expert = 1, expert_tensor = 1;
  int zero_stage = 1, shard_group = 0;
  int micro_batch_sequences = 1;
  int schedule = -1;    ///< place in schedules(); -1: the configuration's own order
  int precision = 0;    ///< place in a list of precisions
  int full_layers = 0;  ///< RecomputePlan::full_layers
  Split split = Split::balanced;
  ContextExchange context_exchange = ContextExchange::ring;
  ExpertDispatcher dispatcher = ExpertDispatcher::deep_ep;
  bool sequence_parallel = true, tensor_overlap = true;
  bool overlap_gradients = true, overlap_parameters = true;
  bool shared_expert_overlap = false;
  // RecomputePlan, one by one.
  bool norms = false, attention_up_projections = false, activation_function = false;
  bool full_layer = false, attention_core = false, mlp = false;

  auto operator<=>(const PlanChoice&) const = default;
};

/// What `config` states. @param precisions: the first that equals its own is taken; one of them does.
PlanChoice choice_of(const TrainingConfig& config, std::span<const PrecisionPlan> precisions);
/// What of it is computed again.
void set_recompute(PlanChoice& choice, const RecomputePlan& plan);
/// `base` with what the choice says.
TrainingConfig with_choice(const TrainingConfig& base, const PlanChoice& choice,
                           std::span<const PrecisionPlan> precisions);
/// Makes of `config`, a copy of `base` with any choice, one with this choice.
void set_choice(TrainingConfig& config, const TrainingConfig& base, const PlanChoice& choice,
                std::span<const PrecisionPlan> precisions);

}  // namespace flopcast
