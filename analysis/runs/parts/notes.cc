#include "analysis/runs/parts/notes.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "hwmodels/kernels/calibration.h"
#include "hwmodels/kernels/kernels.h"
#include "scenarios/resolve/rl/rl_scenario.h"

namespace flopcast {
namespace {

std::vector<const ClusterSpec*> clusters_at_work(const Scenario& scenario) {
  std::vector<const ClusterSpec*> out = {&scenario.cluster};
  if (scenario.rl && scenario.rl->rollout_cluster) out.push_back(&*scenario.rl->rollout_cluster);
  return out;
}

}  // namespace

std::string unmeasured_note(const Scenario& scenario) {
  std::vector<std::string> unmeasured, partly;
  for (const ClusterSpec* cluster : clusters_at_work(scenario)) {
    const GpuSpec& gpu = cluster->node.gpu;
    const auto add = [&](std::vector<std::string>& to, std::string text) {
      if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(std::move(text));
    };
    if (!scenario.kernels->measured(gpu)) {
      add(unmeasured, gpu.name);
      continue;
    }
    std::vector<std::string_view> missing;
    for (const KernelFamily family : scenario.kernels->missing(gpu)) missing.push_back(name(family));
    if (!missing.empty()) add(partly, fmt::format("{} ({})", gpu.name, fmt::join(missing, ", ")));
  }
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

std::string unkept_limit_note(const Scenario& scenario) {
  if (scenario.training && !scenario.training->mechanisms.board_limit) return "";
  std::string note;
  for (const ClusterSpec* cluster : clusters_at_work(scenario)) {
    const GpuSpec& gpu = cluster->node.gpu;
    const KernelModel kernels(gpu, scenario.kernels);
    const std::optional<Watts> least = kernels.least_power();
    if (!least || gpu.tdp >= *least) continue;
    note += fmt::format(
        "{}no {} keeps to {:.0f} W: with a program on it and no kernel it draws {:.0f} W, with large matrix "
        "products at its lowest clock {:.0f} W, and slower than that it does not get",
        note.empty() ? "" : "; ", gpu.name, gpu.tdp.value(), kernels.idle()->value(), least->value());
  }
  return note;
}

std::string late_host_note(const Scenario& scenario, Seconds waits, Seconds step) {
  constexpr double kWorthSaying = 0.15;
  if (!scenario.training || scenario.training->cuda_graphs || waits < step * kWorthSaying) return "";
  return fmt::format(
      "GPUs wait {:.0f} % of the step for their hosts to launch kernels one by one; where the recipe has CUDA "
      "graphs, state them (training.cuda_graphs, training.iteration_graph)",
      100 * (waits / step));
}

}  // namespace flopcast
