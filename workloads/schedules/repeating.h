// Where the schedule of a step of many micro-batches repeats itself: a schedule of few, with a stretch of passes on
// every rank that comes again and again in the long one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "workloads/schedules/schedule.h"

namespace flopcast {

/// Positions in the order of one rank.
struct RepeatedPasses {
  std::size_t begin = 0, end = 0;            ///< the stretch that is repeated: one period
  std::size_t seen_begin = 0, seen_end = 0;  ///< around it: each of them does what the one a period before it does
  std::size_t period() const { return end - begin; }
};

struct ShortenedSchedule {
  Schedule schedule;
  std::int64_t more = 0;  ///< how often the stretch comes beside the once that it is there
  std::vector<RepeatedPasses> of_rank;
};

/// The schedule of `request` with fewer micro-batches, at least `at_least`. Between the two lie whole periods, the same
/// for every rank: the long order is the short one with its stretch repeated, micro-batches counted on. No pass up to
/// the end of a rank's stretch waits for a pass behind the end of another's, and the passes that are alike reach
/// further back from it than a micro-batch stays in the pipeline. A step in which the times of these passes repeat up
/// to the stretch, and of all that runs beside it, therefore goes on in the same way however often the stretch comes
/// (training/step/steady_state.h). Nothing when the schedule is not that long, or does not repeat.
/// @pre row.check(request) found nothing.
std::optional<ShortenedSchedule> shorten(const ScheduleRow& row, const ScheduleRequest& request, int at_least);

/// Micro-batches that are worth trying first: warm-up, a stretch with what is seen around it, drain.
int usual_shortened(int ranks);

}  // namespace flopcast
