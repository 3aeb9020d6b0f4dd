#include "hwmodels/kernels/kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
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

/// What stands in for a family that a die was not measured in, best first: another number format of the same kernels,
/// for an engine's block of experts also SGLang's.
std::vector<KernelFamily> stand_ins(KernelFamily family) {
  using enum KernelFamily;
  switch (family) {
    case gemm_bf16:
      return {gemm_fp8_blocks};
    case gemm_fp8_blocks:
    case gemm_fp8_vendor:
      return {gemm_bf16};
    case gemm_fp8_tensor:
      return {gemm_fp8_blocks, gemm_bf16};
    case gemm_fp4:
      return {gemm_fp8_vendor, gemm_bf16};
    case grouped_bf16:
      return {grouped_contiguous};
    case fused_experts_bf16:
      return {fused_experts_fp8};
    case fused_experts_fp8:
      return {fused_experts_bf16};
    case fused_experts_fp4:
      return {fused_experts_fp8, fused_experts_bf16};
    case fused_experts_bf16_vllm:
      return {fused_experts_fp8_vllm, fused_experts_bf16, fused_experts_fp8};
    case fused_experts_fp8_vllm:
    case fused_experts_tensor_vllm:
      return {fused_experts_bf16_vllm, fused_experts_fp8, fused_experts_bf16};
    case fused_experts_fp4_vllm:
      return {fused_experts_tensor_vllm, fused_experts_bf16_vllm, fused_experts_fp4, fused_experts_fp8,
              fused_experts_bf16};
    case fused_experts_bf16_tensorrt:
      return {fused_experts_fp8_tensorrt, fused_experts_bf16, fused_experts_fp8};
    case fused_experts_fp8_tensorrt:
    case fused_experts_tensor_tensorrt:
      return {fused_experts_bf16_tensorrt, fused_experts_fp8, fused_experts_bf16};
    case fused_experts_fp4_tensorrt:
      return {fused_experts_tensor_tensorrt, fused_experts_bf16_tensorrt, fused_experts_fp4, fused_experts_fp8,
              fused_experts_bf16};
    case fused_experts_mxfp4:
      return {fused_experts_mxfp4_tensorrt, fused_experts_bf16_vllm, fused_experts_bf16, fused_experts_fp8};
    case fused_experts_mxfp4_tensorrt:
      return {fused_experts_mxfp4, fused_experts_bf16_tensorrt, fused_experts_bf16, fused_experts_fp8};
    case fused_experts_int4:
      return {fused_experts_bf16, fused_experts_bf16_vllm, fused_experts_fp8};
    case decode_bf16:
      return {decode_fp8};
    case decode_fp8:
      return {decode_bf16};
    case decode_latent_bf16:
      return {decode_latent_fp8};
    case decode_latent_fp8:
      return {decode_latent_bf16};
    case latent_block:
      return {latent_block_tensorrt};
    case latent_block_tensorrt:
      return {latent_block};
    default:
      return {};
  }
}

/// FamilyFit::variant of what was measured with such libraries.
std::string variant_of(std::string_view libraries) {
  if (libraries == "cudnn") return "cuDNN";
  if (libraries == "row_scales") return "one scale per row";
  if (libraries == "vllm") return "vLLM";
  if (libraries == "tensorrt_llm") return "TensorRT-LLM";
  if (libraries == "trtllm_gen") return "TensorRT-LLM's in SGLang";
  return fmt::format("libraries of {}", libraries);
}

const FamilyFit* find_variant(const KernelCalibration& calibration, KernelFamily family, const std::string& die,
                              const std::string& variant) {
  const auto found = std::find_if(calibration.fits.begin(), calibration.fits.end(), [&](const FamilyFit& fit) {
    return fit.family == family && fit.die.name == die && fit.variant == variant;
  });
  return found == calibration.fits.end() ? nullptr : &*found;
}

/// The fit of a family on a die: of the first of the libraries that were measured, else nobody's in particular.
const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& die,
                          const MeasuredLibraries& libraries) {
  for (const std::string& library : libraries)
    if (const FamilyFit* own = find_variant(calibration, family, die, variant_of(library))) return own;
  return find_variant(calibration, family, die, "");
}

/// Dies whose measurements may price a chip, in the order in which they are asked: its own; those of its architecture,
/// most similar peak of an SM first; the die that was measured in most families; the rest.
std::vector<std::string> dies_for(const KernelCalibration& calibration, const GpuSpec& gpu) {
  struct Candidate {
    double rank, unlike;
    std::string die;
  };
  const std::string lender = calibration.lender();
  std::map<std::string, Candidate> candidates;
  for (const FamilyFit& fit : calibration.fits) {
    if (!fit.variant.empty()) continue;
    const double unlike = std::abs(std::log(fit.die.bf16_peak_per_sm / (gpu.bf16_peak / gpu.sms)));
    const double rank = fit.die.name == die_of(gpu).name           ? 0
                        : fit.die.architecture == gpu.architecture ? 1
                        : fit.die.name == lender                   ? 2
                                                                   : 3;
    candidates.insert({fit.die.name, {rank, unlike, fit.die.name}});
  }
  std::vector<Candidate> order;
  for (const auto& [die, candidate] : candidates) order.push_back(candidate);
  std::sort(order.begin(), order.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.unlike, a.die) < std::tie(b.rank, b.unlike, b.die);
  });
  std::vector<std::string> dies;
  for (Candidate& candidate : order) dies.push_back(std::move(candidate.die));
  return dies;
}

/// The fit that prices a family on a chip.
struct Choice {
  const FamilyFit* fit = nullptr;
  Evidence near_evidence = Evidence::roofline;  // where the shape is near measurements
  Evidence far_evidence = Evidence::roofline;
  bool residual = false;
};

Choice choose(const KernelCalibration& calibration, KernelFamily family, const GpuSpec& gpu,
              const std::vector<std::string>& dies, const MeasuredLibraries& libraries) {
  Choice choice;
  bool same_family = true;
  for (const std::string& die : dies) {
    const MeasuredLibraries known = die == die_of(gpu).name ? libraries : MeasuredLibraries{};
    choice.fit = find_fit(calibration, family, die, known);
    same_family = choice.fit != nullptr;
    for (const KernelFamily other : stand_ins(family))
      if (!choice.fit) choice.fit = find_fit(calibration, other, die, known);
    if (choice.fit) break;
  }
  if (!choice.fit) return choice;
  // Products of the vendor's library have the tiles of its BF16, so that one's correction serves where nothing was
  // measured.
  if (family == KernelFamily::gemm_fp8_vendor) same_family = true;
  const bool same_architecture = choice.fit->die.architecture == gpu.architecture;
  const bool measured = same_family && choice.fit->family == family && choice.fit->die.name == die_of(gpu).name;
  choice.residual = same_family && same_architecture;
  choice.far_evidence = same_architecture ? Evidence::fitted : Evidence::roofline;
  choice.near_evidence = measured ? Evidence::measured : choice.far_evidence;
  return choice;
}

/// What a row that only fills a tile up draws over one in use: cuDNN's decoding attention below, (0.18 - 0.14) /
/// (0.24 - 0.14) J.
constexpr double kIdleRowEnergy = 0.4;

/// Products that decoding makes over those it is asked for: Hopper's matrix units take 64 rows at a time (PTX ISA 8,
/// wgmma: M is 64; those before 16, mma.m16n8k16), the queries of a group of heads are fewer. Decoding 32 x 8,192
/// tokens with four of 64 rows in use takes 0.18 J (cuDNN) and 0.43 J (FlashAttention-2) on one H100; 0.24 J with all
/// rows, 0.14 with those in use alone.
double padding_of_rows(const AttentionShape& shape, const GpuSpec& gpu) {
  if (shape.kind != AttentionKind::decode) return 1;
  const double at_once = gpu.architecture == "hopper" ? 64 : 16;
  const double rows = static_cast<double>(shape.query_length) * shape.query_heads / std::max(1, shape.kv_heads);
  return std::ceil(rows / at_once) * at_once / rows;
}

}  // namespace

struct KernelModel::Resolved {
  std::array<Choice, kKernelFamilies> choices;
  std::array<const MemoryClassFit*, kMemoryKernels> memory{};
  Conditions conditions;
  double attention_clock = 1;
  /// in_prices: kernels of the die that prices the chip were measured, long ones among them, but not its power. Prices
  /// hold what the limit of boards as they are sold leaves of the clock; only what a lower one costs comes on top.
  enum class Limit { none, board, below_measured, in_prices } limit = Limit::none;
  bool alone = true;  // memory-bound kernels stream as measured one by one, not as in the training trace

  /// What the board draws within its limit while a load takes its time.
  static Joules within_limit(const PowerLoad& load, Watts idle, Watts board) {
    if (board <= Watts(0)) return load.energy;
    return std::min(load.energy, std::max(Watts(0), board - idle) * load.time);
  }

  /// How much longer a load takes under a limit than under the one it was measured with; at least as long.
  static double below(const PowerFigures& power, Watts idle, Watts limit, Watts measured, const PowerLoad& load) {
    if (limit >= measured || limit <= Watts(0) || load.time <= Seconds(0)) return 1;
    return std::max(1.0, settle(power, idle, limit, load).time / settle(power, idle, measured, load).time);
  }

  /// The clock under the board's limit, for a kernel that takes `time` at full clock.
  KernelTime settled(const GpuSpec& gpu, const KernelCalibration& calibration, const KernelTime& at_full,
                     double sm_share, PowerKind kind, Flop flop, Bytes bytes) const {
    KernelTime result = at_full;
    result.on_sms = at_full.time * sm_share;
    if (!calibration.power) return result;
    const PowerFigures& power = *calibration.power;
    const PowerLoad load{at_full.time, sm_share, energy_of(power, gpu, kind, flop, bytes)};
    const Watts idle = idle_power(power, gpu);
    result.energy = load.energy;
    if (limit == Limit::in_prices) {
      const double slower = below(power, idle, gpu.tdp, gpu.rated_power(), load);
      result.time = at_full.time * slower;
      result.on_sms = result.time - at_full.time * (1 - sm_share);
      result.energy = within_limit({result.time, sm_share, load.energy}, idle, gpu.tdp);
      return result;
    }
    if (limit == Limit::none) return result;
    const ClockPoint point = settle(power, idle, gpu.tdp, load);
    result.energy = (point.power - idle) * point.time;
    result.time = point.time;
    result.on_sms = point.time - at_full.time * (1 - sm_share);
    // The sustained clock was seen on boards of the measured limit: only what a lower one costs on top.
    if (limit == Limit::below_measured) result.time = at_full.time * below(power, idle, gpu.tdp, power.board, load);
    return result;
  }

  /// Formula, correction and roofline of one kernel.
  template <class Shape, class Formula>
  KernelTime price(const GpuSpec& gpu, const KernelCalibration& calibration, const Shape& shape, int sms,
                   Formula formula) const {
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
    const KernelParts parts = formula(choice.fit->parameters, chip, shape);
    const double us = microseconds(parts, near.correction);
    KernelTime result{
        Seconds(0), near.nearness > kNearMeasurement ? choice.near_evidence : choice.far_evidence, {}, {}};
    const double peak_us = (flop(shape) / gpu.peak(shape.precision)).value() * (chip.all_sms / chip.sms) / kMicrosecond;
    const double bytes_us = (Bytes(least_bytes(shape)) / gpu.hbm_bandwidth).value() / kMicrosecond;
    if constexpr (std::is_same_v<Shape, GemmShape>)  // of kernels that unpack, blocks of experts alone were measured
      if (shape.weight_bytes > 0 && !unpacks(choice.fit->family))
        result.evidence = std::max(result.evidence, Evidence::fitted);
    result.time = Seconds(std::max({us, peak_us, bytes_us}) * kMicrosecond);
    const bool fp4 = shape.precision == Precision::fp4;  // half the width of FP8, and taken to ask for half the energy
    PowerKind kind = fp4 || shape.precision == Precision::fp8 ? PowerKind::fp8 : PowerKind::bf16;
    double multiplied = fp4 ? 0.5 : 1.0;  // over the products that are asked for
    if constexpr (std::is_same_v<Shape, AttentionShape>) {
      kind = shape.kind == AttentionKind::decode ? PowerKind::bf16 : PowerKind::attention;
      multiplied *= padding_of_rows(shape, gpu);
    }
    if constexpr (std::is_same_v<Shape, GemmShape>)
      multiplied *= 1 - (1 - kIdleRowEnergy) * shape.idle_rows / static_cast<double>(shape.m);
    return settled(gpu, calibration, result, chip_share(parts, near.correction), kind, flop(shape) * multiplied,
                   Bytes(least_bytes(shape)));
  }
};

KernelModel::KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, ClockState clock,
                         const MeasuredLibraries& libraries)
    : KernelModel(gpu, calibration, clock == ClockState::sustained ? calibration->sustained_clock.value : 1.0,
                  libraries) {
  auto resolved = std::make_shared<Resolved>(*resolved_);
  const bool by_law = resolved->limit != Resolved::Limit::in_prices;
  if (clock == ClockState::power_limited && by_law) resolved->limit = Resolved::Limit::board;
  if (clock == ClockState::sustained && by_law) resolved->limit = Resolved::Limit::below_measured;
  if (clock == ClockState::sustained) resolved->alone = false;
  resolved_ = std::move(resolved);
}

KernelModel::KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, double clock,
                         const MeasuredLibraries& libraries)
    : gpu_(gpu), calibration_(std::move(calibration)) {
  assert(calibration_ && gpu_.sms > 0);
  auto resolved = std::make_shared<Resolved>();
  const std::vector<std::string> dies = dies_for(*calibration_, gpu_);
  for (int i = 0; i < kKernelFamilies; ++i)
    resolved->choices[static_cast<std::size_t>(i)] =
        choose(*calibration_, static_cast<KernelFamily>(i), gpu_, dies, libraries);
  for (const MemoryClassFit& fit : calibration_->memory_classes)
    resolved->memory[static_cast<std::size_t>(fit.kernel)] = &fit;
  for (const MemoryClassFit*& fit : resolved->memory)  // of an earlier fit, which does not know the class
    if (fit == nullptr) fit = resolved->memory[static_cast<std::size_t>(MemoryKernel::elementwise)];
  const FamilyFit* const products = resolved->choices[static_cast<std::size_t>(KernelFamily::gemm_bf16)].fit;
  if (calibration_->power && products != nullptr && products->die.name != calibration_->power->die)
    resolved->limit = Resolved::Limit::in_prices;
  resolved->attention_clock = 1 - calibration_->attention_clock_loss.value * (1 - clock);
  resolved->conditions = {0, clock, calibration_->communication_hbm_share.value};
  resolved_ = std::move(resolved);
}

ClockPoint KernelModel::settled(const PowerLoad& load) const {
  ClockPoint point{1, load.time, Watts(0)};
  if (!calibration_->power) return point;
  const PowerFigures& power = *calibration_->power;
  const Watts idle = idle_power(power, gpu_);
  if (resolved_->limit == Resolved::Limit::in_prices) {
    if (load.time > Seconds(0)) point.power = idle + Resolved::within_limit(load, idle, gpu_.tdp) / load.time;
    return point;
  }
  if (resolved_->limit == Resolved::Limit::none) return settle(power, idle, gpu_.tdp, load);
  if (load.time > Seconds(0)) point.power = idle + load.energy / load.time;
  return point;
}

std::optional<Watts> KernelModel::idle() const {
  if (!calibration_->power) return std::nullopt;
  return idle_power(*calibration_->power, gpu_);
}

std::optional<Watts> KernelModel::least_power() const {
  if (!calibration_->power) return std::nullopt;
  constexpr std::int64_t kLarge = 8192;
  GpuSpec unlimited = gpu_;
  unlimited.tdp = Watts(0);
  const KernelTime product = KernelModel(unlimited, calibration_).gemm({GemmKind::dense, kLarge, kLarge, kLarge});
  return flopcast::least_power(*calibration_->power, idle_power(*calibration_->power, gpu_),
                               {product.time, product.on_sms / product.time, product.energy});
}

KernelTime KernelModel::at_clock(const KernelTime& kernel, double clock) const {
  KernelTime result = kernel;
  if (clock == 1 || !calibration_->power) return result;
  result.on_sms = kernel.on_sms * stretch_at(*calibration_->power, clock);
  result.time = kernel.time - kernel.on_sms + result.on_sms;
  result.energy = kernel.energy * std::pow(clock, calibration_->power->voltage_exponent);
  return result;
}

KernelTime KernelModel::gemm(const GemmShape& shape, int sms) const {
  GemmShape at_least_one = shape;
  at_least_one.m = std::max<std::int64_t>(1, shape.m);
  at_least_one.n = std::max<std::int64_t>(1, shape.n);
  at_least_one.k = std::max<std::int64_t>(1, shape.k);
  return resolved_->price(gpu_, *calibration_, at_least_one, sms,
                          [](const KernelParameters& p, const Machine& machine, const GemmShape& s) {
                            return gemm_parts(std::get<GemmParameters>(p), machine, s);
                          });
}

KernelTime KernelModel::attention(const AttentionShape& shape, int sms) const {
  AttentionShape at_least_one = shape;
  at_least_one.batch = std::max<std::int64_t>(1, shape.batch);
  at_least_one.query_length = std::max<std::int64_t>(1, shape.query_length);
  at_least_one.kv_length = std::max<std::int64_t>(1, shape.kv_length);
  return resolved_->price(gpu_, *calibration_, at_least_one, sms, attention_parts);
}

KernelTime KernelModel::latent_block(const LatentBlockShape& shape, int sms) const {
  const auto priced = [&](const LatentBlockShape& block) {
    return resolved_->price(gpu_, *calibration_, block, sms,
                            [](const KernelParameters& p, const Machine& machine, const LatentBlockShape& s) {
                              return latent_block_parts(std::get<LatentBlockParameters>(p), machine, s);
                            });
  };
  LatentBlockShape at_least_one = shape;
  at_least_one.batch = std::max<std::int64_t>(1, shape.batch);
  at_least_one.query_length = std::max<std::int64_t>(1, shape.query_length);
  at_least_one.kv_length = std::max<std::int64_t>(1, shape.kv_length);
  KernelTime result = priced(at_least_one);
  LatentBlockShape measured = at_least_one;
  measured.precision = Precision::fp8;
  measured.scaling = Scaling::blocks;
  measured.kv_precision = Precision::bf16;
  if (shape.tensorrt || (shape.precision == measured.precision && shape.kv_precision == measured.kv_precision))
    return result;
  // SGLang's block was measured with FP8 projections and a BF16 cache only: other formats make the difference that they
  // make to TensorRT-LLM's.
  LatentBlockShape other = at_least_one, other_measured = measured;
  other.tensorrt = other_measured.tensorrt = true;
  const KernelTime known = priced(measured);
  const double ratio = priced(other).time / priced(other_measured).time;
  result.time = known.time * ratio;
  result.on_sms = known.on_sms * ratio;
  result.evidence = std::max(known.evidence, Evidence::fitted);
  return result;
}

KernelTime KernelModel::memory_bound(MemoryKernel kernel, Bytes traffic, int sms, KernelOrigin origin) const {
  const MemoryClassFit* fit = resolved_->memory[static_cast<std::size_t>(kernel)];
  assert(fit != nullptr);
  Conditions now = resolved_->conditions;
  now.sms = sms;
  Seconds moving = traffic / BytesPerSecond(hbm_bytes_per_us(gpu_, now) / kMicrosecond *
                                            (resolved_->alone ? fit->alone_fraction : fit->hbm_fraction));
  double sm_share = 0;
  if (fit->sm_bytes_per_cycle > 0) {
    const double cycles = gpu_.boost_clock.value() * (sms == 0 ? gpu_.sms : sms) * now.clock;
    const SmLimited limited = sm_limited(moving, traffic / BytesPerSecond(fit->sm_bytes_per_cycle * cycles));
    moving = limited.time;
    sm_share = limited.sm_share;
  }
  // Elsewhere than where the classes were measured their fraction of the data-sheet bandwidth is taken to hold.
  const Seconds shortest = origin == KernelOrigin::engine ? fit->engine_minimum : fit->minimum;
  const bool known = gpu_.architecture == calibration_->memory_architecture;
  const KernelTime time{shortest + moving, known ? Evidence::fitted : Evidence::roofline, {}, {}};
  return resolved_->settled(gpu_, *calibration_, time, sm_share * (moving / time.time), PowerKind::bf16, Flop(0),
                            traffic);
}

Seconds KernelModel::kernel_gap() const { return Seconds(calibration_->kernel_gap_us.value * kMicrosecond); }

std::vector<std::string> KernelCalibration::measured_dies() const {
  std::set<std::string> dies;
  for (const FamilyFit& fit : fits)
    if (fit.variant.empty()) dies.insert(fit.die.name);
  return {dies.begin(), dies.end()};
}

std::string KernelCalibration::lender() const {
  std::map<std::string, int> families;
  for (const FamilyFit& fit : fits)
    if (fit.variant.empty()) ++families[fit.die.name];
  const auto most = std::max_element(families.begin(), families.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == families.end() ? "" : most->first;
}

std::vector<KernelFamily> KernelCalibration::missing(const GpuSpec& gpu) const {
  std::set<KernelFamily> own, others;
  for (const FamilyFit& fit : fits)
    if (fit.variant.empty()) (fit.die.name == die_of(gpu).name ? own : others).insert(fit.family);
  std::vector<KernelFamily> out;
  const auto multiplied = [&](Precision format) {
    const FlopPerSecond peak = format == Precision::fp4   ? gpu.fp4_peak
                               : format == Precision::fp8 ? gpu.fp8_peak
                                                          : gpu.bf16_peak;
    return peak > FlopPerSecond(0);
  };
  for (const KernelFamily family : others)
    if (!own.empty() && !own.contains(family) && multiplied(format(family))) out.push_back(family);
  return out;
}

bool KernelCalibration::measured(const GpuSpec& gpu) const {
  const std::string die = die_of(gpu).name;
  return std::any_of(fits.begin(), fits.end(),
                     [&](const FamilyFit& fit) { return fit.variant.empty() && fit.die.name == die; });
}

std::string_view name(MemoryKernel kernel) {
  constexpr std::array<std::string_view, kMemoryKernels> kNames = {
      "norm",          "norm_backward", "rotary",  "swiglu",    "swiglu_backward", "cast",        "cast_transpose",
      "transpose",     "copy",          "permute", "reduce",    "gating",          "elementwise", "embedding",
      "cross_entropy", "optimizer",     "strided", "index_add", "scatter_add",     "top_k"};
  return kNames[static_cast<std::size_t>(kernel)];
}

Bytes top_k_bytes(double rows, double width) {
  constexpr double kStart = 44;
  return Bytes(rows * (kStart + width) * bytes_per_element(Precision::fp32));
}

Flop flop(const GemmShape& shape) {
  const double products = shape.kind == GemmKind::fused_experts ? 3 : 1;  // gate, up, down
  return Flop(products * 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) *
              static_cast<double>(shape.k));
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

Flop flop(const LatentBlockShape& shape) {
  const double tokens = static_cast<double>(shape.batch * shape.query_length), heads = shape.heads;
  const double query = heads * (shape.nope_dim + shape.rope_dim);
  const double weights = shape.q_rank > 0 ? shape.q_rank * (shape.hidden + query) : shape.hidden * query;
  const double rest = static_cast<double>(shape.hidden) * (shape.kv_rank + shape.rope_dim) +
                      heads * shape.kv_rank * (shape.nope_dim + shape.v_dim) + heads * shape.v_dim * shape.hidden;
  const double pairs = tokens * static_cast<double>(shape.kv_length) * heads;
  return Flop(2 * tokens * (weights + rest) + 2 * pairs * (2.0 * shape.kv_rank + shape.rope_dim));
}

}  // namespace flopcast
