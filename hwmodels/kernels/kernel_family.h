// Families of kernels that share one time formula and one set of fitted numbers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "hwmodels/kernels/kernels.h"

namespace flopcast {

enum class KernelFamily : std::uint8_t {
  gemm_bf16,
  gemm_fp8_blocks,
  gemm_fp8_tensor,
  gemm_fp8_vendor,     ///< per tensor, cuBLASLt
  gemm_fp4,            ///< NVFP4: both operands
  grouped_contiguous,  ///< FP8 with 1x128 scales, like the next
  grouped_masked,
  grouped_bf16,
  fused_experts_bf16,  ///< gated experts as one block
  fused_experts_fp8,   ///< with 1x128 scales
  fused_experts_fp4,   ///< NVFP4
  fused_experts_bf16_vllm,
  fused_experts_fp8_vllm,
  fused_experts_tensor_vllm,  ///< FP8 with one scale per tensor
  fused_experts_fp4_vllm,
  fused_experts_bf16_tensorrt,
  fused_experts_fp8_tensorrt,
  fused_experts_tensor_tensorrt,
  fused_experts_fp4_tensorrt,
  fused_experts_mxfp4,           ///< four-bit weights that the kernel unpacks to BF16, vLLM's and SGLang's
  fused_experts_mxfp4_tensorrt,  ///< TensorRT-LLM's
  fused_experts_int4,            ///< Marlin
  weight_gradient,
  attention_forward,
  attention_forward_latent,  ///< absorbed MLA over a prompt: one key-value head, 576/512
  attention_backward,
  decode_bf16,  ///< key-value cache in BF16
  decode_fp8,
  decode_latent_bf16,
  decode_latent_fp8,
  latent_block,           ///< decoding: latent attention with its projections, as SGLang runs it
  latent_block_tensorrt,  ///< as TensorRT-LLM runs it
};
constexpr int kKernelFamilies = 32;

std::string_view name(KernelFamily family);
std::optional<KernelFamily> find_family(std::string_view name);
/// "GEMM" or "attention": what an error summary is grouped under.
std::string_view group(KernelFamily family);

/// What its matrix products multiply; decoding over an FP8 cache multiplies BF16.
Precision format(KernelFamily family);

/// A family of fused experts, whosever.
constexpr bool is_fused_experts(KernelFamily family) {
  return family >= KernelFamily::fused_experts_bf16 && family <= KernelFamily::fused_experts_int4;
}

/// Its kernels unpack weights of four bits and multiply in BF16.
constexpr bool unpacks(KernelFamily family) {
  return family >= KernelFamily::fused_experts_mxfp4 && family <= KernelFamily::fused_experts_int4;
}

KernelFamily family_of(const GemmShape& shape);
KernelFamily family_of(const AttentionShape& shape);
KernelFamily family_of(const LatentBlockShape& shape);

/// A fitted number of a formula: its name in the data file and the interval it is sought in.
struct ParameterInfo {
  std::string_view name;
  double low, high, start;
};

struct GemmParameters {
  double mainloop_efficiency = 0.75;  ///< of the SM's peak, in the inner loop of a full tile
  double load_gb_per_s_and_sm = 80;   ///< from L2 into one SM
  double hbm_efficiency = 0.88;
  double setup_us = 3;             ///< launch to first instruction, drain
  double tile_us = 0.7;            ///< prologue and epilogue of a tile
  double overlap_norm = 2;         ///< p of (compute^p + memory^p)^(1/p)
  double wave_rounding = 0.5;      ///< 1: a started wave costs a whole one; 0: tail perfectly filled
  double narrow_tile_loss = 0.03;  ///< extra inner-loop time of a 64-wide tile
  // Of measurements, never of a price:
  double wide_tile_trap = 1;     ///< slowdown where a 192- or 256-wide tile would just fill one wave
  double cast_efficiency = 0.9;  ///< of HBM: activation cast inside the measurement
  double cast_setup_us = 0.5;    ///< the same, fixed part
  double timer_us = 3;           ///< what tables that exclude the launch leave out
  bool operator==(const GemmParameters&) const = default;
};

struct AttentionParameters {
  double mma_efficiency = 0.9;       ///< of the SM's peak, matrix products alone
  double softmax_ps_per_score = 30;  ///< per query-key pair and SM, not hidden behind the products
  double hbm_efficiency = 0.85;
  double setup_us = 8;
  double tile_us = 1;  ///< prologue and epilogue of a block of queries
  double overlap_norm = 3;
  double balance_norm = 4;  ///< q of (mean^q + longest^q)^(1/q) over SMs
  bool operator==(const AttentionParameters&) const = default;
};

struct DecodeParameters {
  double mma_efficiency = 0.6;
  double hbm_efficiency = 0.92;
  double setup_us = 10;
  double item_us = 2;         ///< per sequence and key-value head on one SM
  double key_block_us = 0.1;  ///< 64 keys in one thread block: latency of the loop
  double split_us = 2;        ///< combining partial results
  double overlap_norm = 3;
  bool operator==(const DecodeParameters&) const = default;
};

struct LatentBlockParameters {
  double mainloop_efficiency = 0.75;  ///< projections: of the SM's peak
  double load_gb_per_s_and_sm = 80;
  double tile_us = 0.7;
  double mma_efficiency = 0.6;  ///< core
  double hbm_efficiency = 0.9;
  double setup_us = 25;  ///< launches of all its kernels, and what small ones take at least
  double item_us = 2;
  double key_block_us = 0.1;
  double split_us = 2;
  double overlap_norm = 2;
  bool operator==(const LatentBlockParameters&) const = default;
};

/// The one that the family's formula takes, at its starting values.
using KernelParameters = std::variant<GemmParameters, AttentionParameters, DecodeParameters, LatentBlockParameters>;
KernelParameters start_parameters(KernelFamily family);

/// Names and bounds of a family's parameters, in the order of values_of().
std::span<const ParameterInfo> parameters_of(KernelFamily family);
/// Place of a parameter in that order.
std::size_t index_of(double GemmParameters::*parameter);
std::vector<double> values_of(const KernelParameters& parameters);
KernelParameters with_values(KernelFamily family, std::span<const double> values);

/// Where a shape lies among the measurements of its family: logarithms to base 2 of its sizes. Residuals are
/// smooth in these coordinates.
constexpr int kMostCoordinates = 6;
int coordinate_count(KernelFamily family);
/// Writes coordinate_count(family) numbers.
void coordinates_of(const GemmShape& shape, double* out);
void coordinates_of(const AttentionShape& shape, double* out);
void coordinates_of(const LatentBlockShape& shape, double* out);

}  // namespace flopcast
