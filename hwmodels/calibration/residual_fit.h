// Fits the smooth correction of kernel_residual.h to what a formula missed.
#pragma once
#include <span>
#include <vector>

#include "hwmodels/kernels/kernel_residual.h"

namespace flopcast {

struct ResidualFitOptions {
  std::vector<double> radius;  ///< of a bump, per coordinate
  std::size_t centres = 200;   ///< at most; chosen among the points, each as far from the others as possible
  double ridge = 0.1;          ///< keeps weights small where points are few
  double scale = 0.08;         ///< residuals beyond it count linearly
};

/// @param points row-major, radius.size() columns. @param residuals, weights one per row.
KernelResidual fit_residual(std::span<const double> points, std::span<const double> residuals,
                            std::span<const double> weights, const ResidualFitOptions& options);

}  // namespace flopcast
