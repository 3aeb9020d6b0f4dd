// The clock of a serving session: whole picoseconds. Sums of whole numbers do not depend on the order in
// which they are added up, so a hundred iterations jumped over at once end exactly where a hundred single
// ones do.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "sim/base/units.h"

namespace flopcast {

using Ticks = std::int64_t;  ///< picoseconds; 106 days fit
constexpr Ticks kNeverTick = std::numeric_limits<Ticks>::max();
constexpr double kTicksPerSecond = 1e12;
/// The longest session: beyond it the clock would come near its end.
constexpr Seconds kLongestSession{100.0 * 86400};

inline Ticks to_ticks(Seconds time) {
  if (!(time < kLongestSession)) return kNeverTick;
  return static_cast<Ticks>(std::llround(time.value() * kTicksPerSecond));
}
constexpr Seconds to_seconds(Ticks ticks) { return Seconds(static_cast<double>(ticks) / kTicksPerSecond); }

}  // namespace flopcast
