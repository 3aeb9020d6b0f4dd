// The eight steps that DualPipe and DualPipeV share.
#pragma once
#include "workloads/schedules/rank_order.h"

namespace flopcast {

/// One rank's view. "Near" is the chunk whose input enters the pipeline at the rank's nearer end, "far" the
/// other; for DualPipeV near is the way down the V and far the way back up.
struct DualPipeRank {
  int half = 1;           ///< ranks from the end to the middle: P/2 for DualPipe, P for DualPipeV
  int distance = 0;       ///< k, from the end: 0 .. half-1; half-1 is the middle rank
  int micro_batches = 2;  ///< m that each of the two chunks meets, at least 2 half
  int near = 0;           ///< chunk numbers
  int far = 1;
};

/// Appends the order of `rank` to `order`.
void append_dualpipe_order(RankOrder& order, const DualPipeRank& rank);

}  // namespace flopcast
