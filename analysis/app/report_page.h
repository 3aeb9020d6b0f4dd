// The page of a report: one for every kind of work, with pictures of the replay where there was one.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "analysis/face/report_data.h"
#include "analysis/face/run.h"
#include "analysis/render/chart/timeline_view.h"
#include "analysis/runs/training/timeline/pipeline_picture.h"

namespace flopcast {

/// What pictures show of a run; hooks fill it when the run lets go of its sinks.
struct StepShown {
  PipelineTimes pipeline;
  std::optional<TimelineView> timeline;
  std::size_t gpus_left_out = 0;
  std::string order;  ///< of passes, in the notation of `training.schedule_file`; empty where that would be very long
};

/// Adds what fills `shown`, which outlives the run. @param timeline also every operation
void show_step(RunHooks& hooks, StepShown& shown, bool timeline);

std::string to_html(const ReportData& data, const StepShown& shown);

}  // namespace flopcast
