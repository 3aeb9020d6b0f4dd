// Reports as report.proto messages, and look-ups of their fields by path.
#pragma once
#include <optional>
#include <string>

#include "analysis/runs/training/training_report.h"
#include "scenarios/proto/report.pb.h"

namespace flopcast {

/// Everything but `program`, which only the program knows.
report::Report to_message(const TrainingReport& report);
report::Report to_message(const CollectiveReport& report);
report::Report to_message(const LifeReport& report);

/// The number at a path such as `training.step_time_s`, `projection.phases[0].gpu_hours` or
/// `projection.phases[pre-training].gpu_hours`. Empty: there is none.
std::optional<double> number_at(const google::protobuf::Message& message, const std::string& path);

/// @throws InputError when a published figure is of something that no report of this scenario holds.
void check_published(const Scenario& scenario);

/// Fills report.comparisons from what the scenario says was published. Fields that the report lacks become
/// notes.
void compare_with_published(TrainingReport& report);
void compare_with_published(LifeReport& report);

}  // namespace flopcast
