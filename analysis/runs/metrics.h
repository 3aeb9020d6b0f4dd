// One table of metrics: every number and word that a report gives on its own, under one name everywhere. The JSON
// report, `flopcast run --csv`, `published` figures, claims and Python read it; a new metric is a row of
// training/training_metrics.cc, training/life_metrics.cc, training/collective_metrics.cc, serving/serving_metrics.cc,
// rl/rl_metrics.cc or parts/scenario_metrics.cc.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/runs/parts/metric_paths.h"
#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/training_report.h"
#include "flopcast/metrics.h"

namespace flopcast {

/// All metrics of a report, those without a value too, in the order of the JSON report.
std::vector<Metric> metrics(const TrainingReport& report);
std::vector<Metric> metrics(const CollectiveReport& report);
std::vector<Metric> metrics(const LifeReport& report);
std::vector<Metric> metrics(const ServingReport& report);
std::vector<Metric> metrics(const RlReport& report);

/// The metrics that reports of a kind have, without values. Entries of lists stand as "[NAME]".
struct MetricKind {
  std::string_view name;  ///< "training"
  std::vector<Metric> metrics;
};
std::vector<MetricKind> metric_kinds();

/// What is known of a metric of any kind without a report, by its name in a report of it. Empty: there is no such
/// metric.
std::optional<Metric> describe_metric(std::string_view name);

/// The metrics that a report of this scenario will have, without values; entries of lists by their names and by their
/// places.
std::vector<Metric> expected_metrics(const Scenario& scenario);

/// @throws InputError when a published figure is of something that no report of this scenario holds.
void check_published(const Scenario& scenario);

}  // namespace flopcast
