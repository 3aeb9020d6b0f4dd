#include "analysis/studies/policy/design_scenario.h"

#include <algorithm>
#include <cmath>

#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

// Half of a GPU's power goes with its computing rate: the line through the H100 (TPP 15,832, 700 W) and the
// H20 (2,368, 400 W), which share die and process (hwmodels/data/gpus), meets zero TPP at 347 W = 0.496 x 700
// W.
constexpr double kPowerWithoutCompute = 0.496;

void scale_peaks(GpuSpec& chip, double by) {
  chip.bf16_peak *= by;
  chip.fp8_peak *= by;
  chip.fp32_peak *= by;
  chip.sms = std::max(1, static_cast<int>(std::lround(chip.sms * by)));
}

}  // namespace

Watts power_of_design(double tpp_ratio, const GpuSpec& gpu) {
  return gpu.tdp * (kPowerWithoutCompute + (1 - kPowerWithoutCompute) * tpp_ratio);
}

void keep_some_sms(Scenario& scenario) {
  const int most = scenario.cluster.node.gpu.sms / 4;
  if (scenario.training) {
    scenario.training->communication_sms = std::min(scenario.training->communication_sms, most);
    return;
  }
  change_serving(scenario, [&](ServingScenario& serving) {
    for (PoolSpec& pool : serving.pools) pool.engine.communication_sms = std::min(pool.engine.communication_sms, most);
  });
}

void scale_compute(Scenario& scenario, double by) {
  scale_peaks(scenario.cluster.node.gpu, by);
  keep_some_sms(scenario);
}

void put_on_design(const ChipDesign& d, const ChipFigures& gpu, Scenario& scenario) {
  GpuSpec& chip = scenario.cluster.node.gpu;
  const double ratio = d.tpp / *gpu.tpp;
  chip.tdp = power_of_design(ratio, chip);
  scale_peaks(chip, ratio);
  chip.hbm_bandwidth = BytesPerSecond(d.memory * 1e9);
  const double per_direction = d.io * 1e9 / 2 - chip.pcie_bandwidth.value();
  const double own = gpu.io->value() / 2 - chip.pcie_bandwidth.value();
  const BytesPerSecond link = scenario.cluster.node.nvlink_bandwidth * (own > 0 ? per_direction / own : 1.0);
  scenario.cluster.node.nvlink_bandwidth = link;
  chip.nvlink_bandwidth = link;
}

}  // namespace flopcast
