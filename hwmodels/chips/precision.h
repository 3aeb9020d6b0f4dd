// Number formats of tensors and of the units that multiply them.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace flopcast {

enum class Precision : std::uint8_t { fp32, bf16, fp8, fp4 };

/// How FP8 operands carry their scales. `blocks`: 1x128 activations, 128x128 weights (DeepSeek-V3 3.3). `mx`: a power
/// of two for 32 elements of a row, applied by the matrix units (Blackwell; OCP Microscaling 1.0). `rows`: one for each
/// row or column that a product sums over, so that an operand of two products is cast along both.
enum class Scaling : std::uint8_t { none, per_tensor, blocks, mx, rows };

/// How weights lie in memory. Kernels unpack four-bit ones before they multiply in the activations' format, except
/// where the matrix units take FP4 themselves.
enum class WeightFormat : std::uint8_t {
  as_multiplied,
  int4,   ///< 4 bits, a 16-bit scale and a 4-bit zero for 128 (AWQ, GPTQ)
  mxfp4,  ///< 4 bits, an 8-bit power of two for 32 (OCP Microscaling 1.0); experts only where there are any (gpt-oss)
  nvfp4,  ///< 4 bits, an FP8 scale for 16
};

/// The words for them in files and on screens, in the order of the values. Other enums have theirs beside them too.
constexpr std::array<std::string_view, 4> enum_names(Precision) { return {"fp32", "bf16", "fp8", "fp4"}; }
constexpr std::array<std::string_view, 5> enum_names(Scaling) { return {"none", "per_tensor", "blocks", "mx", "rows"}; }
constexpr std::array<std::string_view, 4> enum_names(WeightFormat) {
  return {"as_multiplied", "int4", "mxfp4", "nvfp4"};
}

constexpr double bytes_per_element(Precision p) {
  return p == Precision::fp32 ? 4.0 : p == Precision::bf16 ? 2.0 : p == Precision::fp8 ? 1.0 : 0.5;
}
/// Narrower than what accumulates and travels by default: such operands are cast first, and need scales.
constexpr bool is_narrow(Precision p) { return p == Precision::fp8 || p == Precision::fp4; }
/// Of a weight with its scales, in a format of its own.
constexpr double bytes_per_weight(WeightFormat format) {
  switch (format) {
    case WeightFormat::int4:
      return 0.5 + (2 + 0.5) / 128;
    case WeightFormat::mxfp4:
      return 0.5 + 1.0 / 32;
    case WeightFormat::nvfp4:
      return 0.5 + 1.0 / 16;
    case WeightFormat::as_multiplied:
      break;
  }
  return 0;
}
/// One FP32 scale per 1x128 tile of FP8 activations (DeepSeek-V3 report, 3.3.2), per element.
constexpr double kScaleBytesPerElement = 4.0 / 128.0;

constexpr std::string_view name(Precision p) { return enum_names(p)[static_cast<std::size_t>(p)]; }

}  // namespace flopcast
