// When the passes of a schedule would run if each kind took a fixed time and messages none: the bare
// arithmetic of a schedule, to hold against its closed form. The replay (training_step.h) prices passes and
// messages instead.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {

/// One time per kind of pass, the same on every stage.
struct PassDurations {
  Seconds forward;
  Seconds backward_input;
  Seconds backward_weight;
  Seconds backward;    ///< full
  Seconds overlapped;  ///< a forward and a full backward together

  /// Full backward = B + W and nothing gained by overlapping: F&B = F + B + W.
  static PassDurations plain(Seconds forward, Seconds backward_input, Seconds backward_weight);
  Seconds of(PassKind kind) const;
};

struct PassSpan {
  Seconds start, end;
};

/// A pass that can never start, and the first result it waits for.
struct StuckPass {
  int rank = 0;
  std::size_t position = 0;  ///< in the rank's order
  Pass pass;
  PassKind awaited = PassKind::forward;  ///< forward, backward or backward_input
  int awaited_stage = 0;
  int awaited_micro_batch = 0;
};
/// `rank 3 waits at B7.1 for stage 4's B7`
std::string to_string(const StuckPass& stuck);

struct ScheduleTiming {
  Seconds makespan;
  std::vector<std::vector<PassSpan>> spans;  ///< [rank][position]; filled up to where a rank is stuck
  std::vector<Seconds> busy;                 ///< [rank]
  std::vector<StuckPass> stuck;              ///< one per rank that cannot finish; empty for a sound schedule

  /// Idle time up to the end of the step.
  Seconds bubble(int rank) const { return makespan - busy[rank]; }
  /// Idle time between a rank's own first and last pass.
  Seconds gaps(int rank) const { return spans[rank].back().end - spans[rank].front().start - busy[rank]; }
};

/// Runs every rank's passes in order, each as soon as its rank is free and its inputs are there:
/// F needs F of the stage before; B needs its own F and B of the stage after; W needs its own B.
/// @param schedule sizes, chunks, stages and micro-batches in range.
ScheduleTiming time_schedule(const Schedule& schedule, const PassDurations& durations);

}  // namespace flopcast
