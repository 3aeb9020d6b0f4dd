#include "hwmodels/kernels/kernels.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <span>
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

/// Logarithm of the ratio of two chips' peaks per SM beyond which their kernels behave differently.
constexpr double kOtherCompute = 0.1;

/// The other precision of the same kind of kernel, for GPUs that were measured in one of them only.
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

double peak_per_sm(const GpuSpec& gpu) { return gpu.bf16_peak.value() / gpu.sms; }

/// How unlike two chips are: ratio of the peaks of an SM.
double distance(const FamilyFit& fit, const GpuSpec& gpu) {
  const double ratio = std::abs(std::log(fit.bf16_peak_per_sm.value() / peak_per_sm(gpu)));
  return fit.architecture == gpu.architecture ? ratio : ratio + 100;
}

struct Choice {
  const FamilyFit* fit = nullptr;
  bool same_family = true;
  double load_scale = 1;
  Evidence best_evidence = Evidence::roofline;  // where the shape is near measurements
  Evidence far_evidence = Evidence::roofline;
  bool residual = false;
};

const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& gpu) {
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.gpu == gpu && fit.variant.empty()) return &fit;
  return nullptr;
}

const FamilyFit* most_similar_fit(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  const FamilyFit* best = nullptr;
  for (const FamilyFit& fit : calibration.fits)
    if (fit.family == family && fit.variant.empty() && (best == nullptr || distance(fit, gpu) < distance(*best, gpu)))
      best = &fit;
  return best;
}

/// Fits on chips with the same SMs and the nearest memory: an H800 is an H100 with fewer links, so what was measured on
/// one prices the other, and both get the same price. Those with most measurements come first.
std::vector<const FamilyFit*> fits_of_same_silicon(const KernelCalibration& calibration, KernelFamily family,
                                                   const GpuSpec& gpu) {
  constexpr double kSame = 0.01;
  const auto memory_distance = [&](const FamilyFit* fit) {
    return std::abs(std::log(fit->hbm_bandwidth / gpu.hbm_bandwidth));
  };
  std::vector<const FamilyFit*> twins;
  for (const FamilyFit& fit : calibration.fits) {
    if (fit.family == family && fit.variant.empty() && fit.sms == gpu.sms && distance(fit, gpu) < kSame) {
      twins.push_back(&fit);
    }
  }
  if (twins.empty()) return twins;
  const double nearest = memory_distance(*std::min_element(
      twins.begin(), twins.end(), [&](auto* a, auto* b) { return memory_distance(a) < memory_distance(b); }));
  std::erase_if(twins, [&](auto* fit) { return memory_distance(fit) > nearest + kSame; });
  const auto rows = [](const FamilyFit* fit) {
    int sum = 0;
    for (const HeldBackError& table : fit->errors) sum += table.fitted;
    return sum;
  };
  std::stable_sort(twins.begin(), twins.end(), [&](auto* a, auto* b) { return rows(a) > rows(b); });
  return twins;
}

/// The one fit that serves a GPU which shares its silicon with no measured one.
Choice borrowed(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  Choice choice;
  choice.fit = find_fit(calibration, family, gpu.name);
  if (!choice.fit && !gpu.base.empty()) {
    choice.fit = find_fit(calibration, family, gpu.base);
    // A variant with other compute units (H20 of H100) is better told by its own kernels in another
    // precision.
    if (choice.fit && distance(*choice.fit, gpu) > kOtherCompute && find_fit(calibration, sibling(family), gpu.name))
      choice.fit = nullptr;
  }
  if (!choice.fit) {
    choice.fit = find_fit(calibration, sibling(family), gpu.name);
    choice.same_family = choice.fit == nullptr;
  }
  if (!choice.fit) choice.fit = most_similar_fit(calibration, family, gpu);
  if (!choice.fit) {
    choice.fit = most_similar_fit(calibration, sibling(family), gpu);
    choice.same_family = false;
  }
  return choice;
}

/// Every fit that may serve, the default first; among them the one that was measured nearest to a shape prices it.
std::vector<Choice> choose(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu) {
  std::vector<Choice> choices;
  if (family == KernelFamily::gemm_fp8_vendor) {
    // The same library and the same tiles as BF16: its numbers serve, residuals included, but nothing was measured.
    choices = choose(calibration, KernelFamily::gemm_bf16, gpu);
    for (Choice& choice : choices) choice.best_evidence = std::max(choice.best_evidence, choice.far_evidence);
    return choices;
  }
  std::vector<const FamilyFit*> fits = fits_of_same_silicon(calibration, family, gpu);
  // Measurements under the GPU's own name were made with the libraries that run on it: they come alone.
  if (const FamilyFit* own = find_fit(calibration, family, gpu.name)) fits = {own};
  for (const FamilyFit* fit : fits) {
    choices.emplace_back();
    choices.back().fit = fit;
  }
  const bool measured = !choices.empty();
  if (!measured) choices.push_back(borrowed(calibration, family, gpu));
  for (Choice& choice : choices) {
    if (!choice.fit) continue;
    const bool same_architecture = choice.fit->architecture == gpu.architecture;
    choice.load_scale = same_architecture ? gpu.boost_clock / choice.fit->clock
                                          : peak_per_sm(gpu) / choice.fit->bf16_peak_per_sm.value();
    choice.residual = choice.same_family && same_architecture;
    choice.far_evidence = same_architecture ? Evidence::fitted : Evidence::roofline;
    choice.best_evidence = measured ? Evidence::measured : choice.far_evidence;
  }
  return choices;
}

}  // namespace

struct KernelModel::Resolved {
  std::array<std::vector<Choice>, kKernelFamilies> choices;
  std::array<const MemoryClassFit*, kMemoryKernels> memory{};
  double clock = 1;
  double communication_share = 0;

  Machine machine(const GpuSpec& gpu, Precision precision, int sms, double load_scale) const {
    return machine_of(gpu, precision, {sms, clock, communication_share}, load_scale);
  }

  static KernelResidual::Value residual_at(const Choice& choice, std::span<const double> coordinates) {
    return choice.residual && !choice.fit->residual.empty() ? choice.fit->residual.at(coordinates)
                                                            : KernelResidual::Value{};
  }

  /// Formula, residual and roofline of one kernel.
  template <class Shape, class Formula>
  KernelTime price(const GpuSpec& gpu, const Shape& shape, int sms, Formula formula) const {
    assert(sms >= 0 && sms <= gpu.sms);
    const KernelFamily family = family_of(shape);
    std::array<double, kMostCoordinates> at{};
    coordinates_of(shape, at.data());
    const std::vector<Choice>& candidates = choices[static_cast<std::size_t>(family)];
    const Choice* choice = &candidates.front();
    KernelResidual::Value residual = residual_at(*choice, at);
    for (std::size_t i = 1; i < candidates.size(); ++i) {
      const KernelResidual::Value other = residual_at(candidates[i], at);
      // Of tables that are equally near the smaller one wins: it was made for fewer shapes.
      if (other.nearness <= 0 || other.nearness < residual.nearness) continue;
      choice = &candidates[i];
      residual = other;
    }
    const Machine chip = machine(gpu, shape.precision, sms, choice->load_scale);
    const double us = formula(choice->fit->parameters, chip, shape) *
                      std::exp(std::clamp(residual.correction, -kLargestResidual, kLargestResidual));
    KernelTime result{Seconds(0), residual.nearness > kNearMeasurement ? choice->best_evidence : choice->far_evidence};
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
  resolved->clock = clock;
  resolved->communication_share = calibration_->communication_hbm_share.value;
  resolved_ = std::move(resolved);
}

KernelTime KernelModel::gemm(const GemmShape& shape, int sms) const {
  GemmShape at_least_one = shape;
  at_least_one.m = std::max<std::int64_t>(1, shape.m);
  at_least_one.n = std::max<std::int64_t>(1, shape.n);
  at_least_one.k = std::max<std::int64_t>(1, shape.k);
  return resolved_->price(gpu_, at_least_one, sms, gemm_microseconds);
}

KernelTime KernelModel::attention(const AttentionShape& shape, int sms) const {
  AttentionShape at_least_one = shape;
  at_least_one.batch = std::max<std::int64_t>(1, shape.batch);
  at_least_one.query_length = std::max<std::int64_t>(1, shape.query_length);
  at_least_one.kv_length = std::max<std::int64_t>(1, shape.kv_length);
  return resolved_->price(gpu_, at_least_one, sms, attention_microseconds);
}

KernelTime KernelModel::memory_bound(MemoryKernel kernel, Bytes traffic, int sms) const {
  const MemoryClassFit* fit = resolved_->memory[static_cast<std::size_t>(kernel)];
  assert(fit != nullptr);
  const Machine chip = resolved_->machine(gpu_, Precision::bf16, sms, 1);
  const Seconds moving = Bytes(traffic) / BytesPerSecond(chip.hbm_bytes_per_us / kMicrosecond * fit->hbm_fraction);
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
