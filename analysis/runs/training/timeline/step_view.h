// The operations of a step for the viewer in a page: those of as many GPUs as make at most 90,000 events: what a page
// of 2 MB holds.
#pragma once
#include <vector>

#include "analysis/render/chart/timeline_view.h"
#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

class StepViewSink final : public TimelineSink {
 public:
  static constexpr std::size_t kMostEvents = 90'000;
  /// Takes the ranks of the first pipeline, then further ones, while there is room.
  explicit StepViewSink(const TrainingStep& step);
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  /// Call after the replay.
  const TimelineView& view() const { return view_; }
  std::size_t gpus_left_out() const { return left_out_; }

 private:
  static constexpr std::uint32_t kHidden = 0xffffffffu;
  TimelineView view_;
  std::vector<std::uint32_t> row_of_lane_;
  std::size_t left_out_ = 0;
};

}  // namespace flopcast
