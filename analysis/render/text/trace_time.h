// Times of a timeline in the Chrome trace format: text that readers add up to what stands beside it.
#pragma once
#include <cstdint>
#include <string>

#include "sim/base/units.h"

namespace flopcast {

/// Moments and durations of a trace, in whole eighths of a microsecond. Readers keep microseconds in floating point,
/// take the first time of a trace off all others and add durations to starts: sums of eighths are exact there, so that
/// the end of an event is never a rounding error past the start of the next, which viewers take for a nested event.
using ViewerTime = std::int64_t;

/// The nearest: a start, an end, the moment of a count.
ViewerTime trace_time(Seconds time);
/// Microseconds, as the format wants them, "12.375".
std::string microseconds(ViewerTime time);

}  // namespace flopcast
