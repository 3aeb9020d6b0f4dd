#include "hwmodels/kernels/kernel_family.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <iterator>
#include <type_traits>

namespace flopcast {

namespace {

constexpr std::array<std::string_view, kKernelFamilies> kFamilyNames = {
    "gemm_bf16",
    "gemm_fp8_blocks",
    "gemm_fp8_tensor",
    "gemm_fp8_vendor",
    "gemm_fp4",
    "grouped_contiguous",
    "grouped_masked",
    "grouped_bf16",
    "fused_experts_bf16",
    "fused_experts_fp8",
    "fused_experts_fp4",
    "fused_experts_bf16_vllm",
    "fused_experts_fp8_vllm",
    "fused_experts_tensor_vllm",
    "fused_experts_fp4_vllm",
    "fused_experts_bf16_tensorrt",
    "fused_experts_fp8_tensorrt",
    "fused_experts_tensor_tensorrt",
    "fused_experts_fp4_tensorrt",
    "fused_experts_mxfp4",
    "fused_experts_mxfp4_tensorrt",
    "fused_experts_int4",
    "weight_gradient",
    "attention_forward",
    "attention_forward_latent",
    "attention_backward",
    "decode_bf16",
    "decode_fp8",
    "decode_latent_bf16",
    "decode_latent_fp8",
    "latent_block",
    "latent_block_tensorrt",
};

template <class Parameters>
struct ParameterField {
  double Parameters::*member;
  std::string_view name;
  double low, high;
};

constexpr ParameterField<GemmParameters> kGemmFields[] = {
    {&GemmParameters::mainloop_efficiency, "mainloop_efficiency", 0.30, 1.00},
    {&GemmParameters::load_gb_per_s_and_sm, "load_gb_per_s_and_sm", 30, 400},
    {&GemmParameters::hbm_efficiency, "hbm_efficiency", 0.40, 1.00},
    {&GemmParameters::setup_us, "setup_us", 0.5, 20},
    {&GemmParameters::tile_us, "tile_us", 0.02, 8},
    {&GemmParameters::overlap_norm, "overlap_norm", 1.1, 8},
    {&GemmParameters::wave_rounding, "wave_rounding", 0.001, 1},
    {&GemmParameters::narrow_tile_loss, "narrow_tile_loss", 1e-4, 1},
    {&GemmParameters::wide_tile_trap, "wide_tile_trap", 1, 8},
    {&GemmParameters::cast_efficiency, "cast_efficiency", 0.5, 1},
    {&GemmParameters::cast_setup_us, "cast_setup_us", 0.05, 3},
    {&GemmParameters::timer_us, "timer_us", 0.05, 8}};

constexpr ParameterField<AttentionParameters> kAttentionFields[] = {
    {&AttentionParameters::mma_efficiency, "mma_efficiency", 0.2, 1},
    {&AttentionParameters::softmax_ps_per_score, "softmax_ps_per_score", 1, 100},
    {&AttentionParameters::hbm_efficiency, "hbm_efficiency", 0.4, 1},
    {&AttentionParameters::setup_us, "setup_us", 1, 40},
    {&AttentionParameters::tile_us, "tile_us", 0.05, 20},
    {&AttentionParameters::overlap_norm, "overlap_norm", 1.1, 8},
    {&AttentionParameters::balance_norm, "balance_norm", 1.1, 12}};

constexpr ParameterField<DecodeParameters> kDecodeFields[] = {
    {&DecodeParameters::mma_efficiency, "mma_efficiency", 0.05, 1},
    {&DecodeParameters::hbm_efficiency, "hbm_efficiency", 0.3, 1},
    {&DecodeParameters::setup_us, "setup_us", 2, 60},
    {&DecodeParameters::item_us, "item_us", 0.05, 20},
    {&DecodeParameters::key_block_us, "key_block_us", 0.002, 3},
    {&DecodeParameters::split_us, "split_us", 0.05, 20},
    {&DecodeParameters::overlap_norm, "overlap_norm", 1.1, 8}};

constexpr ParameterField<LatentBlockParameters> kLatentBlockFields[] = {
    {&LatentBlockParameters::mainloop_efficiency, "mainloop_efficiency", 0.2, 1},
    {&LatentBlockParameters::load_gb_per_s_and_sm, "load_gb_per_s_and_sm", 20, 400},
    {&LatentBlockParameters::tile_us, "tile_us", 0.02, 8},
    {&LatentBlockParameters::mma_efficiency, "mma_efficiency", 0.05, 1},
    {&LatentBlockParameters::hbm_efficiency, "hbm_efficiency", 0.3, 1},
    {&LatentBlockParameters::setup_us, "setup_us", 2, 100},
    {&LatentBlockParameters::item_us, "item_us", 0.05, 20},
    {&LatentBlockParameters::key_block_us, "key_block_us", 0.002, 3},
    {&LatentBlockParameters::split_us, "split_us", 0.05, 20},
    {&LatentBlockParameters::overlap_norm, "overlap_norm", 1.1, 8}};

std::span<const ParameterField<GemmParameters>> parameter_fields(const GemmParameters&) { return kGemmFields; }
std::span<const ParameterField<AttentionParameters>> parameter_fields(const AttentionParameters&) {
  return kAttentionFields;
}
std::span<const ParameterField<DecodeParameters>> parameter_fields(const DecodeParameters&) { return kDecodeFields; }
std::span<const ParameterField<LatentBlockParameters>> parameter_fields(const LatentBlockParameters&) {
  return kLatentBlockFields;
}

template <class Parameters>
std::span<const ParameterInfo> parameter_infos() {
  static const std::vector<ParameterInfo> list = [] {
    const Parameters start;
    std::vector<ParameterInfo> out;
    for (const auto& field : parameter_fields(start))
      out.push_back({field.name, field.low, field.high, start.*field.member});
    return out;
  }();
  return list;
}

/// TensorRT-LLM's block takes 55 to 130 us for one token (six launches that wait for each other), others 25 to 60.
std::span<const ParameterInfo> engine_block_infos() {
  static const std::vector<ParameterInfo> list = [] {
    const std::span<const ParameterInfo> general = parameter_infos<GemmParameters>();
    std::vector<ParameterInfo> out(general.begin(), general.end());
    for (ParameterInfo& info : out)
      if (info.name == "setup_us") info.high = 150;
    return out;
  }();
  return list;
}

double log2_of(double value) { return std::log2(std::max(value, 1.0)); }

}  // namespace

std::string_view name(KernelFamily family) { return kFamilyNames[static_cast<std::size_t>(family)]; }

std::optional<KernelFamily> find_family(std::string_view name) {
  const auto found = std::find(kFamilyNames.begin(), kFamilyNames.end(), name);
  if (found == kFamilyNames.end()) return std::nullopt;
  return static_cast<KernelFamily>(found - kFamilyNames.begin());
}

std::string_view group(KernelFamily family) { return family <= KernelFamily::weight_gradient ? "GEMM" : "attention"; }

Precision format(KernelFamily family) {
  using enum KernelFamily;
  switch (family) {
    case gemm_fp4:
    case fused_experts_fp4:
    case fused_experts_fp4_vllm:
    case fused_experts_fp4_tensorrt:
      return Precision::fp4;
    case gemm_fp8_blocks:
    case gemm_fp8_tensor:
    case gemm_fp8_vendor:
    case grouped_contiguous:
    case grouped_masked:
    case fused_experts_fp8:
    case fused_experts_fp8_vllm:
    case fused_experts_tensor_vllm:
    case fused_experts_fp8_tensorrt:
    case fused_experts_tensor_tensorrt:
    case weight_gradient:
      return Precision::fp8;
    default:
      return Precision::bf16;
  }
}

KernelFamily family_of(const GemmShape& shape) {
  const bool fp4 = shape.precision == Precision::fp4;
  const bool narrow = shape.precision == Precision::fp8 || fp4;
  const bool in_blocks = shape.scaling == Scaling::blocks;
  switch (shape.kind) {
    case GemmKind::grouped_contiguous:
      return narrow ? KernelFamily::grouped_contiguous : KernelFamily::grouped_bf16;
    case GemmKind::grouped_masked:
      return KernelFamily::grouped_masked;
    case GemmKind::fused_experts:
      switch (shape.block) {
        case ExpertBlock::vllm:
          return fp4         ? KernelFamily::fused_experts_fp4_vllm
                 : !narrow   ? KernelFamily::fused_experts_bf16_vllm
                 : in_blocks ? KernelFamily::fused_experts_fp8_vllm
                             : KernelFamily::fused_experts_tensor_vllm;
        case ExpertBlock::tensorrt:
          return fp4         ? KernelFamily::fused_experts_fp4_tensorrt
                 : !narrow   ? KernelFamily::fused_experts_bf16_tensorrt
                 : in_blocks ? KernelFamily::fused_experts_fp8_tensorrt
                             : KernelFamily::fused_experts_tensor_tensorrt;
        case ExpertBlock::triton_kernels:
          return KernelFamily::fused_experts_mxfp4;
        case ExpertBlock::triton_kernels_tensorrt:
          return KernelFamily::fused_experts_mxfp4_tensorrt;
        case ExpertBlock::marlin:
          return KernelFamily::fused_experts_int4;
        default:
          return fp4      ? KernelFamily::fused_experts_fp4
                 : narrow ? KernelFamily::fused_experts_fp8
                          : KernelFamily::fused_experts_bf16;
      }
    case GemmKind::weight_gradient:
      // Only DeepGEMM has kernels of their own for it; elsewhere it is a transposed GEMM of the same library.
      if (shape.precision == Precision::fp8 && shape.scaling == Scaling::blocks) return KernelFamily::weight_gradient;
      break;
    case GemmKind::dense:
      break;
  }
  if (!narrow) return KernelFamily::gemm_bf16;
  if (fp4) return KernelFamily::gemm_fp4;
  // Matrix units apply scales of 1x32 themselves: the vendor's kernels, at the chip's own peak.
  if (shape.scaling == Scaling::mx || (shape.vendor_library && shape.scaling != Scaling::blocks))
    return KernelFamily::gemm_fp8_vendor;
  return shape.scaling == Scaling::blocks ? KernelFamily::gemm_fp8_blocks : KernelFamily::gemm_fp8_tensor;
}

KernelFamily family_of(const AttentionShape& shape) {
  const bool latent = shape.latent;
  if (shape.kind == AttentionKind::backward) return KernelFamily::attention_backward;
  if (shape.kind == AttentionKind::forward)
    return latent ? KernelFamily::attention_forward_latent : KernelFamily::attention_forward;
  const bool fp8 = shape.kv_precision == Precision::fp8;
  if (latent) return fp8 ? KernelFamily::decode_latent_fp8 : KernelFamily::decode_latent_bf16;
  return fp8 ? KernelFamily::decode_fp8 : KernelFamily::decode_bf16;
}

KernelFamily family_of(const LatentBlockShape& shape) {
  return shape.tensorrt ? KernelFamily::latent_block_tensorrt : KernelFamily::latent_block;
}

KernelParameters start_parameters(KernelFamily family) {
  if (family <= KernelFamily::weight_gradient) return GemmParameters{};
  if (family <= KernelFamily::attention_backward) return AttentionParameters{};
  if (family <= KernelFamily::decode_latent_fp8) return DecodeParameters{};
  return LatentBlockParameters{};
}

std::span<const ParameterInfo> parameters_of(KernelFamily family) {
  if (is_fused_experts(family) && family > KernelFamily::fused_experts_fp4) return engine_block_infos();
  return std::visit([](const auto& p) { return parameter_infos<std::decay_t<decltype(p)>>(); },
                    start_parameters(family));
}

std::size_t index_of(double GemmParameters::*parameter) {
  const auto found =
      std::find_if(std::begin(kGemmFields), std::end(kGemmFields),
                   [&](const ParameterField<GemmParameters>& field) { return field.member == parameter; });
  return static_cast<std::size_t>(found - std::begin(kGemmFields));
}

std::vector<double> values_of(const KernelParameters& parameters) {
  std::vector<double> values;
  std::visit(
      [&](const auto& p) {
        for (const auto& field : parameter_fields(p)) values.push_back(p.*field.member);
      },
      parameters);
  return values;
}

KernelParameters with_values(KernelFamily family, std::span<const double> values) {
  KernelParameters parameters = start_parameters(family);
  std::visit(
      [&](auto& p) {
        assert(values.size() == parameter_fields(p).size());
        std::size_t i = 0;
        for (const auto& field : parameter_fields(p)) p.*field.member = values[i++];
      },
      parameters);
  return parameters;
}

int coordinate_count(KernelFamily family) {
  if (is_fused_experts(family)) return 4;
  switch (family) {
    case KernelFamily::grouped_contiguous:
    case KernelFamily::grouped_masked:
    case KernelFamily::grouped_bf16:
      return 4;
    case KernelFamily::attention_forward:
      return 6;
    case KernelFamily::attention_forward_latent:
    case KernelFamily::decode_bf16:
    case KernelFamily::decode_fp8:
    case KernelFamily::decode_latent_bf16:
    case KernelFamily::decode_latent_fp8:
    case KernelFamily::latent_block:
    case KernelFamily::latent_block_tensorrt:
      return 4;
    default:
      return 3;
  }
}

void coordinates_of(const GemmShape& shape, double* out) {
  const double groups = std::max(1, shape.groups);
  out[0] = log2_of(static_cast<double>(shape.m) / groups);
  out[1] = log2_of(static_cast<double>(shape.n));
  out[2] = log2_of(static_cast<double>(shape.k));
  if (shape.kind == GemmKind::grouped_contiguous || shape.kind == GemmKind::grouped_masked ||
      shape.kind == GemmKind::fused_experts)
    out[3] = log2_of(groups);
}

void coordinates_of(const AttentionShape& shape, double* out) {
  const double kv_heads = std::max(1, shape.kv_heads);
  const double ratio = shape.query_heads / kv_heads;
  switch (family_of(shape)) {
    case KernelFamily::attention_forward:
      out[0] = log2_of(static_cast<double>(shape.query_length));
      out[1] = log2_of(static_cast<double>(shape.batch));
      out[2] = log2_of(kv_heads);
      out[3] = log2_of(ratio);
      out[4] = 2 * log2_of(0.5 * (shape.qk_dim + shape.v_dim));  // head sizes are few and far apart
      out[5] = shape.causal ? 0 : 2;
      return;
    case KernelFamily::attention_forward_latent:
      out[0] = log2_of(static_cast<double>(shape.query_length));
      out[1] = log2_of(static_cast<double>(shape.batch));
      out[2] = log2_of(ratio);
      out[3] = shape.kv_precision == Precision::fp8 ? 8 : 0;
      return;
    case KernelFamily::attention_backward:
      out[0] = log2_of(static_cast<double>(shape.query_length));
      out[1] = log2_of(static_cast<double>(shape.batch));
      out[2] = log2_of(shape.query_heads);
      return;
    default:
      out[0] = log2_of(static_cast<double>(shape.kv_length));
      out[1] = log2_of(static_cast<double>(shape.batch));
      out[2] = log2_of(kv_heads);
      out[3] = log2_of(ratio * static_cast<double>(std::max<std::int64_t>(1, shape.query_length)));
      return;
  }
}

void coordinates_of(const LatentBlockShape& shape, double* out) {
  constexpr double kApart = 16;  // number formats do not inform each other
  out[0] = log2_of(static_cast<double>(shape.kv_length));
  out[1] = log2_of(static_cast<double>(shape.batch * shape.query_length));
  out[2] = log2_of(shape.heads);
  out[3] = (shape.precision == Precision::fp8 ? kApart : 0) + (shape.kv_precision == Precision::fp8 ? 2 * kApart : 0);
}

}  // namespace flopcast
