// Electric power of a GPU and its share of the node: idle plus what the work adds.
#pragma once
#include <string>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/units.h"

namespace flopcast {

/// Fractions of the rated power, measured on whole nodes and single GPUs (analysis/data/power.csv).
struct PowerModel {
  double busy_fraction = 1.0;  ///< of GPU and node power while the GPU computes
  double idle_fraction = 0.0;  ///< of GPU power while it waits
  std::string source;
};

/// The row of `table` (text of analysis/data/power.csv) for an architecture, else its row for any
/// architecture.
/// @throws InputError when the table is malformed.
PowerModel find_power_model(const std::string& table, const std::string& file, const std::string& architecture);

/// Average power per GPU at the wall of the IT equipment, the node's share included.
struct StepPower {
  Watts training;  ///< averaged over a step
  Watts standing;  ///< waiting for a checkpoint or a restart
};

/// @param busy_share part of the step during which the compute lane works.
StepPower step_power(const NodeSpec& node, const PowerModel& model, double busy_share);

}  // namespace flopcast
