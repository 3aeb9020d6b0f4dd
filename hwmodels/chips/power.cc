#include "hwmodels/chips/power.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace flopcast {
namespace {

constexpr double kLowestClock = 1.0 / 3;
constexpr double kPrecision = 1e-12;
constexpr int kSteps = 60;

bool measured_on(const PowerFigures& figures, const GpuSpec& gpu) { return figures.die == gpu.die; }

ClockPoint at_full_clock(Watts idle, const PowerLoad& load) {
  const Seconds time = load.time * (load.sm_share + 1 - load.sm_share);
  return ClockPoint{1, time, idle + load.energy / time};
}

/// What a load draws beside idle power at a clock, over the same at the full clock, and how it goes with the clock:
/// logarithms all.
struct LogDraw {
  double draw = 0, slope = 0;
};
LogDraw draw_at(const PowerFigures& figures, double sm_share, double log_clock) {
  const double clock = std::exp(log_clock), on_sms = sm_share * stretch_at(figures, clock);
  const double stretch = on_sms + 1 - sm_share;
  const double exponent = clock < figures.lowest_clock ? 1 : figures.clock_exponent;
  return {figures.voltage_exponent * log_clock - std::log(stretch),
          figures.voltage_exponent + exponent * on_sms / stretch};
}

ClockPoint point_at(const PowerFigures& figures, Watts idle, const PowerLoad& load, double clock) {
  const double stretch = load.sm_share * stretch_at(figures, clock) + 1 - load.sm_share;
  const Seconds time = load.time * stretch;
  return ClockPoint{clock, time, idle + load.energy * std::pow(clock, figures.voltage_exponent) / time};
}

}  // namespace

Joules energy_of(const PowerFigures& figures, const GpuSpec& gpu, PowerKind kind, Flop flop, Bytes bytes) {
  const double pj = kind == PowerKind::fp8    ? figures.fp8_pj_per_flop
                    : kind == PowerKind::bf16 ? figures.bf16_pj_per_flop
                                              : figures.attention_pj_per_flop;
  const double other = measured_on(figures, gpu)
                           ? 1
                           : (gpu.rated_power() / figures.board) / (gpu.rated_bf16_peak() / figures.board_bf16_peak);
  return Joules((flop.value() * pj * other + bytes.value() * figures.pj_per_byte) * 1e-12);
}

Watts idle_power(const PowerFigures& figures, const GpuSpec& gpu) {
  return measured_on(figures, gpu) ? figures.idle : figures.idle * (gpu.rated_power() / figures.board);
}

double stretch_at(const PowerFigures& figures, double clock) {
  const double measured = std::max(clock, figures.lowest_clock);
  return std::pow(measured, -figures.clock_exponent) * (measured / clock);
}

ClockPoint settle(const PowerFigures& figures, Watts idle, Watts limit, const PowerLoad& load) {
  const ClockPoint full = at_full_clock(idle, load);
  if (limit <= Watts(0) || full.power <= limit || load.time <= Seconds(0)) return full;
  if (limit <= idle) return point_at(figures, idle, load, kLowestClock);
  // The logarithm of what kernels draw over the clock's is nearly straight, and bends one way: Newton's steps from the
  // full clock end after three or four.
  const double lowest = std::log(kLowestClock), over = std::log((full.power - idle) / (limit - idle));
  double log_clock = 0, step = 1;
  for (int i = 0; i < kSteps && std::abs(step) > kPrecision; ++i) {
    const auto [draw, slope] = draw_at(figures, load.sm_share, log_clock);
    const double next = std::clamp(log_clock - (over + draw) / slope, lowest, 0.0);
    step = std::exchange(log_clock, next) - next;
  }
  return point_at(figures, idle, load, std::max(kLowestClock, std::exp(log_clock)));
}

Watts least_power(const PowerFigures& figures, Watts idle, const PowerLoad& load) {
  return point_at(figures, idle, load, kLowestClock).power;
}

}  // namespace flopcast
