// The plans of a training step that a scenario leaves open: which fields vary, over which values, and which
// combinations are possible at all.
#pragma once
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/resolve/scenario.h"
#include "workloads/training/estimate/plan_choice.h"

namespace flopcast {

/// A field of a plan, as scenarios write it.
struct PlanField {
  std::string_view path;   ///< "training.plan.tensor"
  std::string_view shown;  ///< "TP", "schedule": followed by the value; of a switch, what people read where it is on
  bool is_switch = false;
  std::string (*value)(const PlanChoice&);    ///< as `--set` takes it
  bool (*idle)(const PlanChoice&) = nullptr;  ///< whether it says nothing beside the rest of the plan; null: never
  std::string_view usual = {};                ///< what nearly everybody has: named only where a plan has something else
  bool means_nothing(const PlanChoice& choice) const { return idle != nullptr && idle(choice); }
};
/// All that a search can vary and a scenario can write; precisions have no one field, and what PyTorch's selective
/// recomputation keeps (RecomputePlan::selective_operations) stays as it is.
std::span<const PlanField> plan_fields();

/// "TP 1, PP 16, DP 128, EP 64, dualpipe, ZeRO 1, micro-batch 1; recomputes norms"
/// @param of of fields alone whose path begins so: "training.recompute."
std::string plan_text(const PlanChoice& choice, std::string_view of = "");
/// The fields in which `choice` differs from `other`, with its own values: "PP 8, EP 32".
std::string plan_difference(const PlanChoice& choice, const PlanChoice& other);
/// `path=value` of every field, so that a scenario says this plan.
std::vector<std::string> plan_settings(const PlanChoice& choice, const ModelConfig& model);

/// What may vary.
struct OpenFields {
  std::set<std::string> stated;      ///< by the scenario
  std::vector<std::string> open;     ///< varied though stated: a field, or all below a path; "all"
  std::vector<std::string> keep;     ///< not varied though open
  std::vector<std::string> allowed;  ///< `path=v1,v2`: only these values
  bool varies(std::string_view path) const;
};

struct PlanSpace {
  TrainingConfig base;
  int gpus = 1, gpus_per_node = 1;
  std::vector<PrecisionPlan> precisions;
  // Values by field; of one that does not vary, its own.
  std::vector<int> tensor, context, pipeline, data, chunks, expert, expert_tensor, zero_stage, shard_group;
  std::vector<int> micro_batch_sequences, schedule, precision;
  std::vector<PlanChoice::Split> split;
  std::vector<ContextExchange> context_exchange;
  std::vector<ExpertDispatcher> dispatcher;
  std::vector<bool> sequence_parallel, tensor_overlap, overlap_gradients, overlap_parameters, shared_expert_overlap;
  std::vector<RecomputePlan> recompute;  ///< from the fastest to the leanest
  PlanChoice first;                      ///< every field but `recompute` at its first value
  bool data_varies = true;

  /// Degrees, micro-batch and precision of every combination that divides what it has to; all else at its first value.
  std::vector<PlanChoice> shapes() const;
  /// Schedules and chunks beside a shape.
  std::vector<PlanChoice> schedules_of(const PlanChoice& shape) const;
  /// ZeRO stages that the choice's schedule can have.
  std::vector<int> zero_stages(const PlanChoice& choice) const;
  /// How many plans there are: shapes times what is open beside each.
  double size() const;
  /// Plans beside a shape, itself included.
  double size_of(const PlanChoice& shape) const;
};

/// @param precisions further precisions to try, beside the scenario's own.
/// @throws InputError: a path that is no field of a plan, a value that it cannot have.
PlanSpace plan_space(const Scenario& scenario, const OpenFields& open, std::span<const PrecisionPlan> precisions);

}  // namespace flopcast
