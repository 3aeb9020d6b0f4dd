#include "hwmodels/calibration/residual_fit.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "hwmodels/calibration/least_squares.h"

namespace flopcast {

namespace {

/// What the data file keeps of a number: two decimals of a coordinate, four of a weight.
double rounded(double value, double unit) { return std::round(value / unit) * unit; }

/// Farthest-point sampling: starts at the point nearest to the middle.
std::vector<std::size_t> spread_out(const Eigen::MatrixXd& points, std::size_t count) {
  const Eigen::RowVectorXd middle = points.colwise().mean();
  Eigen::Index next = 0;
  (points.rowwise() - middle).rowwise().squaredNorm().minCoeff(&next);
  Eigen::VectorXd distance = Eigen::VectorXd::Constant(points.rows(), std::numeric_limits<double>::infinity());
  std::vector<std::size_t> chosen;
  while (chosen.size() < count) {
    chosen.push_back(static_cast<std::size_t>(next));
    distance = distance.cwiseMin((points.rowwise() - points.row(next)).rowwise().squaredNorm());
    if (distance.maxCoeff(&next) < 1e-6) break;
  }
  return chosen;
}

Eigen::MatrixXd bumps(const Eigen::MatrixXd& points, const Eigen::MatrixXd& centres) {
  Eigen::MatrixXd values(points.rows(), centres.rows());
  for (Eigen::Index j = 0; j < centres.rows(); ++j) {
    const Eigen::ArrayXd inside = (1 - (points.rowwise() - centres.row(j)).rowwise().squaredNorm().array()).max(0.0);
    values.col(j) = inside.square().square();
  }
  return values;
}

}  // namespace

KernelResidual fit_residual(std::span<const double> points, std::span<const double> residuals,
                            std::span<const double> weights, const ResidualFitOptions& options) {
  const auto rows = static_cast<Eigen::Index>(residuals.size());
  const auto dims = static_cast<Eigen::Index>(options.radius.size());
  if (rows == 0) return {};
  Eigen::MatrixXd scaled(rows, dims);
  for (Eigen::Index i = 0; i < rows; ++i)
    for (Eigen::Index d = 0; d < dims; ++d)
      scaled(i, d) =
          rounded(points[static_cast<std::size_t>(i * dims + d)], 0.01) / options.radius[static_cast<std::size_t>(d)];

  const std::vector<std::size_t> chosen = spread_out(scaled, options.centres);
  const auto count = static_cast<Eigen::Index>(chosen.size());
  Eigen::MatrixXd centres(count, dims);
  for (Eigen::Index j = 0; j < count; ++j)
    centres.row(j) = scaled.row(static_cast<Eigen::Index>(chosen[static_cast<std::size_t>(j)]));

  const Eigen::MatrixXd design = bumps(scaled, centres);
  const Eigen::Map<const Eigen::VectorXd> target(residuals.data(), rows);
  const Eigen::Map<const Eigen::VectorXd> given(weights.data(), rows);
  Eigen::VectorXd solution = Eigen::VectorXd::Zero(count);
  Eigen::VectorXd w = given.array().square();
  for (int round = 0; round < 6; ++round) {
    Eigen::MatrixXd normal = design.transpose() * w.asDiagonal() * design;
    normal.diagonal().array() += options.ridge;
    solution = normal.ldlt().solve(design.transpose() * (w.asDiagonal() * target));
    const Eigen::VectorXd left = target - design * solution;
    for (Eigen::Index i = 0; i < rows; ++i) w[i] = given[i] * given[i] * robust_weight(left[i], options.scale);
  }

  std::vector<double> flat, kept;
  for (Eigen::Index j = 0; j < count; ++j) {
    for (Eigen::Index d = 0; d < dims; ++d)
      flat.push_back(rounded(centres(j, d) * options.radius[static_cast<std::size_t>(d)], 0.01));
    kept.push_back(rounded(solution[j], 1e-4));
  }
  return {options.radius, std::move(flat), std::move(kept)};
}

}  // namespace flopcast
