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

/// One measured kernel beside what the formula says of it.
struct ResidualRow {
  std::vector<double> at;  ///< coordinates
  KernelParts parts;       ///< by the formula
  double microseconds = 0;
  double weight = 1;
};

KernelResidual fit_residual(std::span<const ResidualRow> rows, const ResidualFitOptions& options);

}  // namespace flopcast
