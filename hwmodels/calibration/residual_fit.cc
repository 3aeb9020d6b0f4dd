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

KernelResidual fit_residual(std::span<const ResidualRow> rows, const ResidualFitOptions& options) {
  const auto count_of_rows = static_cast<Eigen::Index>(rows.size());
  const auto dims = static_cast<Eigen::Index>(options.radius.size());
  if (rows.empty() || options.centres == 0) return {};
  Eigen::MatrixXd scaled(count_of_rows, dims);
  for (Eigen::Index i = 0; i < count_of_rows; ++i)
    for (Eigen::Index d = 0; d < dims; ++d)
      scaled(i, d) = rounded(rows[static_cast<std::size_t>(i)].at[static_cast<std::size_t>(d)], 0.01) /
                     options.radius[static_cast<std::size_t>(d)];

  const std::vector<std::size_t> chosen = spread_out(scaled, options.centres);
  const auto count = static_cast<Eigen::Index>(chosen.size());
  Eigen::MatrixXd centres(count, dims);
  for (Eigen::Index j = 0; j < count; ++j)
    centres.row(j) = scaled.row(static_cast<Eigen::Index>(chosen[static_cast<std::size_t>(j)]));
  const Eigen::MatrixXd bump = bumps(scaled, centres);

  // Gauss-Newton on the logarithm of the time: the first columns correct the SMs' part, the others HBM's. Chips of one
  // die differ in the shares of the two, and so tell them apart.
  constexpr double kMostCorrection = 1.5;
  Eigen::VectorXd solution = Eigen::VectorXd::Zero(2 * count);
  for (int round = 0; round < 5; ++round) {
    const Eigen::VectorXd chip = bump * solution.head(count), memory = bump * solution.tail(count);
    Eigen::MatrixXd design(count_of_rows, 2 * count);
    Eigen::VectorXd target(count_of_rows);
    for (Eigen::Index i = 0; i < count_of_rows; ++i) {
      const ResidualRow& row = rows[static_cast<std::size_t>(i)];
      const PartCorrection now{std::clamp(chip[i], -kMostCorrection, kMostCorrection),
                               std::clamp(memory[i], -kMostCorrection, kMostCorrection)};
      const double share = chip_share(row.parts, now);
      const double left = std::log(row.microseconds / microseconds(row.parts, now));
      const double weight = row.weight * (round == 0 ? 1 : std::sqrt(robust_weight(left, options.scale)));
      design.row(i).head(count) = weight * share * bump.row(i);
      design.row(i).tail(count) = weight * (1 - share) * bump.row(i);
      target[i] = weight * (left + share * now.chip + (1 - share) * now.memory);
    }
    Eigen::MatrixXd normal = Eigen::MatrixXd::Zero(2 * count, 2 * count);
    normal.selfadjointView<Eigen::Lower>().rankUpdate(design.transpose());
    normal.diagonal().array() += options.ridge;
    solution = normal.selfadjointView<Eigen::Lower>().ldlt().solve(design.transpose() * target);
  }

  std::vector<double> flat;
  std::vector<PartCorrection> kept;
  for (Eigen::Index j = 0; j < count; ++j) {
    for (Eigen::Index d = 0; d < dims; ++d)
      flat.push_back(rounded(centres(j, d) * options.radius[static_cast<std::size_t>(d)], 0.01));
    kept.push_back({rounded(solution[j], 1e-4), rounded(solution[count + j], 1e-4)});
  }
  return {options.radius, std::move(flat), std::move(kept)};
}

}  // namespace flopcast
