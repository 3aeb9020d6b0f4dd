// Metrics of a service: every number and word that its report gives on its own.
#pragma once
#include <vector>

#include "analysis/runs/serving/serving_run.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// Null instead of a report lists what there is, without values.
std::vector<Metric> serving_metrics(const ServingReport* report);

}  // namespace flopcast
