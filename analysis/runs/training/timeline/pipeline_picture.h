// The pipeline of a step as a picture: a row per pipeline rank, time from left to right, a block per pass. The same
// drawing as in papers on pipeline schedules, but to scale and from the replay.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/chart/chart.h"
#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// When each pass of one pipeline ran.
struct PipelineTimes {
  struct Block {
    std::size_t row;  ///< pipeline rank
    Pass pass;
    Seconds start{1e300}, end;
  };
  struct Ending {  ///< gradient collectives and optimiser, after the last pass
    std::size_t row;
    OpName name;
    Seconds start, end;
  };
  std::size_t rows = 0;
  std::vector<std::vector<int>> stage_of;  ///< [pipeline rank][chunk]
  std::vector<Block> blocks;               ///< grouped by rank, in the order of the schedule
  std::vector<Ending> endings;
  Seconds end;
};

/// Collects them. Holds 32 bytes per pass.
class PipelinePictureSink final : public TimelineSink {
 public:
  explicit PipelinePictureSink(const TrainingStep& step);
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  /// Call after the replay.
  const PipelineTimes& times() const { return times_; }

 private:
  std::vector<int> row_of_lane_;  // pipeline rank; -1: another pipeline, or not a compute or communication lane
  std::vector<std::uint32_t> block_of_op_;  // index into blocks; kNone outside passes
  PipelineTimes times_;
};

/// A self-contained SVG document.
std::string picture_svg(const PipelineTimes& times);

/// The same for a page: zoomed and pointed at there, a still picture on paper.
/// @param bubble share of the step, as the report states it
Drawing drawing_of(const PipelineTimes& times, double bubble);

Tone tone_of(PassKind kind);
/// Of an operation of a training step, wherever it is shown.
Tone tone_of(OpName name);

}  // namespace flopcast
