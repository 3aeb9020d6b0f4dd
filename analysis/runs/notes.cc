#include "analysis/runs/notes.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "hwmodels/kernels/calibration.h"
#include "scenarios/resolve/rl_scenario.h"

namespace flopcast {

std::string unmeasured_note(const Scenario& scenario) {
  std::vector<std::string> unmeasured;
  const auto look_at = [&](const ClusterSpec& cluster) {
    const GpuSpec& gpu = cluster.node.gpu;
    const bool named = std::find(unmeasured.begin(), unmeasured.end(), gpu.name) != unmeasured.end();
    if (!named && !scenario.kernels->measured(gpu)) unmeasured.push_back(gpu.name);
  };
  look_at(scenario.cluster);
  if (scenario.rl && scenario.rl->rollout_cluster) look_at(*scenario.rl->rollout_cluster);
  if (unmeasured.empty()) return "";
  return fmt::format("inferred: kernels of {} were not measured; rooflines of its own figures, with efficiencies of {}",
                     fmt::join(unmeasured, " and "), fmt::join(scenario.kernels->measured_dies(), ", "));
}

}  // namespace flopcast
