// Runs of training, of a collective and a job's life as pages.
#pragma once
#include <string>

#include "analysis/render/chart/timeline_view.h"
#include "analysis/runs/training/timeline/pipeline_picture.h"
#include "analysis/runs/training/training_report.h"

namespace flopcast {

/// What a page shows of the replay beside the report; either may be null.
struct StepPictures {
  const PipelineTimes* pipeline = nullptr;
  const TimelineView* timeline = nullptr;
  std::size_t gpus_left_out = 0;  ///< of the timeline
};

std::string to_html(const TrainingReport& report, const StepPictures& pictures);
std::string to_html(const CollectiveReport& report);
std::string to_html(const LifeReport& report);

}  // namespace flopcast
