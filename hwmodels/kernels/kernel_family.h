// Families of kernels that share one time formula and one set of fitted numbers.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "hwmodels/kernels/kernels.h"

namespace flopcast {

enum class KernelFamily : std::uint8_t {
  gemm_bf16,
  gemm_fp8_blocks,
  gemm_fp8_tensor,
  gemm_fp8_vendor,  ///< per tensor, cuBLASLt: not in the tables; reaches the share of its peak that BF16 reaches of its
                    ///< own
  grouped_contiguous,
  grouped_masked,
  weight_gradient,
  attention_forward,
  attention_forward_latent,  ///< absorbed MLA over a prompt: one key-value head, 576/512
  attention_backward,
  decode_bf16,  ///< key-value cache in BF16
  decode_fp8,
  decode_latent_bf16,
  decode_latent_fp8,
};
constexpr int kKernelFamilies = 14;

std::string_view name(KernelFamily family);
std::optional<KernelFamily> find_family(std::string_view name);
/// "GEMM" or "attention": what an error summary is grouped under.
std::string_view group(KernelFamily family);

KernelFamily family_of(const GemmShape& shape);
KernelFamily family_of(const AttentionShape& shape);

/// A fitted number of a formula: its name in the data file and the interval it is sought in.
struct ParameterInfo {
  std::string_view name;
  double low, high, start;
};
/// In the order in which formulas and data files keep them.
std::span<const ParameterInfo> parameters_of(KernelFamily family);

/// Where a shape lies among the measurements of its family: logarithms to base 2 of its sizes. Residuals are
/// smooth in these coordinates.
constexpr int kMostCoordinates = 6;
int coordinate_count(KernelFamily family);
/// Writes coordinate_count(family) numbers.
void coordinates_of(const GemmShape& shape, double* out);
void coordinates_of(const AttentionShape& shape, double* out);

}  // namespace flopcast
