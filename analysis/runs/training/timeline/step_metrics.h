// Where the time of one training step went, rank by rank.
//
// The step of a rank is cut at its passes. Pass i owns the interval from max(its first start, end of interval
// i-1) to max(its last end, end of interval i-1), over its operations on the compute and communication lanes
// (sends to other stages leave the rank free and are left out). What lies between two passes is bubble,
// unless a gradient collective, the optimiser or the parameter gather runs there; one that a pass began and that
// outlasts it counts where no other stage is waited for: behind the last pass, and everywhere without a pipeline.
// The parts of a rank therefore sum to the step time.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/timeline.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// The step of one rank (or the mean over ranks), cut into parts that sum to the step time.
struct TimeParts {
  Seconds forward;          ///< 1F: passes that only run forward
  Seconds backward_input;   ///< 1B: gradient of the input
  Seconds backward_weight;  ///< 1W: gradient of the weights, passes of their own and their share of full
                            ///< backwards
  Seconds overlapped;       ///< 1F1B: a forward and a backward interleaved
  Seconds bubble;           ///< nothing to do: waiting for another rank
  Seconds gradient_reduction;
  Seconds optimizer_update;  ///< gradient norm and AdamW
  Seconds parameter_gather;

  /// What published tables call the optimiser: everything that is neither pass nor bubble.
  Seconds optimizer() const { return gradient_reduction + optimizer_update + parameter_gather; }
  Seconds passes() const { return forward + backward_input + backward_weight + overlapped; }
  Seconds total() const { return passes() + bubble + optimizer(); }
};

struct RankMetrics {
  TimeParts parts;
  Seconds exposed_communication;  ///< inside the passes: the compute lane is idle
  Seconds host;                   ///< inside the passes: the GPU waits for its host, communication or not
  Seconds compute_busy;           ///< whole step
  Seconds communication_busy;     ///< whole step
};

/// Watches a replay. Holds 40 bytes per pass, whatever the run does.
class StepMetricsSink final : public TimelineSink {
 public:
  explicit StepMetricsSink(const TrainingStep& step);
  void finished(const OperationGraph& graph, const OpSpan& span) override;

  /// One entry per replayed rank, in the order of step.ranks. Call after the replay. What stands for many passes counts
  /// as many, so that parts sum to the time of the whole step.
  /// @param step_time of what was replayed
  std::vector<RankMetrics> reduce(Seconds step_time) const;

 private:
  struct PassTimes {
    Seconds start{1e300}, end;
    Seconds compute;  // busy time of the compute lane
    Seconds weight;   // of it, gradients of weights
    Seconds host;     // of it, messages that the host takes in
  };
  struct OtherSpan {  // an operation beside the passes: collectives and optimiser
    OpName name;
    Seconds start, end;
    bool begun_in_pass = false;
  };
  std::uint32_t pass_of(std::uint32_t rank, OpId op);
  void finished_in_pass(std::size_t pass, LaneId lane, OpName name, const OpSpan& span);
  RankMetrics reduce_rank(std::size_t rank, std::size_t first_pass, std::size_t end_pass, Seconds step_time) const;

  const TrainingStep& step_;
  std::vector<std::uint32_t> rank_of_lane_;  // index into step.ranks
  /// Passes of a rank, and the one looked at last: what ends next is of it or of one beside it.
  struct RankPasses {
    std::uint32_t begin = 0, end = 0, last = 0;
  };
  std::vector<RankPasses> passes_of_rank_;
  std::vector<PassTimes> passes_;
  std::vector<std::vector<OtherSpan>> others_;  // per rank, a handful
  std::vector<Seconds> compute_busy_, communication_busy_;
};

/// Mean over the GPUs that the replayed ranks stand for.
RankMetrics weighted_mean(const std::vector<RankMetrics>& metrics, const std::vector<ReplayedRank>& ranks);

}  // namespace flopcast
