// Does the clock settle where the board's limit is met, and do times and powers obey the laws?
#include "hwmodels/chips/power.h"

#include <memory>

#include "hwmodels/kernels/kernels.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/libraries/libraries.h"
#include "tests/catch.h"
#include "tests/libraries.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

std::shared_ptr<const KernelCalibration> shipped() {
  static const auto shared = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(flopcast::testing::source_dir() + "/" + kKernelCalibrationFile));
  return shared;
}

GpuSpec h100() { return test::libraries().gpu("h100-sxm"); }

GemmShape square(Precision precision) {
  GemmShape shape{GemmKind::dense, 8192, 8192, 8192, 1, precision, Scaling::none, Precision::bf16};
  if (precision == Precision::fp8) shape.scaling = Scaling::per_tensor, shape.vendor_library = true;
  return shape;
}

double tflops(const KernelModel& model, Precision precision) {
  return (flop(square(precision)) / model.gemm(square(precision)).time).value() / 1e12;
}

}  // namespace

TEST_CASE("a toy board: the clock settles where its power is the limit") {
  PowerFigures figures;
  figures.die = "GH100";
  figures.voltage_exponent = 2;
  figures.clock_exponent = 1;
  // 600 J in a second at full clock, all of it waiting for SMs: at f it takes 1/f s and 600 f^2 J, 600 f^3 W.
  const ClockPoint point = settle(figures, Watts(100), Watts(100 + 600 * 0.125), {Seconds(1), 1, Joules(600)});
  CHECK(point.clock == Approx(0.5).epsilon(1e-6));
  CHECK(point.time.value() == Approx(2).epsilon(1e-6));
  CHECK(point.power.value() == Approx(175).epsilon(1e-6));
  const ClockPoint free = settle(figures, Watts(100), Watts(1000), {Seconds(1), 1, Joules(600)});
  CHECK(free.clock == 1);
  CHECK(free.power.value() == Approx(700));
  // What waits for memory alone loses clock and no time.
  CHECK(settle(figures, Watts(100), Watts(250), {Seconds(1), 0, Joules(600)}).time.value() == Approx(1));
}

TEST_CASE("below the clocks that were measured, what waits for the SMs slows in proportion") {
  PowerFigures figures;
  figures.clock_exponent = 0.5;
  figures.lowest_clock = 0.64;
  CHECK(stretch_at(figures, 1) == Approx(1));
  CHECK(stretch_at(figures, 0.81) == Approx(1 / 0.9));
  CHECK(stretch_at(figures, 0.64) == Approx(1.25));
  CHECK(stretch_at(figures, 0.32) == Approx(2.5));
}

TEST_CASE("one H100 in bursts and sustained: 801 and 669 TFLOP/s in BF16, 1,528 and 1,280 in FP8") {
  const KernelModel burst(h100(), shipped()), sustained(h100(), shipped(), ClockState::power_limited);
  CHECK(tflops(burst, Precision::bf16) == Approx(801).epsilon(0.04));
  CHECK(tflops(sustained, Precision::bf16) == Approx(669).epsilon(0.04));
  CHECK(tflops(burst, Precision::fp8) == Approx(1528).epsilon(0.05));
  CHECK(tflops(sustained, Precision::fp8) == Approx(1280).epsilon(0.05));
}

TEST_CASE("a capped board is slower at matrix products and not at copies; its power stays under the cap") {
  double last = 0;
  for (const double cap : {700.0, 500.0, 350.0}) {
    GpuSpec gpu = h100();
    gpu.tdp = Watts(cap);
    const KernelModel model(gpu, shipped(), ClockState::power_limited);
    const KernelTime product = model.gemm(square(Precision::bf16));
    CHECK(product.time.value() > last * 1.02);
    last = product.time.value();
    const double watts = shipped()->power->idle.value() + (product.energy / product.time).value();
    CHECK(watts == Approx(cap).epsilon(0.01));
    CHECK(model.memory_bound(MemoryKernel::copy, 1_GB).time.value() ==
          Approx(KernelModel(h100(), shipped()).memory_bound(MemoryKernel::copy, 1_GB).time.value()));
    const KernelModel long_run(gpu, shipped(), ClockState::sustained);
    CHECK((long_run.gemm(square(Precision::bf16)).time >
           KernelModel(h100(), shipped(), ClockState::sustained).gemm(square(Precision::bf16)).time) == (cap < 700));
  }
}

TEST_CASE("a higher limit never makes a kernel slower, and nothing is faster than at full clock") {
  const KernelModel burst(h100(), shipped());
  for (const std::int64_t m : {1, 64, 256, 1024, 8192}) {
    const GemmShape shape{GemmKind::dense, m, 8192, 8192, 1, Precision::bf16, Scaling::none, Precision::bf16};
    double last = burst.gemm(shape).time.value() * (1 - 1e-12);
    for (const double limit : {2000.0, 700.0, 600.0, 450.0, 300.0}) {
      GpuSpec gpu = h100();
      gpu.tdp = Watts(limit);
      const double now = KernelModel(gpu, shipped(), ClockState::power_limited).gemm(shape).time.value();
      CHECK(now >= last);
      last = now * (1 - 1e-9);
    }
  }
}

TEST_CASE("attention that decodes draws what its matrix units multiply, queries of a group being few of their rows") {
  // 32 requests of 8,192 tokens on one H100: 0.178 J by cuDNN (640 W for 350.6 us), 0.43 J by FlashAttention-2 (703 W
  // for 463.5 us at 0.75 of the full clock), idle power apart; 0.14 J if nothing were multiplied but what is asked for.
  AttentionShape shape;
  shape.kind = AttentionKind::decode;
  shape.batch = 32;
  shape.query_length = 1;
  shape.kv_length = 8192;
  shape.query_heads = 32;
  shape.kv_heads = 8;
  shape.qk_dim = shape.v_dim = 128;
  const KernelModel model(h100(), shipped());
  const Joules four = model.attention(shape).energy;
  CHECK(four.value() > 0.178);
  CHECK(four.value() < 0.43);
  // More queries in the same rows cost nothing further but what they move.
  shape.query_heads = 128;
  CHECK(model.attention(shape).energy.value() == Approx(four.value()).epsilon(0.02));
}

}  // namespace flopcast
