// Times of a timeline in the Chrome trace format: text that readers add up to what stands beside it.
#pragma once
#include <cstdint>
#include <string>

#include "sim/base/units.h"

namespace flopcast {

/// The nearest whole nanosecond, the finest that traces are printed to.
std::int64_t nanoseconds(Seconds time);
/// Microseconds, as the format wants them, to the nanosecond.
std::string microseconds(std::int64_t ns);
/// The duration to print, in nanoseconds. Readers add it to the start in floating point, and nest an event wrongly, or
/// never close it, when the sum comes out a rounding error past the start of the next: then it is a nanosecond shorter.
std::int64_t duration_within(std::int64_t start, std::int64_t end);

}  // namespace flopcast
