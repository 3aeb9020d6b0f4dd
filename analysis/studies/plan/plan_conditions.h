// Conditions on plans: what they may ask of one that was only priced and of one that was replayed, and which of them
// nothing meets.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/studies/constraints.h"
#include "analysis/studies/plan/plan_study.h"

namespace flopcast {

/// What conditions may ask of a plan that was only priced.
NameLookup screened_lookup(const Scenario& scenario, const PlanChoice& choice, const StepEstimate& estimate);

/// @throws InputError with everything wrong in `where`: no condition, unknown names, a contradiction.
std::vector<MetricExpression> conditions_of(const Scenario& scenario, const std::vector<std::string>& where);

/// Whether all hold: no as soon as one does not; absent when one cannot be decided.
std::optional<bool> all_hold(std::span<const MetricExpression> where, const NameLookup& lookup);

bool asks_for_projection(std::span<const MetricExpression> where);

/// Conditions that no plan meets, with what their figures are at least and at most; where each is met by some plan,
/// that they are not met together.
std::vector<std::string> unmet_conditions(std::span<const MetricExpression> where,
                                          const std::vector<ReplayedPlan>& plans);

}  // namespace flopcast
