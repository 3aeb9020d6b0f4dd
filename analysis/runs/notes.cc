#include "analysis/runs/notes.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "hwmodels/kernels/calibration.h"
#include "scenarios/resolve/rl/rl_scenario.h"

namespace flopcast {

std::string unmeasured_note(const Scenario& scenario) {
  std::vector<std::string> unmeasured, partly;
  const auto look_at = [&](const ClusterSpec& cluster) {
    const GpuSpec& gpu = cluster.node.gpu;
    const auto add = [&](std::vector<std::string>& to, std::string text) {
      if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(std::move(text));
    };
    if (!scenario.kernels->measured(gpu)) return add(unmeasured, gpu.name);
    std::vector<std::string_view> missing;
    for (const KernelFamily family : scenario.kernels->missing(gpu)) missing.push_back(name(family));
    if (!missing.empty()) add(partly, fmt::format("{} ({})", gpu.name, fmt::join(missing, ", ")));
  };
  look_at(scenario.cluster);
  if (scenario.rl && scenario.rl->rollout_cluster) look_at(*scenario.rl->rollout_cluster);
  std::string note;
  if (!unmeasured.empty())
    note =
        fmt::format("inferred: kernels of {} were not measured; rooflines of its own figures, with efficiencies of {}",
                    fmt::join(unmeasured, " and "), scenario.kernels->lender());
  if (!partly.empty())
    note += fmt::format(
        "{}of the kernels of {} those in brackets were not measured on its die: the nearest that were price them, or "
        "{}'s efficiencies with its figures",
        note.empty() ? "" : "; ", fmt::join(partly, " and "), scenario.kernels->lender());
  return note;
}

}  // namespace flopcast
