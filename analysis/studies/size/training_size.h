// The cluster for a training run: the fewest GPUs or the least money that train its tokens by a deadline, within a
// budget, on chips that may be had; each with its best plan.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/training/step_range.h"
#include "analysis/studies/plan/plan_study.h"
#include "scenarios/read/text/date.h"

namespace flopcast {

namespace report {
class TrainingSizeStudy;
}

struct TrainingSizeOptions {
  std::optional<Seconds> deadline;
  std::optional<Usd> budget;
  bool for_china = false;          ///< only chips that no rule in force on the day keeps from China
  std::optional<Date> date;        ///< of rules, launches and rents; none: the scenario's
  std::vector<std::string> nodes;  ///< kinds of nodes to try; empty: the scenario's own, or all where rules decide
  int most_gpus = 131072;          ///< of a cluster
  int workers = 1;
  std::function<bool(const std::string& stage, std::size_t done, std::size_t all)> progress;
};

/// A cluster with its best plan, for the whole run.
struct TrainingCluster {
  std::string node, gpu;
  int nodes = 0, gpus = 0;
  std::string beside;  ///< "2 x hgx-h20": the engine's own cluster of a loop, counted in gpus
  std::string text() const;
  std::string precision_note;  ///< where the chip cannot do what the scenario asks for
  ScreenedPlan plan;
  std::string layout;  ///< of a loop (rl_size.h), in place of the plan
  bool replayed = false;
  bool surely_fits = true;  ///< as `plan` has it
  int apart = 1;            ///< step, in nodes, between the sizes tried about it
  std::string best() const { return layout.empty() ? plan_text(plan.choice) : layout; }
  Seconds step;
  double days = 0, gpu_hours = 0;  ///< interruptions and ramp included where it was replayed
  std::optional<double> usd;
  std::optional<FigureRange> days_range;  ///< what steps and runs may be off by; none: it was not replayed
  std::optional<double> odds;             ///< of being in time and within the budget, as far as both are asked for
  std::optional<double> fits;             ///< share of the draws of memory within what its GPUs offer
  bool in_time = true, in_budget = true;
};

struct ChipLeftOut {
  std::string node, why;
  double times_over = 0;           ///< the bound of the rule that keeps it; 0: no bound does
  std::optional<Date> free_until;  ///< the last day on which no rule did
};

/// A node that no library has, for a chip that is in none.
struct NodeMadeUp {
  std::string node, what;
};

/// Sizes of which the closed form was asked.
struct SizesLookedAt {
  std::string node;
  std::vector<int> nodes;  ///< ascending
};

struct TrainingSize {
  Scenario base;
  double tokens = 0;
  double steps = 0;  ///< of a run of reinforcement learning, in place of tokens
  std::optional<Date> date;
  std::vector<TrainingCluster> met;      ///< the cheapest first; where prices are not known, the fewest GPUs first
  std::vector<TrainingCluster> not_met;  ///< the best that a chip can do, replayed as well
  std::vector<TrainingCluster> tried;    ///< every cluster for which a plan was found
  std::vector<SizesLookedAt> looked_at;  ///< plans that miss what is asked for by more than a little were not sought
  std::vector<ChipLeftOut> left_out;
  std::vector<NodeMadeUp> made;
};

/// @throws InputError: no run, neither deadline nor budget, a node that does not exist; Interrupted.
TrainingSize size_training(const std::string& file_or_name, const Environment& environment,
                           const std::vector<std::string>& sets, const TrainingSizeOptions& options);

std::string to_text(const TrainingSize& size, const TrainingSizeOptions& options, const TextStyle& style = TextStyle());
std::string to_csv(const TrainingSize& size);
std::string to_html(const TrainingSize& size, const TrainingSizeOptions& options);
report::TrainingSizeStudy to_message(const TrainingSize& size, const TrainingSizeOptions& options);
/// What was asked for and cannot be had, with what would have to change.
Diagnostic unmet(const TrainingSize& size, const TrainingSizeOptions& options);

}  // namespace flopcast
