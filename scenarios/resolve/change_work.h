// What studies change of a scenario's work, and how many GPUs it takes.
#pragma once
#include <cassert>
#include <memory>
#include <utility>

#include "scenarios/resolve/rl/rl_scenario.h"
#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {

/// Calls change(ServingScenario&) on what a scenario serves. Others may share the value, so it is copied first.
template <class Change>
void change_serving(Scenario& scenario, Change&& change) {
  assert(scenario.serving);
  auto copy = std::make_shared<ServingScenario>(*scenario.serving);
  std::forward<Change>(change)(*copy);
  scenario.serving = std::move(copy);
}

/// The same of its loop: change(RlScenario&).
template <class Change>
void change_loop(Scenario& scenario, Change&& change) {
  assert(scenario.rl);
  auto copy = std::make_shared<RlScenario>(*scenario.rl);
  std::forward<Change>(change)(*copy);
  scenario.rl = std::move(copy);
}

/// GPUs that its work takes: of a loop or a service those that it runs on, of all else the cluster's.
inline int gpus_at_work(const Scenario& scenario) {
  return scenario.rl ? scenario.rl->gpus() : scenario.serving ? scenario.serving->gpus() : scenario.cluster.gpus();
}

}  // namespace flopcast
