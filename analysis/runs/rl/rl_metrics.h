// Metrics of a loop of reinforcement learning: every number and word that its report gives on its own.
#pragma once
#include <vector>

#include "analysis/runs/rl/rl_report.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// Null instead of a report lists what there is, without values.
std::vector<Metric> rl_metrics(const RlReport* report);

}  // namespace flopcast
