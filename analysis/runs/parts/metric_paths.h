// Metrics by their names: the paths of fields in the JSON report.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flopcast/metrics.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Null: there is none of that name. An entry of a list may be asked for by its place too: "projection.phases[0].days".
const Metric* find_metric(std::span<const Metric> metrics, std::string_view name);

/// "projection.phases[pre-training].days" -> "projection.phases[NAME].days"
std::string any_entry(std::string_view name);

/// The metrics that a report of this scenario will have, without values; entries of lists by their names and by their
/// places. @param kind metrics of reports of its kind, entries of lists as "[NAME]"
std::vector<Metric> expected_metrics(const Scenario& scenario, std::span<const Metric> kind);

/// A metric for people.
struct FigureLabel {
  std::string name;             ///< "step", "GPU-hours, pre-training"
  std::string (*text)(double);  ///< 19.926 -> "19.926 s"
};

/// @param field of any report, such as `training.step_time_s` or `projection.phases[0].gpu_hours`; what is no metric
/// keeps its path as its name
FigureLabel find_label(std::span<const Metric> metrics, const std::string& field);

}  // namespace flopcast
