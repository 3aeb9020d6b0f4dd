// From a scenario to a report: topology, prices, operation graph, replay, reduction.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "analysis/runs/training/replays.h"
#include "analysis/runs/training/training_report.h"
#include "hwmodels/fabric/topology.h"
#include "sim/base/diagnostic.h"
#include "sim/replay.h"

namespace flopcast {

/// The plan needs more memory than the GPU has. Carries what a person needs to change it.
class MemoryRefused : public InputError {
 public:
  /// @param field path of the plan in the scenario.
  MemoryRefused(const std::string& field, MemoryTable fullest, Bytes capacity, std::vector<std::string> remedies);
  MemoryRefused(Diagnostic diagnostic, MemoryTable fullest, Bytes capacity, std::vector<std::string> remedies);
  /// The same of the plan at another path.
  MemoryRefused at(const std::string& field) const { return {field, fullest_, capacity_, remedies_}; }
  /// The same, with the place of its field.
  MemoryRefused at(const Places& places) const;
  const MemoryTable& fullest() const { return fullest_; }
  Bytes capacity() const { return capacity_; }
  const std::vector<std::string>& remedies() const { return remedies_; }

 private:
  MemoryTable fullest_;
  Bytes capacity_;
  std::vector<std::string> remedies_;
};

/// @param scenario has `training`. @throws InputError, MemoryRefused, Interrupted.
TrainingReport run_training(const Scenario& scenario, const RunOptions& options);

/// @param scenario has `collective`. @throws InputError, Interrupted.
CollectiveReport run_collective(const Scenario& scenario, const RunOptions& options);

/// @param scenario has `cluster_life`. @throws InputError.
LifeReport run_cluster_life(const Scenario& scenario);

/// Kernels as they run for weeks, at the clock that the chip sustains under the kernels of the configuration.
KernelModel training_kernels(const Scenario& scenario, const TrainingConfig& config);

/// One step, priced and built but not replayed.
struct PreparedStep {
  std::unique_ptr<Topology> topology;
  std::unique_ptr<KernelModel> kernels;
  TrainingStep step;
};
/// @throws InputError when schedule or plan are wrong.
PreparedStep prepare_step(const Scenario& scenario, const TrainingConfig& config, StepExtent extent = {},
                          const std::function<bool()>& go_on = {});

/// So many that the schedule has settled: memory and the prices of further steps need no more.
StepExtent few_micro_batches(const TrainingConfig& config);

/// Of the tables of a step's pipeline ranks.
const MemoryTable& fullest(const std::vector<MemoryTable>& tables);
/// Of a run that was published, and so did run: what a GPU offers. 0: it is none.
double ran_in(const Scenario& scenario, const MemoryTable& table);
/// Refuses a step whose fullest GPU is over capacity; when that is allowed, says so in a note. @throws MemoryRefused.
void check_memory(const Scenario& scenario, const TrainingConfig& config, const TrainingStep& step, bool allow_oom,
                  std::vector<std::string>& notes);
/// Memory of the fullest GPU of the scenario's step. Looks at the phases' plans and at resilience too, as far
/// as that takes no replay. @throws InputError, MemoryRefused.
MemoryTable check_fit(const Scenario& scenario);
/// In which share of the draws of what memory may be off by the fullest GPU of a step holds it.
double share_that_fits(const Scenario& scenario, const StepErrors& errors);
/// What is said of a plan that fits in so few of them.
std::string unsure_fit(double share);

/// Replays the step of `config` on the scenario's cluster and returns how long it takes, nothing else.
Seconds step_time(const Scenario& scenario, const TrainingConfig& config, const RunOptions& options);

}  // namespace flopcast
