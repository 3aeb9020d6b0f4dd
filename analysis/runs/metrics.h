// One table of metrics: every number and word that a report gives on its own, under one name everywhere. The JSON
// report, `flopcast run --csv`, `published` figures, claims and Python read it; a new metric is a row of
// training/training_metrics.cc, training/life_metrics.cc, training/collective_metrics.cc, serving/serving_metrics.cc or
// scenario_metrics.cc.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/training_report.h"

namespace flopcast {

/// There is no value, and why.
struct Absent {
  std::string reason;
  /// So is everything else of this part of the report: JSON leaves the part out.
  bool whole_part = false;
};

/// Numbers are finite.
using MetricValue = std::variant<Absent, double, std::uint64_t, bool, std::string>;

struct Metric {
  /// Path of the field in the JSON report: "training.step_time_s", "projection.phases[pre-training].gpu_hours". An
  /// entry of a list goes by its name, or by its place in the list where it has none of its own.
  std::string name;
  std::string unit;     ///< "s", "bytes", "tokens/s"; "1" of shares and ratios, "count", "text", "yes/no"
  std::string title;    ///< as tables for people call it: "step"
  std::string meaning;  ///< for somebody who sees the metric for the first time
  MetricValue value;
  std::string (*text)(double) = nullptr;  ///< 19.926 -> "19.926 s"

  /// Of metrics that are numbers and have one.
  std::optional<double> number() const;
  /// The value for people; empty where there is none.
  std::string shown() const;
};

/// All metrics of a report, those without a value too, in the order of the JSON report.
std::vector<Metric> metrics(const TrainingReport& report);
std::vector<Metric> metrics(const CollectiveReport& report);
std::vector<Metric> metrics(const LifeReport& report);
std::vector<Metric> metrics(const ServingReport& report);

/// The metrics that reports of a kind have, without values. Entries of lists stand as "[NAME]".
struct MetricKind {
  std::string_view name;  ///< "training"
  std::vector<Metric> metrics;
};
std::vector<MetricKind> metric_kinds();

/// Null: there is none of that name. An entry of a list may be asked for by its place too: "projection.phases[0].days".
const Metric* find_metric(std::span<const Metric> metrics, std::string_view name);

/// What is known of a metric of any kind without a report, by its name in a report of it. Empty: there is no such
/// metric.
std::optional<Metric> describe_metric(std::string_view name);

/// The metrics that a report of this scenario will have, without values; entries of lists by their names and by their
/// places.
std::vector<Metric> expected_metrics(const Scenario& scenario);

}  // namespace flopcast
