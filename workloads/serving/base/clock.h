// The clock of a serving session: whole picoseconds. Sums of whole numbers do not depend on the order in
// which they are added up, so a hundred iterations jumped over at once end exactly where a hundred single
// ones do.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "sim/base/units.h"

namespace flopcast {

/// Later than every moment of a simulation.
inline constexpr Seconds kNever{std::numeric_limits<double>::infinity()};

using Ticks = std::int64_t;                ///< picoseconds; 106 days fit
__extension__ typedef __int128 WideTicks;  ///< sums over very many tokens or replicas
constexpr Ticks kNeverTick = std::numeric_limits<Ticks>::max();
constexpr double kTicksPerSecond = 1e12;
/// The longest session: beyond it the clock would come near its end.
constexpr Seconds kLongestSession{100.0 * 86400};
constexpr Ticks kLongestTicks = Ticks{100} * 86400 * 1'000'000'000'000;

inline Ticks to_ticks(Seconds time) {
  if (!(time < kLongestSession)) return kNeverTick;
  return static_cast<Ticks>(std::llround(time.value() * kTicksPerSecond));
}
constexpr Seconds to_seconds(Ticks ticks) { return Seconds(static_cast<double>(ticks) / kTicksPerSecond); }
constexpr Seconds to_seconds(WideTicks ticks) { return Seconds(static_cast<double>(ticks) / kTicksPerSecond); }
/// `now` and a while; never, where the clock does not go so far.
constexpr Ticks later(Ticks now, Ticks by) { return by > kNeverTick - now ? kNeverTick : now + by; }

}  // namespace flopcast
