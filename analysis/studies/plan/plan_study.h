// The best plan of a training step: the space that a scenario leaves open, searched in closed form, and the best of it
// replayed.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/training/step_range.h"
#include "analysis/studies/constraints.h"
#include "analysis/studies/plan/plan_search.h"
#include "flopcast/environment.h"
#include "scenarios/resolve/load_scenario.h"
#include "sim/base/fields.h"

namespace flopcast {

namespace report {
class PlanStudy;
}

struct PlanOptions {
  OpenFields open;                      ///< `stated` is filled in
  std::vector<std::string> where;       ///< conditions over metrics, each has to hold
  std::vector<std::string> why;         ///< `path=value`: what becomes of plans that have it
  std::vector<std::string> precisions;  ///< beside the scenario's own: "bf16", "fp8"
  int replays = 20;
  double effort = 400'000;                      ///< SearchOptions::effort
  double rank_slack = 1.5;                      ///< SearchOptions::rank_slack
  Seconds longest = StepEstimator::kAnyLength;  ///< SearchOptions::longest
  int workers = 1;
  /// What is going on, how much of it is done; false stops.
  std::function<bool(const std::string& stage, std::size_t done, std::size_t all)> progress;
};

/// What a replay makes of a condition: whether it holds, and the numbers of what it names.
struct ReplayedCondition {
  std::optional<bool> holds;
  std::vector<double> figures;  ///< of MetricExpression::names(), in the metrics' own units; NaN: no number

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("holds", &ReplayedCondition::holds);
    field("figures", &ReplayedCondition::figures);
  }
};

/// A plan that was replayed.
struct ReplayedPlan {
  ScreenedPlan screened;
  bool fits = true;
  std::optional<bool> accepted;  ///< by the conditions; none: they could not be decided
  Seconds step;
  Bytes memory;
  double fits_share = 1;  ///< StepRange::fits
  bool ran = false;       ///< of a published run: it did fit, whatever the draws say
  Bytes memory_p90;       ///< nine draws in ten need no more
  double mfu_causal = 0, tokens_per_day = 0;
  double days = 0, gpu_hours = 0, usd = 0;    ///< for the tokens of the run, without interruptions; 0: no run, no price
  StepParts parts;                            ///< of the closed form
  std::vector<ReplayedCondition> conditions;  ///< in their order
  FigureRange range;                          ///< of the step, s
  std::vector<double> drawn;                  ///< StepRange::drawn_s
  double shapes_log_sd = 0;                   ///< StepRange's

  bool surely_fits() const { return ran || fits_share >= kSurelyFits; }
};

/// The share of the draws in which one plan is slower than another. What both share is off by the same for both; where
/// their kernels have other shapes, each is off by a part of its own.
double slower_share(const ReplayedPlan& plan, const ReplayedPlan& other);

/// What `--why` found.
struct PlanAnswer {
  enum class Verdict { impossible, memory, condition, slower, best };
  std::string asked;
  Verdict verdict = Verdict::impossible;
  std::string text;
  std::optional<ReplayedPlan> plan;  ///< the best under it
};

struct PlanStudy {
  Scenario base;
  std::string text;  ///< of the scenario
  PlanSpace space;
  std::vector<std::string> varied;  ///< paths of the fields that were varied
  SearchResult search;
  std::vector<ReplayedPlan> plans;  ///< that fit and that conditions accept; those that surely fit, and of these the
                                    ///< fastest, first
  std::optional<ReplayedPlan> own;  ///< the scenario's own, where it is whole and possible
  std::vector<PlanAnswer> why;
  std::size_t replayed = 0;
};

/// The title of a scenario with what was found in place of its own: its own title may name what it had.
std::string planned_title(const std::string& title, const std::string& found);

/// @throws InputError: the scenario is none of training, options name what is not there, or no plan fits (then with the
/// leanest); Interrupted.
PlanStudy plan_study(const std::string& file_or_name, const Environment& environment,
                     const std::vector<std::string>& sets, const PlanOptions& options);

/// The scenario with an open plan, on a chip that may lack the formats it asks for: those are set to BF16, and
/// `sets` says so for whoever loads it again. @return whether any was. @throws InputError for every other fault.
bool open_in_its_formats(const std::string& file_or_name, std::vector<std::string>& sets, const Libraries& libraries,
                         OpenScenario& open);

/// The estimator of a scenario's plans. `space` and scenario outlive what it makes.
MakeEstimator estimator_of(const Scenario& scenario, const PlanSpace& space);

/// The scenario's own plan, where it is whole: its degrees take all GPUs and everything divides.
std::optional<PlanChoice> own_plan(const Scenario& scenario, const PlanSpace& space);

/// The scenario with a plan, its phases too.
Scenario with_plan(const Scenario& base, const PlanChoice& choice, const PlanSpace& space);

/// Replays plans, `workers` at a time, in processes of their own. In the order of `plans`.
std::vector<ReplayedPlan> replay_plans(const Scenario& base, const PlanSpace& space,
                                       const std::vector<ScreenedPlan>& plans, const Environment& environment,
                                       std::span<const MetricExpression> where, int workers,
                                       const std::function<bool(std::size_t, std::size_t)>& progress);

/// "bubble 14 %, tensor exchange 9 %": the largest parts that are not compute.
std::string held_back(const StepParts& parts);

// What was found, where the scenario's own plan stands (may be empty), and how the search went, in sentences.
std::string answer_text(const PlanStudy& study);
std::string own_text(const PlanStudy& study);
/// In how many draws of what memory may be off by the first plan fits, and the fastest.
std::string fits_note(const PlanStudy& study);
std::string searched_text(const PlanStudy& study);

std::string to_text(const PlanStudy& study, const TextStyle& style = TextStyle());
std::string to_html(const PlanStudy& study);
report::PlanStudy to_message(const PlanStudy& study);
/// A row per plan.
std::string to_csv(const PlanStudy& study);
/// A scenario file that says the plan. @throws InputError where the rest of the scenario does not go with it.
std::string scenario_text(const PlanStudy& study, const PlanChoice& choice, const Environment& environment);

}  // namespace flopcast
