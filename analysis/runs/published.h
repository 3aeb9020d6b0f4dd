// What a scenario says was published beside what its report predicts.
#pragma once
#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/training_report.h"

namespace flopcast {

/// @throws InputError when a published figure is of something that no report of this scenario holds.
void check_published(const Scenario& scenario);

/// Fills report.comparisons. Figures that the report turns out to lack become notes, with the reason.
void compare_with_published(TrainingReport& report);
void compare_with_published(CollectiveReport& report);
void compare_with_published(LifeReport& report);
void compare_with_published(ServingReport& report);
void compare_with_published(RlReport& report);

}  // namespace flopcast
