// Searches a space of plans by the closed form of a step: every plan that could be among the best is priced, whole
// families that cannot be are ruled out by a bound from below.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/plan/plan_space.h"
#include "workloads/training/estimate/step_estimate.h"

namespace flopcast {

struct ScreenedPlan {
  PlanChoice choice;
  StepEstimate estimate;
};
/// Faster first; of equals, the one that comes first in the space.
bool faster(const ScreenedPlan& a, const ScreenedPlan& b);

struct SearchOptions {
  int workers = 1;
  std::size_t keep = 200;  ///< of the best, which then are known exactly
  /// The search ends after this many plans were priced, and says how much is left and how good it can be; 0: when
  /// the bound rules out all that is left.
  double effort = 0;
  /// A plan whose rank is asked for: everything faster than it is priced, up to `rank_slack` beyond the best.
  std::optional<PlanChoice> ranked;
  double rank_slack = 1.5;
  /// Plans that take longer are of no use: none of them is among the best.
  Seconds longest = StepEstimator::kAnyLength;
  /// False: the plan is refused by a condition. Called by all workers at once.
  std::function<bool(const PlanChoice&, const StepEstimate&)> accepts;
  /// Shapes done, shapes in all; false stops.
  std::function<bool(std::size_t, std::size_t)> progress;
};

struct SearchResult {
  std::vector<ScreenedPlan> best;  ///< at most `keep`, the fastest first
  // What became of the plans of the space.
  double plans = 0;      ///< that divide what they have to
  double priced = 0;     ///< by the closed form
  double no_memory = 0;  ///< of them, do not fit
  double too_large = 0;  ///< not priced: their degrees leave no room for the model, whatever else is chosen
  double beyond = 0;     ///< of them, fit, and a bound of their own says that they are not among the best
  double refused = 0;    ///< of them, by conditions
  double ruled_out = 0;  ///< not priced, by the bound of a family: none is among the best
  double left = 0;       ///< never looked at, because the effort was spent
  double untried = 0;    ///< variants of plans that were priced which differ in switches tried on the best alone
  std::size_t shapes = 0;
  Seconds bound;  ///< no plan that was not priced is faster, as far as its compute goes
  Seconds floor;  ///< no plan of the space is, but those whose degrees leave no room for the model
  /// The plan that needs least memory where none fits.
  std::optional<ScreenedPlan> leanest;
  std::optional<ScreenedPlan> ranked;  ///< the plan asked for
  std::uint64_t rank = 0;              ///< plans priced that are faster than it, plus one; 0: it is none of the space
  bool rank_is_exact = false;
};

/// Makes an estimator, or gives one that has searched the same space before; each worker has one.
using MakeEstimator = std::function<std::shared_ptr<StepEstimator>()>;

/// The same whatever the number of workers. @throws Interrupted.
SearchResult search_plans(const PlanSpace& space, const MakeEstimator& make, const SearchOptions& options);

}  // namespace flopcast
