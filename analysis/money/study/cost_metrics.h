// Metrics of what a scenario costs (analysis/runs/metrics.h says what a metric is).
#pragma once
#include <vector>

#include "analysis/money/study/cost_study.h"
#include "analysis/runs/metrics.h"

namespace flopcast {

/// Sums; what they are made of and how far they spread is in the report's lists.
std::vector<Metric> metrics(const CostReport& report);

/// The kinds of metric_kinds() and those of priced scenarios.
std::vector<MetricKind> all_metric_kinds();

}  // namespace flopcast
