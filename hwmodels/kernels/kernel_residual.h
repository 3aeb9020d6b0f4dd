// What measurements know beyond a formula: a smooth correction that vanishes away from them.
//
//   r(x) = sum over centres i of  w_i (1 - d_i^2)^4   where  d_i = |(x - c_i) / radius| < 1,   else 0
//
// There are two such sums over the same centres: one corrects the part of a kernel's time that the SMs take, one HBM's
// part (kernel_formulas.h, PartCorrection). So chips of one die share them, whatever their clocks and memories. The
// bump is twice differentiable, cheap (no roots, no exponentials) and exactly zero outside its radius, so a price far
// from all measurements is the bare formula's.
#pragma once
#include <span>
#include <vector>

#include "hwmodels/kernels/kernel_formulas.h"

namespace flopcast {

class KernelResidual {
 public:
  KernelResidual() = default;
  /// @param radius per coordinate. @param centres row-major, radius.size() columns. @param weights one per row.
  KernelResidual(std::vector<double> radius, std::vector<double> centres, std::vector<PartCorrection> weights);

  struct Value {
    PartCorrection correction;
    double nearness = 0;  ///< largest bump: 1 on a centre, 0 outside all of them
  };
  Value at(std::span<const double> coordinates) const;

  bool empty() const { return weights_.empty(); }
  std::size_t size() const { return weights_.size(); }
  const std::vector<double>& radius() const { return radius_; }
  const std::vector<double>& centres() const { return centres_; }
  const std::vector<PartCorrection>& weights() const { return weights_; }

 private:
  std::vector<double> radius_, centres_;
  std::vector<PartCorrection> weights_;
  std::vector<float> scaled_;  // centres over radius, one coordinate after the other: vector loops
  std::vector<float> chip_weights_, memory_weights_;
};

}  // namespace flopcast
