#include "hwmodels/kernels/kernels.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include "hwmodels/kernels/calibration.h"
#include "hwmodels/kernels/kernel_formulas.h"

namespace flopcast {

namespace {

constexpr double kMicrosecond = 1e-6;
/// A price counts as interpolated where some centre of the fit is nearer than half the radius: (1 - 0.5^2)^4.
constexpr double kNearMeasurement = 0.31;
/// A residual says what the formula missed nearby, not more.
constexpr double kLargestResidual = 1.0;

/// The other precision of the same kind of kernel, for dies that were measured in one of them only.
KernelFamily sibling(KernelFamily family) {
  switch (family) {
    case KernelFamily::gemm_bf16:
      return KernelFamily::gemm_fp8_blocks;
    case KernelFamily::gemm_fp8_blocks:
      return KernelFamily::gemm_bf16;
    case KernelFamily::gemm_fp8_tensor:
      return KernelFamily::gemm_fp8_blocks;
    case KernelFamily::gemm_fp8_vendor:
      return KernelFamily::gemm_bf16;
    case KernelFamily::grouped_bf16:
      return KernelFamily::grouped_contiguous;
    case KernelFamily::decode_bf16:
      return KernelFamily::decode_fp8;
    case KernelFamily::decode_fp8:
      return KernelFamily::decode_bf16;
    case KernelFamily::decode_latent_bf16:
      return KernelFamily::decode_latent_fp8;
    case KernelFamily::decode_latent_fp8:
      return KernelFamily::decode_latent_bf16;
    default:
      return family;
  }
}

/// How unlike a chip and a measured die are: ratio of the peaks of an SM; other architectures come last.
double distance(const FamilyFit& fit, const GpuSpec& gpu) {
  const double ratio = std::abs(std::log(fit.die.bf16_peak_per_sm / (gpu.bf16_peak / gpu.sms)));
  return fit.die.architecture == gpu.architecture ? ratio : ratio + 100;
}

const FamilyFit* fit_of_die(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.variant.empty() && fit.die.name == die_of(gpu).name) return &fit;
  return nullptr;
}

const FamilyFit* most_similar_fit(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  const FamilyFit* best = nullptr;
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.variant.empty() && (best == nullptr || distance(fit, gpu) < distance(*best, gpu)))
      best = &fit;
  return best;
}

/// The fit that prices a family on a chip.
struct Choice {
  const FamilyFit* fit = nullptr;
  Evidence near_evidence = Evidence::roofline;  // where the shape is near measurements
  Evidence far_evidence = Evidence::roofline;
  bool residual = false;
};

Choice choose(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  Choice choice;
  choice.fit = fit_of_die(calibration, family, gpu);
  const bool measured = choice.fit != nullptr;
  bool same_family = true;
  if (!choice.fit && (choice.fit = fit_of_die(calibration, sibling(family), gpu))) same_family = false;
  if (!choice.fit) choice.fit = most_similar_fit(calibration, family, gpu);
  if (!choice.fit && (choice.fit = most_similar_fit(calibration, sibling(family), gpu))) same_family = false;
  if (!choice.fit) return choice;
  // Per-tensor FP8 of the vendor's library: the tiles of its BF16, so that one's correction serves where nothing was
  // measured.
  if (family == KernelFamily::gemm_fp8_vendor) same_family = true;
  const bool same_architecture = choice.fit->die.architecture == gpu.architecture;
  choice.residual = same_family && same_architecture;
  choice.far_evidence = same_architecture ? Evidence::fitted : Evidence::roofline;
  choice.near_evidence = measured ? Evidence::measured : choice.far_evidence;
  return choice;
}

}  // namespace

struct KernelModel::Resolved {
  std::array<Choice, kKernelFamilies> choices;
  std::array<const MemoryClassFit*, kMemoryKernels> memory{};
  Conditions conditions;
  double attention_clock = 1;

  /// Formula, correction and roofline of one kernel.
  template <class Shape, class Formula>
  KernelTime price(const GpuSpec& gpu, const Shape& shape, int sms, Formula formula) const {
    assert(sms >= 0 && sms <= gpu.sms);
    const Choice& choice = choices[static_cast<std::size_t>(family_of(shape))];
    std::array<double, kMostCoordinates> at{};
    coordinates_of(shape, at.data());
    KernelResidual::Value near;
    if (choice.residual && !choice.fit->residual.empty()) near = choice.fit->residual.at(at);
    near.correction.chip = std::clamp(near.correction.chip, -kLargestResidual, kLargestResidual);
    near.correction.memory = std::clamp(near.correction.memory, -kLargestResidual, kLargestResidual);
    Conditions now = conditions;
    now.sms = sms;
    if constexpr (std::is_same_v<Shape, AttentionShape>) now.clock = attention_clock;
    const Machine chip = machine_of(gpu, choice.fit->die, shape.precision, now);
    const double us = microseconds(formula(choice.fit->parameters, chip, shape), near.correction);
    KernelTime result{Seconds(0), near.nearness > kNearMeasurement ? choice.near_evidence : choice.far_evidence};
    const double peak_us = (flop(shape) / gpu.peak(shape.precision)).value() * (chip.all_sms / chip.sms) / kMicrosecond;
    const double bytes_us = (Bytes(least_bytes(shape)) / gpu.hbm_bandwidth).value() / kMicrosecond;
    result.time = Seconds(std::max({us, peak_us, bytes_us}) * kMicrosecond);
    return result;
  }
};

KernelModel::KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, ClockState clock)
    : KernelModel(gpu, calibration, clock == ClockState::sustained ? calibration->sustained_clock.value : 1.0) {}

KernelModel::KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, double clock)
    : gpu_(gpu), calibration_(std::move(calibration)) {
  assert(calibration_ && gpu_.sms > 0);
  auto resolved = std::make_shared<Resolved>();
  for (int i = 0; i < kKernelFamilies; ++i)
    resolved->choices[static_cast<std::size_t>(i)] = choose(*calibration_, static_cast<KernelFamily>(i), gpu_);
  for (const MemoryClassFit& fit : calibration_->memory_classes)
    resolved->memory[static_cast<std::size_t>(fit.kernel)] = &fit;
  resolved->attention_clock = 1 - calibration_->attention_clock_loss.value * (1 - clock);
  resolved->conditions = {0, clock, calibration_->communication_hbm_share.value};
  resolved_ = std::move(resolved);
}

KernelTime KernelModel::gemm(const GemmShape& shape, int sms) const {
  GemmShape at_least_one = shape;
  at_least_one.m = std::max<std::int64_t>(1, shape.m);
  at_least_one.n = std::max<std::int64_t>(1, shape.n);
  at_least_one.k = std::max<std::int64_t>(1, shape.k);
  return resolved_->price(gpu_, at_least_one, sms,
                          [](const KernelParameters& p, const Machine& machine, const GemmShape& s) {
                            return gemm_parts(std::get<GemmParameters>(p), machine, s);
                          });
}

KernelTime KernelModel::attention(const AttentionShape& shape, int sms) const {
  AttentionShape at_least_one = shape;
  at_least_one.batch = std::max<std::int64_t>(1, shape.batch);
  at_least_one.query_length = std::max<std::int64_t>(1, shape.query_length);
  at_least_one.kv_length = std::max<std::int64_t>(1, shape.kv_length);
  return resolved_->price(gpu_, at_least_one, sms, attention_parts);
}

KernelTime KernelModel::memory_bound(MemoryKernel kernel, Bytes traffic, int sms) const {
  const MemoryClassFit* fit = resolved_->memory[static_cast<std::size_t>(kernel)];
  assert(fit != nullptr);
  Conditions now = resolved_->conditions;
  now.sms = sms;
  const Seconds moving = traffic / BytesPerSecond(hbm_bytes_per_us(gpu_, now) / kMicrosecond * fit->hbm_fraction);
  // The classes were measured on Hopper; their fraction of the data-sheet bandwidth is taken to hold
  // elsewhere.
  return {fit->minimum + moving, gpu_.architecture == "hopper" ? Evidence::fitted : Evidence::roofline};
}

Seconds KernelModel::kernel_gap() const { return Seconds(calibration_->kernel_gap_us.value * kMicrosecond); }

std::string_view name(MemoryKernel kernel) {
  constexpr std::array<std::string_view, kMemoryKernels> kNames = {
      "norm", "norm_backward", "rotary", "swiglu", "swiglu_backward", "cast",      "cast_transpose", "transpose",
      "copy", "permute",       "reduce", "gating", "elementwise",     "embedding", "cross_entropy",  "optimizer"};
  return kNames[static_cast<std::size_t>(kernel)];
}

Flop flop(const GemmShape& shape) {
  return Flop(2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k));
}

Flop flop(const AttentionShape& shape) {
  const double q = static_cast<double>(shape.query_length), keys = static_cast<double>(shape.kv_length);
  // Causal: query i of q sees keys - q + i of them; halves of the diagonal are not counted.
  const double pairs =
      shape.causal && shape.kind != AttentionKind::decode ? q * std::max(keys - q / 2, keys / 2) : q * keys;
  const double per_pair = shape.kind == AttentionKind::backward ? 2.0 * (3 * shape.qk_dim + 2 * shape.v_dim)
                                                                : 2.0 * (shape.qk_dim + shape.v_dim);
  return Flop(static_cast<double>(shape.batch) * shape.query_heads * pairs * per_pair);
}

}  // namespace flopcast
