// What a sweep keeps of each candidate and judges it by: columns of metrics, conditions, goals.
#pragma once
#include <string>
#include <vector>

#include "analysis/studies/sweep/study/sweep_study.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/study.pb.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// What a study says of it, and where.
struct StatedJudgement {
  const proto::Study& study;
  const Places& places;
  const std::vector<std::string>& places_of_axes;  ///< where each axis of the sweep is stated
  const Environment& environment;
};

/// Fills in what is kept and its units, conditions before and after a run, and goals. Faults join the list.
/// @pre bases and axes of `out` are sound.
void read_judgement(const StatedJudgement& in, Diagnostics& faults, SweepStudy& out);

/// Metrics that a report of the scenario will have, without values.
std::vector<Metric> metrics_expected_of(const ResolvedScenario& scenario);

}  // namespace flopcast
