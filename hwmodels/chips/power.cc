#include "hwmodels/chips/power.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

constexpr double kLowestClock = 1.0 / 3;
constexpr double kPrecision = 1e-12;
constexpr int kSteps = 60;

bool measured_on(const PowerFigures& figures, const GpuSpec& gpu) { return figures.die == gpu.die; }

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
  const auto at = [&](double clock) { return point_at(figures, idle, load, clock); };
  ClockPoint point = at(1);
  if (limit <= Watts(0) || point.power <= limit || load.time <= Seconds(0)) return point;
  // The logarithm of power over clock's logarithm is nearly straight: regula falsi between bounds (Illinois) ends in a
  // few steps where halving takes thirty.
  const double most = std::log(limit.value());
  const auto excess = [&](double log_clock) { return std::log(at(std::exp(log_clock)).power.value()) - most; };
  double low = std::log(kLowestClock), high = 0;
  double below = excess(low), above = std::log(point.power.value()) - most;
  if (below >= 0) return at(kLowestClock);
  double last = 0;
  for (int i = 0; i < kSteps && high - low > kPrecision; ++i) {
    const double middle = low + (high - low) * below / (below - above);
    const double value = excess(middle);
    if (std::abs(value) < kPrecision) return at(std::exp(middle));
    // The bound that stays twice counts half, or it would stay for ever.
    if (value > 0) {
      high = middle, above = value;
      if (last > 0) below /= 2;
    } else {
      low = middle, below = value;
      if (last < 0) above /= 2;
    }
    last = value;
  }
  return at(std::exp(low));
}

Watts least_power(const PowerFigures& figures, Watts idle, const PowerLoad& load) {
  return point_at(figures, idle, load, kLowestClock).power;
}

}  // namespace flopcast
