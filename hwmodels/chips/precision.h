// Number formats of tensors and of the units that multiply them.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace flopcast {

enum class Precision : std::uint8_t { fp32, bf16, fp8 };

/// How FP8 operands carry their scales. `blocks`: 1x128 activations, 128x128 weights (DeepSeek-V3 3.3).
enum class Scaling : std::uint8_t { none, per_tensor, blocks };

/// The words for them in files and on screens, in the order of the values. Other enums have theirs beside them too.
constexpr std::array<std::string_view, 3> enum_names(Precision) { return {"fp32", "bf16", "fp8"}; }
constexpr std::array<std::string_view, 3> enum_names(Scaling) { return {"none", "per_tensor", "blocks"}; }

constexpr double bytes_per_element(Precision p) {
  return p == Precision::fp32 ? 4.0 : p == Precision::bf16 ? 2.0 : 1.0;
}
/// One FP32 scale per 1x128 tile of FP8 activations (DeepSeek-V3 report, 3.3.2), per element.
constexpr double kScaleBytesPerElement = 4.0 / 128.0;

constexpr std::string_view name(Precision p) { return enum_names(p)[static_cast<std::size_t>(p)]; }

}  // namespace flopcast
