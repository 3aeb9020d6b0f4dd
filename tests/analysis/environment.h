// The libraries and calibrations of this source tree, for tests and benchmarks.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "analysis/face/environment_data.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/scenario.h"
#include "tests/paths.h"

namespace flopcast::testing {

inline const Environment& environment() {
  static const Environment kEnvironment(std::make_shared<const EnvironmentData>(Libraries({source_dir()})));
  return kEnvironment;
}

inline Scenario resolved(const std::string& name_or_file, std::span<const std::string> sets = {}) {
  return resolve(name_or_file, environment(), {sets.begin(), sets.end()}).value();
}

/// Of the scenario's GPU.
inline PowerModel power_of(const Scenario& scenario) {
  return environment().data().power(scenario.cluster.node.gpu.architecture);
}

}  // namespace flopcast::testing
