#include "hwmodels/kernels/kernel_family.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace flopcast {

namespace {

constexpr std::array<std::string_view, kKernelFamilies> kNames = {
    "gemm_bf16",      "gemm_fp8_blocks", "gemm_fp8_tensor",    "gemm_fp8_vendor",          "grouped_contiguous",
    "grouped_masked", "weight_gradient", "attention_forward",  "attention_forward_latent", "attention_backward",
    "decode_bf16",    "decode_fp8",      "decode_latent_bf16", "decode_latent_fp8"};

constexpr ParameterInfo kGemm[] = {
    {"mainloop_efficiency", 0.30, 1.00, 0.75},  // of the SM's peak, in the inner loop of a full tile
    {"load_gb_per_s_and_sm", 30, 400, 80},      // from L2 into one SM
    {"hbm_efficiency", 0.40, 1.00, 0.88},
    {"setup_us", 0.5, 20, 3},             // launch to first instruction, drain
    {"tile_us", 0.02, 8, 0.7},            // prologue and epilogue of a tile
    {"overlap_norm", 1.1, 8, 2},          // p of (compute^p + memory^p)^(1/p)
    {"wave_rounding", 0.001, 1, 0.5},     // 1: a started wave costs a whole one; 0: tail perfectly filled
    {"narrow_tile_loss", 1e-4, 1, 0.03},  // extra inner-loop time of a 64-wide tile
    {"wide_tile_trap", 1, 8, 2.5},        // slowdown where a 192- or 256-wide tile would just fill one wave
    {"cast_efficiency", 0.5, 1, 0.9},     // of HBM: activation cast inside the measurement (not priced)
    {"cast_setup_us", 0.05, 3, 0.5},      // the same, fixed part
    {"timer_us", 0.05, 8, 3},             // what tables that exclude the launch leave out
};

constexpr ParameterInfo kAttention[] = {
    {"mma_efficiency", 0.2, 1, 0.9},       // of the SM's peak, matrix products alone
    {"softmax_ps_per_score", 1, 100, 30},  // per query-key pair and SM, not hidden behind the products
    {"hbm_efficiency", 0.4, 1, 0.85},
    {"setup_us", 1, 40, 8},
    {"tile_us", 0.05, 20, 1},  // prologue and epilogue of a block of queries
    {"overlap_norm", 1.1, 8, 3},
    {"balance_norm", 1.1, 12, 4},  // q of (mean^q + longest^q)^(1/q) over SMs
};

constexpr ParameterInfo kDecode[] = {
    {"mma_efficiency", 0.05, 1, 0.6}, {"hbm_efficiency", 0.3, 1, 0.92},
    {"setup_us", 2, 60, 10},          {"item_us", 0.05, 20, 2},  // per sequence and key-value head on one SM
    {"key_block_us", 0.002, 3, 0.1},                             // 64 keys in one thread block: latency of the loop
    {"split_us", 0.05, 20, 2},                                   // combining partial results
    {"overlap_norm", 1.1, 8, 3},
};

double log2_of(double value) { return std::log2(std::max(value, 1.0)); }

}  // namespace

std::string_view name(KernelFamily family) { return kNames[static_cast<std::size_t>(family)]; }

std::optional<KernelFamily> find_family(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<KernelFamily>(found - kNames.begin());
}

std::string_view group(KernelFamily family) { return family <= KernelFamily::weight_gradient ? "GEMM" : "attention"; }

KernelFamily family_of(const GemmShape& shape) {
  switch (shape.kind) {
    case GemmKind::grouped_contiguous:
      return KernelFamily::grouped_contiguous;
    case GemmKind::grouped_masked:
      return KernelFamily::grouped_masked;
    case GemmKind::weight_gradient:
      // Only DeepGEMM has kernels of their own for it; elsewhere it is a transposed GEMM of the same library.
      if (shape.precision == Precision::fp8 && shape.scaling == Scaling::blocks) return KernelFamily::weight_gradient;
      break;
    case GemmKind::dense:
      break;
  }
  if (shape.precision != Precision::fp8) return KernelFamily::gemm_bf16;
  if (shape.vendor_library && shape.scaling != Scaling::blocks) return KernelFamily::gemm_fp8_vendor;
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

std::span<const ParameterInfo> parameters_of(KernelFamily family) {
  if (family <= KernelFamily::weight_gradient) return kGemm;
  if (family <= KernelFamily::attention_backward) return kAttention;
  return kDecode;
}

int coordinate_count(KernelFamily family) {
  switch (family) {
    case KernelFamily::grouped_contiguous:
    case KernelFamily::grouped_masked:
      return 4;
    case KernelFamily::attention_forward:
      return 6;
    case KernelFamily::attention_forward_latent:
    case KernelFamily::decode_bf16:
    case KernelFamily::decode_fp8:
    case KernelFamily::decode_latent_bf16:
    case KernelFamily::decode_latent_fp8:
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
  if (shape.kind == GemmKind::grouped_contiguous || shape.kind == GemmKind::grouped_masked) out[3] = log2_of(groups);
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

}  // namespace flopcast
