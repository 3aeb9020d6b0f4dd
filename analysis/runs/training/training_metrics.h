// Metrics of a training step and its projection, of a collective and of a cluster's life: every number and word that
// such a report gives on its own. Null instead of a report lists what there is, without values.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/runs/parts/metric_rows.h"
#include "analysis/runs/training/training_report.h"

namespace flopcast {

std::vector<Metric> training_metrics(const TrainingReport* report);
std::vector<Metric> collective_metrics(const CollectiveReport* report);
std::vector<Metric> life_metrics(const LifeReport* report);

/// @param prefix path of the part with its dot: "projection.life."
void add_life_metrics(MetricList& list, const std::string& prefix, const JobLife* life, std::string_view why_absent);

}  // namespace flopcast
