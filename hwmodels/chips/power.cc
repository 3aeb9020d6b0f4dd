#include "hwmodels/chips/power.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

constexpr double kLowestClock = 1.0 / 3;

bool measured_on(const PowerFigures& figures, const GpuSpec& gpu) { return figures.die == gpu.die; }

}  // namespace

Joules energy_of(const PowerFigures& figures, const GpuSpec& gpu, PowerKind kind, Flop flop, Bytes bytes) {
  const double pj = kind == PowerKind::fp8    ? figures.fp8_pj_per_flop
                    : kind == PowerKind::bf16 ? figures.bf16_pj_per_flop
                                              : figures.attention_pj_per_flop;
  const double other =
      measured_on(figures, gpu) ? 1 : (gpu.tdp / figures.board) / (gpu.bf16_peak / figures.board_bf16_peak);
  return Joules((flop.value() * pj * other + bytes.value() * figures.pj_per_byte) * 1e-12);
}

Watts idle_power(const PowerFigures& figures, const GpuSpec& gpu) {
  return measured_on(figures, gpu) ? figures.idle : figures.idle * (gpu.tdp / figures.board);
}

double stretch_at(const PowerFigures& figures, double clock) {
  const double measured = std::max(clock, figures.lowest_clock);
  return std::pow(measured, -figures.clock_exponent) * (measured / clock);
}

ClockPoint settle(const PowerFigures& figures, Watts idle, Watts limit, const PowerLoad& load) {
  const auto at = [&](double clock) {
    const double stretch = load.sm_share * stretch_at(figures, clock) + 1 - load.sm_share;
    const Seconds time = load.time * stretch;
    return ClockPoint{clock, time, idle + load.energy * std::pow(clock, figures.voltage_exponent) / time};
  };
  ClockPoint point = at(1);
  if (limit <= Watts(0) || point.power <= limit || load.time <= Seconds(0)) return point;
  double low = kLowestClock, high = 1;
  for (int i = 0; i < 30; ++i) {
    const double middle = (low + high) / 2;
    (at(middle).power > limit ? high : low) = middle;
  }
  return at(low);
}

}  // namespace flopcast
