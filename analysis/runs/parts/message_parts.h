// Parts of reports as report.proto messages: metrics by their names, the small print. Look-ups of fields by path.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/runs/parts/run_facts.h"
#include "flopcast/metrics.h"
#include "scenarios/proto/report.pb.h"

namespace flopcast {

/// Metrics into the fields of their names. What is absent keeps the field's default; so does all of a part that a
/// report does not have, which JSON leaves out.
void fill(std::span<const Metric> metrics, google::protobuf::Message& message);

/// Slow GPUs and links of a loop, also those of the engine's own cluster.
void add_slow_parts(const Scenario& scenario, report::Report& message);

/// What stands at the end of every report.
void add_small_print(const std::vector<Comparison>& comparisons, const std::vector<std::string>& notes,
                     const std::vector<std::string>& defaults_used, report::Report& message);

/// The number at a path such as `training.step_time_s`, `projection.phases[0].gpu_hours` or
/// `projection.phases[pre-training].gpu_hours`. Empty: there is none.
std::optional<double> number_at(const google::protobuf::Message& message, const std::string& path);

}  // namespace flopcast
