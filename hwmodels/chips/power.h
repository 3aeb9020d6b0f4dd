// Power and clock of a chip at work. Matrix products draw far more than a board may: the clock falls until the board's
// limit is met. What a kernel costs is counted per FLOP and per byte at the full clock; lower clocks need less voltage,
// and so less energy for the same work.
//
//   time(f)   = t (c s(f) + 1 - c)           c: share of the time that waits for the SMs
//   s(f)      = f^-k down to the lowest clock g that was measured, g^-k g/f below: what a product gains on caches and
//               memory by a slower clock, it has gained by then
//   energy(f) = (FLOP x e_flop + bytes x e_byte) f^v
//   power(f)  = idle + energy(f) / time(f) <= limit
#pragma once
#include "hwmodels/chips/gpu.h"

namespace flopcast {

/// Measured on one die (hwmodels/calibration/fit_power.h).
struct PowerFigures {
  Watts idle;                     ///< with a context, at full clock
  Watts board;                    ///< limit of the board that was measured
  FlopPerSecond board_bf16_peak;  ///< and its peak
  double bf16_pj_per_flop = 0, fp8_pj_per_flop = 0, attention_pj_per_flop = 0;
  double pj_per_byte = 0;
  double voltage_exponent = 0;  ///< v: energy of the same work falls as the clock to this power
  double clock_exponent = 0;    ///< k: matrix products gain less than their clock
  double lowest_clock = 0;      ///< g, over the full clock; 0: k holds everywhere
  std::string die;
  Source source;
};

/// What runs: a kernel, or several in turn.
struct PowerLoad {
  Seconds time;         ///< at full clock
  double sm_share = 0;  ///< of it that waits for the SMs
  Joules energy;        ///< at full clock, idle power apart
};

/// s(f): how much longer what waits for the SMs takes at a clock (over the full one) than at the full one.
double stretch_at(const PowerFigures& figures, double clock);

struct ClockPoint {
  double clock = 1;  ///< over the full one
  Seconds time;
  Watts power;
};

/// Energy of `flop` products and `bytes` moved, at full clock. On another die than the measured one the energy of a
/// product is such that the peak of the chip as it is sold asks for as much of its board's limit as the measured die's
/// does of its own.
enum class PowerKind : std::uint8_t { bf16, fp8, attention };
Joules energy_of(const PowerFigures& figures, const GpuSpec& gpu, PowerKind kind, Flop flop, Bytes bytes);

/// Where the clock settles under `limit`. Chips do not go below a third of their clock: there the limit is exceeded.
ClockPoint settle(const PowerFigures& figures, Watts idle, Watts limit, const PowerLoad& load);

/// What the load draws at the lowest clock: no limit below can be kept.
Watts least_power(const PowerFigures& figures, Watts idle, const PowerLoad& load);

/// Idle power of a chip: the measured die's, or the same share of another board's limit.
Watts idle_power(const PowerFigures& figures, const GpuSpec& gpu);

}  // namespace flopcast
