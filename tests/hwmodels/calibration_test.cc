// Does the fit find what was put in, forget it away from the data, and do so the same way every time?
#include <cmath>
#include <vector>

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
CalibrationInput synthetic_input(const std::vector<double>& truth) {
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
        row.microseconds = gemm_microseconds(truth, machine_of(synthetic_gpu(), Precision::fp8, {}), shape) *
                           std::exp(0.03 * random.normal());
        input.measurements.push_back(row);
      }
    }
  }
  return input;
}

std::vector<double> plausible_numbers() { return {0.7, 90, 0.8, 4, 1.2, 2.5, 0.6, 0.05, 1, 0.9, 0.5, 3}; }

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

TEST_CASE("a residual reproduces a smooth surface and vanishes away from it") {
  std::vector<double> points, values, weights;
  for (double a = 0; a <= 8; ++a) {
    for (double b = 0; b <= 8; ++b) {
      points.insert(points.end(), {a, b});
      values.push_back(0.2 * std::sin(a / 2) * std::cos(b / 3));
      weights.push_back(1);
    }
  }
  const KernelResidual residual = fit_residual(points, values, weights, {{3, 3}, 40, 0.05, 0.08});
  const double inside[] = {3.5, 4.5}, outside[] = {12, 4};
  CHECK(residual.at(inside).correction == Approx(0.2 * std::sin(1.75) * std::cos(1.5)).margin(0.03));
  CHECK(residual.at(outside).correction == 0);
  CHECK(residual.at(outside).nearness == 0);
}

TEST_CASE("calibration finds the numbers of a synthetic GPU and predicts the rows it did not see") {
  const CalibrationInput input = synthetic_input(plausible_numbers());
  const KernelCalibration calibration = calibrate_kernels(input);
  REQUIRE(calibration.fits.size() == 1);
  const FamilyFit& fit = calibration.fits.front();
  CHECK(fit.family == KernelFamily::gemm_fp8_blocks);
  CHECK(fit.parameters[0] == Approx(0.7).epsilon(0.05));
  REQUIRE(fit.errors.size() == 1);
  CHECK(fit.errors[0].held_back > 30);
  CHECK(fit.errors[0].fitted + fit.errors[0].held_back == static_cast<int>(input.measurements.size()));
  CHECK(fit.errors[0].median < 0.05);
  CHECK(fit.errors[0].percentile_90 < 0.12);
}

TEST_CASE("the same measurements and seed give the same fit; another seed holds back other rows") {
  CalibrationInput input = synthetic_input(plausible_numbers());
  const KernelCalibration once = calibrate_kernels(input), twice = calibrate_kernels(input);
  CHECK(once.fits[0].parameters == twice.fits[0].parameters);
  CHECK(once.fits[0].residual.weights() == twice.fits[0].residual.weights());
  int differ = 0;
  for (const Measurement& row : input.measurements) differ += held_back(row, 1) != held_back(row, 2);
  CHECK(differ > 20);
}

}  // namespace flopcast
