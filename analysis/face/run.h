// run() for callers inside this tree, who may also look at every operation and request as they end.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/run.h"
#include "flopcast/run.h"

namespace flopcast {

class EnvironmentData;

struct RunHooks {
  /// Further sinks of the step's replay; made when the graph is known, gone when the run ends.
  std::vector<std::function<std::unique_ptr<TimelineSink>(const TrainingStep&)>> sinks;
  ResultSink on_result;  ///< of every request; may be empty
  SessionKeeper keeper;  ///< of serving
  bool ranges = true;    ///< of serving: false leaves them out, and the replays that they take
};

/// As run() of flopcast/run.h.
Report run(const ResolvedScenario& scenario, const Environment& environment, const RunSettings& settings,
           const RunHooks& hooks);

/// The settings and what the environment knows, as the runs of training and collectives take them.
RunOptions run_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings);

/// The same for reinforcement learning.
RlOptions rl_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings);

/// The same for serving.
ServingOptions serving_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings);

/// Of the chip that a loop's engine has, where it runs on a cluster of its own.
std::optional<PowerModel> engine_power(const Scenario& scenario, const EnvironmentData& data);

}  // namespace flopcast
