#include "hwmodels/calibration/least_squares.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {

namespace {

// Parameters live between positive bounds: value = low (high / low)^sigmoid(u), u any real number.
double value_of(const ParameterInfo& info, double u) {
  return info.low * std::pow(info.high / info.low, 1 / (1 + std::exp(-u)));
}

double coordinate_of(const ParameterInfo& info, double value) {
  const double share = std::clamp(std::log(value / info.low) / std::log(info.high / info.low), 1e-6, 1 - 1e-6);
  return std::log(share / (1 - share));
}

class LeastSquares {
 public:
  explicit LeastSquares(const LeastSquaresProblem& problem) : problem_(problem), values_(problem.start) {
    for (std::size_t i = 0; i < values_.size(); ++i)
      if (problem.free[i]) free_.push_back(i);
    start_.resize(static_cast<Eigen::Index>(free_.size()));
    for (std::size_t j = 0; j < free_.size(); ++j)
      start_[static_cast<Eigen::Index>(j)] = coordinate_of(problem.parameters[free_[j]], values_[free_[j]]);
  }

  std::vector<double> run() {
    Eigen::VectorXd u = start_;
    Eigen::VectorXd r = residuals(u);
    double cost = cost_of(u, r), damping = 1e-2;
    for (int iteration = 0; iteration < 60 && !free_.empty(); ++iteration) {
      const Eigen::MatrixXd jacobian = jacobian_at(u, r);
      Eigen::VectorXd w(r.size());
      for (Eigen::Index i = 0; i < r.size(); ++i) w[i] = weight(i) * weight(i) * robust_weight(r[i], problem_.scale);
      const double pull = problem_.pull * problem_.pull * static_cast<double>(r.size());
      Eigen::MatrixXd normal = jacobian.transpose() * w.asDiagonal() * jacobian;
      normal.diagonal().array() += pull / 100;
      const Eigen::VectorXd gradient = jacobian.transpose() * (w.asDiagonal() * r) + (pull / 100) * (u - start_);
      bool better = false;
      for (int attempt = 0; attempt < 8 && !better; ++attempt) {
        Eigen::MatrixXd damped = normal;
        damped.diagonal() *= 1 + damping;
        const Eigen::VectorXd candidate = u - damped.ldlt().solve(gradient).cwiseMax(-2).cwiseMin(2);
        const Eigen::VectorXd candidate_r = residuals(candidate);
        const double candidate_cost = cost_of(candidate, candidate_r);
        if (candidate_cost < cost) {
          better = true;
          converged_ = cost - candidate_cost < 1e-7 * cost;
          u = candidate;
          r = candidate_r;
          cost = candidate_cost;
          damping = std::max(damping / 4, 1e-6);
        } else {
          damping *= 4;
        }
      }
      if (!better || converged_) break;
    }
    return values_at(u);
  }

 private:
  double weight(Eigen::Index i) const { return problem_.weights[static_cast<std::size_t>(i)]; }

  std::vector<double> values_at(const Eigen::VectorXd& u) const {
    std::vector<double> values = values_;
    for (std::size_t j = 0; j < free_.size(); ++j)
      values[free_[j]] = value_of(problem_.parameters[free_[j]], u[static_cast<Eigen::Index>(j)]);
    return values;
  }

  Eigen::VectorXd residuals(const Eigen::VectorXd& u) const {
    Eigen::VectorXd r(static_cast<Eigen::Index>(problem_.weights.size()));
    problem_.residuals(values_at(u), std::span(r.data(), static_cast<std::size_t>(r.size())));
    return r;
  }

  double cost_of(const Eigen::VectorXd& u, const Eigen::VectorXd& r) const {
    double cost = problem_.pull * problem_.pull * static_cast<double>(r.size()) / 100 * (u - start_).squaredNorm();
    for (Eigen::Index i = 0; i < r.size(); ++i) {
      const double x = r[i] / problem_.scale;
      cost += weight(i) * weight(i) * problem_.scale * problem_.scale * 2 * (std::sqrt(1 + x * x) - 1);
    }
    return cost;
  }

  Eigen::MatrixXd jacobian_at(const Eigen::VectorXd& u, const Eigen::VectorXd& r) const {
    constexpr double kStep = 1e-4;
    Eigen::MatrixXd jacobian(r.size(), u.size());
    for (Eigen::Index j = 0; j < u.size(); ++j) {
      Eigen::VectorXd moved = u;
      moved[j] += kStep;
      jacobian.col(j) = (residuals(moved) - r) / kStep;
    }
    return jacobian;
  }

  const LeastSquaresProblem& problem_;
  std::vector<double> values_;
  std::vector<std::size_t> free_;
  Eigen::VectorXd start_;
  bool converged_ = false;
};

}  // namespace

double robust_weight(double residual, double scale) {
  const double x = residual / scale;
  return 1 / std::sqrt(1 + x * x);
}

std::vector<double> solve(const LeastSquaresProblem& problem) {
  assert(problem.start.size() == problem.parameters.size() && problem.free.size() == problem.start.size());
  return LeastSquares(problem).run();
}

}  // namespace flopcast
