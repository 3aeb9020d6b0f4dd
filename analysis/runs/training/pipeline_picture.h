// The pipeline of a step as a picture: a row per pipeline rank, time from left to right, a block per pass. The same
// drawing as in papers on pipeline schedules, but to scale and from the replay.
#pragma once
#include <string>
#include <vector>

#include "sim/timeline.h"
#include "workloads/training/training_step.h"

namespace flopcast {

/// Collects when each pass of one pipeline ran; draws it as SVG. Holds 16 bytes per pass.
class PipelinePictureSink final : public TimelineSink {
 public:
  explicit PipelinePictureSink(const TrainingStep& step);
  void finished(const OperationGraph& graph, const OpSpan& span) override;
  /// A self-contained SVG document. Call after the replay.
  std::string svg() const;

 private:
  struct Block {
    std::size_t row;
    PassKind kind;
    Seconds start{1e300}, end;
  };
  struct Ending {  // gradient collectives and optimiser, after the last pass
    std::size_t row;
    Seconds start, end;
  };
  const TrainingStep& step_;
  std::vector<int> row_of_lane_;  // pipeline rank; -1: another pipeline, or not a compute or communication lane
  std::vector<std::uint32_t> block_of_op_;  // index into blocks_; kNone outside passes
  std::vector<Block> blocks_;
  std::vector<Ending> endings_;
  Seconds end_;
};

}  // namespace flopcast
