// Does the fit find what was put in, forget it away from the data, and do so the same way every time?
#include <algorithm>
#include <cmath>
#include <vector>

#include "hwmodels/calibration/contradictions.h"
#include "hwmodels/calibration/fit_kernels.h"
#include "hwmodels/calibration/least_squares.h"
#include "hwmodels/calibration/residual_fit.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "sim/base/random.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

GpuSpec synthetic_gpu() {
  GpuSpec gpu;
  gpu.name = "synthetic";
  gpu.architecture = "hopper";
  gpu.die = "GX100";
  gpu.sms = 100;
  gpu.boost_clock = Hertz(1.5e9);
  gpu.bf16_peak = 500_TFLOPS;
  gpu.fp8_peak = 1000_TFLOPS;
  gpu.fp32_peak = 50_TFLOPS;
  gpu.hbm_bandwidth = 2000_GBps;
  gpu.l2_capacity = 50_MB;
  return gpu;
}

/// Measurements of a GPU that obeys the formula with the given numbers, 3 % noise.
CalibrationInput synthetic_input(const GemmParameters& truth) {
  CalibrationInput input;
  input.gpus = {synthetic_gpu()};
  input.sustained_clock.value = 1;
  RandomStream random(3);
  for (int m = 16; m <= 16384; m *= 2) {
    for (int n = 512; n <= 8192; n *= 2) {
      for (int k = 512; k <= 8192; k *= 2) {
        Measurement row;
        row.table = "synthetic";
        row.gpu = "synthetic";
        row.row = input.measurements.size();
        const GemmShape shape{GemmKind::dense, m, n, k, 1, Precision::fp8, Scaling::blocks, Precision::bf16};
        row.shape = shape;
        const Machine machine = machine_of(synthetic_gpu(), die_of(synthetic_gpu()), Precision::fp8, {});
        row.microseconds = microseconds(gemm_parts(truth, machine, shape)) * std::exp(0.03 * random.normal());
        input.measurements.push_back(row);
      }
    }
  }
  return input;
}

GemmParameters plausible_numbers() {
  GemmParameters numbers;
  numbers.mainloop_efficiency = 0.7;
  numbers.load_gb_per_s_and_sm = 90;
  numbers.hbm_efficiency = 0.8;
  numbers.setup_us = 4;
  numbers.tile_us = 1.2;
  numbers.overlap_norm = 2.5;
  numbers.wave_rounding = 0.6;
  numbers.narrow_tile_loss = 0.05;
  return numbers;
}

}  // namespace

TEST_CASE("least squares finds the numbers behind noisy data with outliers") {
  const ParameterInfo infos[] = {{"slope", 0.1, 10, 1}, {"floor", 0.1, 10, 1}};
  RandomStream random(5);
  std::vector<double> x, y;
  for (int i = 0; i < 200; ++i) {
    x.push_back(random.uniform() * 10);
    y.push_back(std::log(3 + 2 * x.back()) + 0.02 * random.normal() + (i % 20 == 0 ? 1.0 : 0.0));
  }
  LeastSquaresProblem problem;
  problem.parameters = infos;
  problem.start = {1, 1};
  problem.free = {true, true};
  problem.weights.assign(x.size(), 1);
  problem.residuals = [&](std::span<const double> p, std::span<double> out) {
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = std::log(p[1] + p[0] * x[i]) - y[i];
  };
  const std::vector<double> found = solve(problem);
  CHECK(found[0] == Approx(2).epsilon(0.05));
  CHECK(found[1] == Approx(3).epsilon(0.05));
}

TEST_CASE("parameters that are not free stay where they start") {
  const ParameterInfo infos[] = {{"a", 0.1, 10, 1}, {"b", 0.1, 10, 1}};
  LeastSquaresProblem problem;
  problem.parameters = infos;
  problem.start = {1, 2};
  problem.free = {true, false};
  problem.weights = {1, 1};
  problem.residuals = [](std::span<const double> p, std::span<double> out) {
    out[0] = p[0] - 4;
    out[1] = p[1] - 4;
  };
  CHECK(solve(problem)[1] == 2);
}

TEST_CASE("a residual reproduces a smooth surface of each part and vanishes away from it") {
  // Every point twice: where the SMs take nearly all of the time, and where HBM does.
  const auto chip = [](double a, double b) { return 0.2 * std::sin(a / 2) * std::cos(b / 3); };
  const auto memory = [](double a, double b) { return 0.1 * std::cos(a / 3) - 0.01 * b; };
  std::vector<ResidualRow> rows;
  for (double a = 0; a <= 8; ++a) {
    for (double b = 0; b <= 8; ++b) {
      for (const KernelParts& parts : {KernelParts{1, 100, 5, 0, 4}, KernelParts{0.1, 5, 100, 0, 4}}) {
        const double us = microseconds(parts, {chip(a, b), memory(a, b)});
        rows.push_back({{a, b}, parts, us, 1});
      }
    }
  }
  const KernelResidual residual = fit_residual(rows, {{3, 3}, 40, 0.05, 0.08});
  const double inside[] = {3.5, 4.5}, outside[] = {12, 4};
  CHECK(residual.at(inside).correction.chip == Approx(chip(3.5, 4.5)).margin(0.03));
  CHECK(residual.at(inside).correction.memory == Approx(memory(3.5, 4.5)).margin(0.03));
  CHECK(residual.at(outside).correction.chip == 0);
  CHECK(residual.at(outside).nearness == 0);
}

TEST_CASE("calibration finds the numbers of a synthetic GPU and predicts the rows it did not see") {
  const CalibrationInput input = synthetic_input(plausible_numbers());
  const KernelCalibration calibration = calibrate_kernels(input);
  REQUIRE(calibration.fits.size() == 1);
  const FamilyFit& fit = calibration.fits.front();
  CHECK(fit.family == KernelFamily::gemm_fp8_blocks);
  CHECK(fit.die.name == "GX100");
  CHECK(std::get<GemmParameters>(fit.parameters).mainloop_efficiency == Approx(0.7).epsilon(0.05));
  REQUIRE(fit.errors.size() == 1);
  CHECK(fit.errors[0].held_back > 30);
  CHECK(fit.errors[0].fitted + fit.errors[0].held_back == static_cast<int>(input.measurements.size()));
  CHECK(fit.errors[0].median < 0.05);
  CHECK(fit.errors[0].percentile_90 < 0.12);
}

TEST_CASE("chips of one die inform one fit, each with its own figures") {
  CalibrationInput input = synthetic_input(plausible_numbers());
  GpuSpec cut = synthetic_gpu();
  cut.name = "cut";
  cut.sms = 50;
  cut.bf16_peak = synthetic_gpu().bf16_peak / 4;
  cut.fp8_peak = synthetic_gpu().fp8_peak / 4;
  input.gpus.push_back(cut);
  const std::vector<Measurement> whole = input.measurements;
  for (Measurement row : whole) {
    row.gpu = "cut";
    const Machine machine = machine_of(cut, die_of(synthetic_gpu()), Precision::fp8, {});
    row.microseconds = microseconds(gemm_parts(plausible_numbers(), machine, std::get<GemmShape>(row.shape)));
    input.measurements.push_back(row);
  }
  const KernelCalibration calibration = calibrate_kernels(input);
  REQUIRE(calibration.fits.size() == 1);
  REQUIRE(calibration.fits[0].errors.size() == 2);
  for (const HeldBackError& error : calibration.fits[0].errors) {
    INFO(error.gpu);
    CHECK(error.median < 0.05);
  }
}

TEST_CASE("rows that contradict each other or their die are named") {
  CalibrationInput input = synthetic_input(plausible_numbers());
  CHECK(find_contradictions(input, calibrate_kernels(input)).empty());
  input.measurements[40].microseconds *= 3;
  Measurement again = input.measurements[7];
  again.row = input.measurements.size();
  again.microseconds *= 1.8;
  input.measurements.push_back(again);
  const std::vector<Contradiction> found = find_contradictions(input, calibrate_kernels(input));
  REQUIRE(found.size() == 2);
  CHECK(found[0].rows == std::vector<std::uint64_t>{7, again.row});
  CHECK(found[0].what.find("1.8 times") != std::string::npos);
  CHECK(found[1].rows == std::vector<std::uint64_t>{40});

  // Nothing reads 2 GB in 0.2 ms.
  Measurement impossible = input.measurements[7];
  impossible.row = input.measurements.size();
  auto& shape = std::get<GemmShape>(impossible.shape);
  shape.m = 1;
  shape.n = shape.k = 1 << 15;
  impossible.microseconds = 200;
  input.measurements.push_back(impossible);
  const std::vector<Contradiction> more = find_contradictions(input, calibrate_kernels(input));
  CHECK(std::any_of(more.begin(), more.end(), [&](const Contradiction& c) {
    return c.rows == std::vector<std::uint64_t>{impossible.row} &&
           c.what.find("bandwidth of memory") != std::string::npos;
  }));
}

TEST_CASE("the same measurements and seed give the same fit; another seed holds back other rows") {
  CalibrationInput input = synthetic_input(plausible_numbers());
  const KernelCalibration once = calibrate_kernels(input), twice = calibrate_kernels(input);
  CHECK(once.fits[0].parameters == twice.fits[0].parameters);
  REQUIRE(once.fits[0].residual.size() == twice.fits[0].residual.size());
  for (std::size_t i = 0; i < once.fits[0].residual.size(); ++i) {
    CHECK(once.fits[0].residual.weights()[i].chip == twice.fits[0].residual.weights()[i].chip);
    CHECK(once.fits[0].residual.weights()[i].memory == twice.fits[0].residual.weights()[i].memory);
  }
  int differ = 0;
  for (const Measurement& row : input.measurements) differ += held_back(row, 1) != held_back(row, 2);
  CHECK(differ > 20);
}

}  // namespace flopcast
