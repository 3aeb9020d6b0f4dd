// Distributions of single inputs by their quantiles, and draws of several that move together.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "scenarios/resolve/money.h"

namespace flopcast {

/// 95 % quantile of the standard normal distribution.
inline constexpr double kNormal95 = 1.6448536269514722;

/// How an input may turn out. Given by its quantile function, so that one uniform number makes one value.
class Distribution {
 public:
  explicit Distribution(SpreadConfig spread);
  /// p from 0 to 1. Tails without an end are cut at their 0.01 % and 99.99 % quantiles.
  double quantile(double p) const;

 private:
  SpreadConfig spread_;
};

/// Pearson's coefficient of the normal variables behind a Gaussian copula whose ranks correlate as `rank`
/// (Spearman): 2 sin(pi rank / 6), Kruskal 1958.
double normal_correlation(double rank);

/// Spearman's rank correlation. @pre as many x as y, at least two.
double rank_correlation(std::span<const double> x, std::span<const double> y);

/// Of sorted values, with straight lines between neighbours.
double quantile_of_sorted(std::span<const double> sorted, double p);

struct RankPair {
  int first = 0, second = 0;
  double rank = 0;
};

/// Vectors of uniform numbers in (0, 1), joined by a Gaussian copula. Draw i depends on the seed and i alone,
/// and what one variable draws on its own number alone: any number of workers and any further variable leave
/// the others' draws as they are, up to the correlations.
class Copula {
 public:
  /// @param ids of the variables, for their streams. @throws InputError when the correlations contradict each
  /// other.
  Copula(std::vector<std::uint64_t> ids, std::span<const RankPair> pairs, std::uint64_t seed);
  /// @param out one number per variable.
  void draw(std::uint64_t index, std::span<double> out) const;

 private:
  std::vector<std::uint64_t> ids_;
  std::vector<double> factor_;  ///< lower triangle of Cholesky's factor, row by row
  std::uint64_t seed_;
};

}  // namespace flopcast
