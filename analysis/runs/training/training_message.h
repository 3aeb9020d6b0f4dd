// Reports of steps, collectives and clusters' lives as report.proto messages: metrics by their names, lists by hand.
#pragma once
#include "analysis/runs/training/training_report.h"
#include "scenarios/proto/report.pb.h"

namespace flopcast {

/// Everything but `program`, which only the program knows.
report::Report to_message(const TrainingReport& report);
report::Report to_message(const CollectiveReport& report);
report::Report to_message(const LifeReport& report);

}  // namespace flopcast
