#include "hwmodels/calibration/fit_power.h"

#include <algorithm>
#include <cmath>

#include "hwmodels/calibration/fit_memory.h"
#include "hwmodels/calibration/least_squares.h"

namespace flopcast {
namespace {

constexpr ParameterInfo kPowerParameters[] = {{"bf16_pj_per_flop", 0.2, 6, 1.5},      {"fp8_pj_per_flop", 0.1, 4, 0.8},
                                              {"attention_pj_per_flop", 0.2, 6, 1.5}, {"pj_per_byte", 20, 500, 130},
                                              {"voltage_exponent", 0.5, 3, 2},        {"clock_exponent", 0.2, 1, 0.5}};

PowerFigures figures_of(std::span<const double> v, const GpuSpec& gpu, Watts idle) {
  PowerFigures figures;
  figures.die = gpu.die;
  figures.idle = idle;
  figures.board = gpu.tdp;
  figures.board_bf16_peak = gpu.bf16_peak;
  figures.bf16_pj_per_flop = v[0];
  figures.fp8_pj_per_flop = v[1];
  figures.attention_pj_per_flop = v[2];
  figures.pj_per_byte = v[3];
  figures.voltage_exponent = v[4];
  figures.clock_exponent = v[5];
  return figures;
}

}  // namespace

PowerFigures fit_power(const CalibrationInput& input) {
  const GpuSpec& gpu = gpu_named(input, input.memory_alone_gpu);
  Watts idle(0.19 * gpu.tdp.value());  // where the file has no idle row
  std::vector<const PowerMeasurement*> rows;
  for (const PowerMeasurement& m : input.power) {
    if (m.flops == 0 && m.bytes == 0)
      idle = Watts(m.watts);
    else
      rows.push_back(&m);
  }
  LeastSquaresProblem problem;
  problem.parameters = kPowerParameters;
  for (const ParameterInfo& info : kPowerParameters) problem.start.push_back(info.start);
  problem.free.assign(problem.start.size(), true);
  // Times are known to 1 %, powers to some percent. Clocks say how energy falls with them: kernels near the limit that
  // keep the full clock (64 rows of weights: 680 W at 1980 MHz) bound what products ask for there.
  constexpr double kTimeWeight = 4, kClockWeight = 3;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    problem.weights.push_back(kTimeWeight);
    problem.weights.push_back(1);
    problem.weights.push_back(kClockWeight);
  }
  problem.residuals = [&](std::span<const double> values, std::span<double> out) {
    const PowerFigures figures = figures_of(values, gpu, idle);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const PowerMeasurement& m = *rows[i];
      const PowerLoad load{Seconds(m.burst_us * 1e-6), m.sm_share,
                           energy_of(figures, gpu, m.kind, Flop(m.flops), Bytes(m.bytes))};
      const ClockPoint point = settle(figures, idle, gpu.tdp, load);
      out[3 * i] = std::log(point.time.value() * 1e6 / m.sustained_us);
      out[3 * i + 1] = std::log(point.power.value() / m.watts);
      out[3 * i + 2] = std::log(point.clock / m.clock);
    }
  };
  PowerFigures figures = figures_of(solve(problem), gpu, idle);
  figures.lowest_clock = 1;
  for (const PowerMeasurement* row : rows) figures.lowest_clock = std::min(figures.lowest_clock, row->clock);
  figures.source = {"one H100 SXM at 700 W: kernels repeated for 0.8 and 1.7 s, energy counter", input.date, true};
  return figures;
}

}  // namespace flopcast
