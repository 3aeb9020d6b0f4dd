#include "hwmodels/kernels/kernel_residual.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "hwmodels/kernels/kernel_family.h"

namespace flopcast {

KernelResidual::KernelResidual(std::vector<double> radius, std::vector<double> centres,
                               std::vector<PartCorrection> weights)
    : radius_(std::move(radius)), centres_(std::move(centres)), weights_(std::move(weights)) {
  assert(centres_.size() == weights_.size() * radius_.size() && radius_.size() <= kMostCoordinates);
  const std::size_t dims = radius_.size(), n = weights_.size();
  scaled_.resize(centres_.size());
  for (std::size_t d = 0; d < dims; ++d)
    for (std::size_t i = 0; i < n; ++i) scaled_[d * n + i] = static_cast<float>(centres_[i * dims + d] / radius_[d]);
  for (const PartCorrection& weight : weights_) {
    chip_weights_.push_back(static_cast<float>(weight.chip));
    memory_weights_.push_back(static_cast<float>(weight.memory));
  }
}

KernelResidual::Value KernelResidual::at(std::span<const double> coordinates) const {
  constexpr std::size_t kChunk = 64;
  const std::size_t dims = radius_.size(), n = weights_.size();
  std::array<float, kMostCoordinates> x{};
  for (std::size_t d = 0; d < dims; ++d) x[d] = static_cast<float>(coordinates[d] / radius_[d]);
  Value value;
  std::array<float, kChunk> left{};  // 1 - d^2
  for (std::size_t begin = 0; begin < n; begin += kChunk) {
    const std::size_t count = std::min(kChunk, n - begin);
    left.fill(1.0F);
    for (std::size_t d = 0; d < dims; ++d) {
      const float* centre = scaled_.data() + d * n + begin;
      for (std::size_t i = 0; i < count; ++i) left[i] -= (x[d] - centre[i]) * (x[d] - centre[i]);
    }
    float chip = 0, memory = 0, nearest = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const float inside = std::max(left[i], 0.0F);
      const float bump = inside * inside * inside * inside;
      chip += bump * chip_weights_[begin + i];
      memory += bump * memory_weights_[begin + i];
      nearest = std::max(nearest, bump);
    }
    value.correction.chip += static_cast<double>(chip);
    value.correction.memory += static_cast<double>(memory);
    value.nearness = std::max(value.nearness, static_cast<double>(nearest));
  }
  return value;
}

}  // namespace flopcast
