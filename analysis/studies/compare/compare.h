// Scenarios side by side, and the difference between two of them attributed to causes.
//
// The causes are turned on one after the other, once in the order given and once in the reverse, and each
// time the step, or the service, is replayed. A cause adds what it takes longer with it than with those
// before it; the steps of either order sum to the whole difference. Where a cause adds more in one order than
// in the other it interacts with the rest: that difference is shown. `alone` is what it does to the first
// scenario by itself; what these do not sum to is interaction.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/serving/served_figures.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/compare/causes.h"
#include "analysis/studies/compare/loop_causes.h"
#include "sim/base/fields.h"

namespace flopcast {

/// What a waterfall is of.
enum class Measure : std::uint8_t {
  step,
  training_hours,
  answer_hours,
  prompt_hours,
  tpot,
  ttft,
  answer_usd,
  loop_step,
  loop_hours,
};
struct MeasureRow {
  Measure measure;
  std::string_view id;    ///< on the command line, where the metric's name will do too
  std::string_view name;  ///< "GPU-hours per 10^6 output tokens"
  std::string_view unit;  ///< "s", "ms", "GPU-h" or "USD"
  enum class Of : std::uint8_t { training, serving, loop } of;  ///< what kind of scenario has it
  std::string_view metric;  ///< of which it is, in its own unit; empty: no metric says it
};
std::span<const MeasureRow> measures();

/// One scenario of the comparison, replayed. What concerns steps is empty where `service` is there.
struct ComparedScenario {
  std::string name;
  std::string title;
  std::string hardware;  ///< "2,048 x NVIDIA H800 80GB SXM5"
  int gpus = 0;
  int gpus_per_node = 1;
  double tokens_per_step = 0;
  Seconds step;
  double mfu = 0;                  ///< causal, of the BF16 peak
  double bubble = 0, exposed = 0;  ///< shares of the step
  Bytes memory, capacity;          ///< of the fullest GPU
  bool fits() const { return memory <= capacity; }
  /// GPU-hours for 10^12 tokens at this pace: comparable whatever batch and cluster are.
  double gpu_hours_per_trillion() const { return step.value() * gpus / 3600 / tokens_per_step * 1e12; }
  std::optional<ServedFigures> service;
  std::vector<LoopFigure> loop;  ///< of a loop: its metrics that are numbers
  // Of the whole run, where the scenario has one:
  std::optional<double> run_gpu_hours;
  std::optional<Usd> run_cost;
  std::optional<Joules> run_energy;
  std::vector<std::string> remarks;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &ComparedScenario::name);
    field("title", &ComparedScenario::title);
    field("hardware", &ComparedScenario::hardware);
    field("gpus", &ComparedScenario::gpus);
    field("gpus_per_node", &ComparedScenario::gpus_per_node);
    field("tokens_per_step", &ComparedScenario::tokens_per_step);
    field("step", &ComparedScenario::step);
    field("mfu", &ComparedScenario::mfu);
    field("bubble", &ComparedScenario::bubble);
    field("exposed", &ComparedScenario::exposed);
    field("memory", &ComparedScenario::memory);
    field("capacity", &ComparedScenario::capacity);
    field("service", &ComparedScenario::service);
    field("loop", &ComparedScenario::loop);
    field("run_gpu_hours", &ComparedScenario::run_gpu_hours);
    field("run_cost", &ComparedScenario::run_cost);
    field("run_energy", &ComparedScenario::run_energy);
    field("remarks", &ComparedScenario::remarks);
  }
};

/// What a cause adds to the measure of a waterfall.
struct CauseShare {
  std::string id, title, change;
  double forward = 0;  ///< after those above it
  double reverse = 0;  ///< after those below it
  double alone = 0;    ///< on the first scenario by itself
  double mean() const { return (forward + reverse) / 2; }
  double interaction() const { return forward - reverse; }
};

/// From one scenario to another. `start` + the forward shares + `unexplained` = `end`; so with the reverse
/// ones.
struct Waterfall {
  std::size_t from = 0, to = 0;  ///< of Comparison::scenarios
  std::string measure;           ///< as MeasureRow::name
  std::string unit;              ///< as MeasureRow::unit
  double start = 0, end = 0;
  std::vector<CauseShare> causes;
  double unexplained = 0;  ///< by fields that no cause covers; 0 as far as is known
  double sum_alone() const;
  double interaction() const { return end - start - unexplained - sum_alone(); }
  std::vector<std::string> remarks;
};

struct ScenarioComparison {
  std::string title;
  std::vector<ComparedScenario> scenarios;
  std::vector<Waterfall> waterfalls;  ///< from the first scenario to each other one
  std::vector<std::string> notes;
};

struct CompareOptions {
  RunOptions run;
  int workers = 1;
  bool whole_runs = true;  ///< project scenarios with phases
  /// Absent: steps of equal work by their time, others by GPU-hours for so many tokens.
  std::optional<Measure> measure;
};

/// @param scenarios two or more with `training`, with `serving`, or with `rl`. @throws InputError.
ScenarioComparison compare(const std::vector<Scenario>& scenarios, const CompareOptions& options);

/// The scenario beside itself with all of `causes` turned on.
ScenarioComparison compare(const Scenario& scenario, const std::vector<Cause>& causes, const CompareOptions& options);

/// Step of a training scenario, or 10^6 tokens of a service, with some of its fields changed; memory is
/// looked at, never refused. For sweeps of what-ifs: replays all of `scenarios`, `workers` at a time, results
/// in their order.
struct QuickStep {
  Seconds step;
  double tokens = 0;
  Bytes memory, capacity;  ///< of the GPU that is fullest
  std::string fault;       ///< it cannot run

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("step", &QuickStep::step);
    field("tokens", &QuickStep::tokens);
    field("memory", &QuickStep::memory);
    field("capacity", &QuickStep::capacity);
    field("fault", &QuickStep::fault);
  }
};
std::vector<QuickStep> quick_steps(const std::vector<Scenario>& scenarios, const CompareOptions& options);

}  // namespace flopcast
