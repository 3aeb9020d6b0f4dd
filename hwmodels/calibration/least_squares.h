// Robust non-linear least squares on few bounded parameters: Levenberg-Marquardt with reweighting.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "hwmodels/kernels/kernel_family.h"

namespace flopcast {

struct LeastSquaresProblem {
  std::span<const ParameterInfo> parameters;
  std::vector<double> start;  ///< where the search begins; parameters that are not `free` stay there
  std::vector<bool> free;
  std::vector<double> weights;  ///< one per residual
  /// Fills one residual per weight.
  std::function<void(std::span<const double> parameters, std::span<double> residuals)> residuals;
  double scale = 0.08;  ///< residuals beyond it count linearly (pseudo-Huber), so that outliers do not steer
  double pull = 0.02;   ///< towards the start, in the unit of the internal coordinate
};

/// Parameters that minimise the weighted robust sum. Each moves on a logarithmic (bounds positive) scale
/// between its bounds. Deterministic.
std::vector<double> solve(const LeastSquaresProblem& problem);

/// Weight of a residual in iteratively reweighted least squares under the pseudo-Huber loss.
double robust_weight(double residual, double scale);

}  // namespace flopcast
