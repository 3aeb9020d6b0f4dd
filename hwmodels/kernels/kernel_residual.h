// What measurements know beyond a formula: a smooth correction that vanishes away from them.
//
//   r(x) = sum over centres i of  w_i (1 - d_i^2)^4   where  d_i = |(x - c_i) / radius| < 1,   else 0
//
// The bump is twice differentiable, cheap (no roots, no exponentials) and exactly zero outside its radius, so
// a price far from all measurements is the bare formula's.
#pragma once
#include <span>
#include <vector>

namespace flopcast {

class KernelResidual {
 public:
  KernelResidual() = default;
  /// @param radius per coordinate. @param centres row-major, radius.size() columns. @param weights one per
  /// row.
  KernelResidual(std::vector<double> radius, std::vector<double> centres, std::vector<double> weights);

  struct Value {
    double correction = 0;  ///< to be added to the logarithm of the time
    double nearness = 0;    ///< largest bump: 1 on a centre, 0 outside all of them
  };
  Value at(std::span<const double> coordinates) const;

  bool empty() const { return weights_.empty(); }
  std::size_t size() const { return weights_.size(); }
  const std::vector<double>& radius() const { return radius_; }
  const std::vector<double>& centres() const { return centres_; }
  const std::vector<double>& weights() const { return weights_; }

 private:
  std::vector<double> radius_, centres_, weights_;
  std::vector<float> scaled_;  // centres over radius, one coordinate after the other: vector loops
  std::vector<float> fast_weights_;
};

}  // namespace flopcast
