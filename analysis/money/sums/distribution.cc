#include "analysis/money/sums/distribution.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>
#include <numeric>

#include "sim/base/diagnostic.h"
#include "sim/base/normal.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

constexpr double kTail = 1e-4;

double triangular(double low, double mode, double high, double p) {
  const double at_mode = (mode - low) / (high - low);
  if (p < at_mode) return low + std::sqrt(p * (high - low) * (mode - low));
  return high - std::sqrt((1 - p) * (high - low) * (high - mode));
}

/// Ranks from 0; equal values share the mean of their ranks.
std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return values[a] < values[b] || (values[a] == values[b] && a < b); });
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t j = i; j < end; ++j) out[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return out;
}

}  // namespace

Distribution::Distribution(SpreadConfig spread) : spread_(std::move(spread)) {
  std::sort(spread_.values.begin(), spread_.values.end());
}

double Distribution::quantile(double p) const {
  using Kind = SpreadConfig::Kind;
  const auto normal = [&] { return normal_quantile(std::clamp(p, kTail, 1 - kTail)); };
  switch (spread_.kind) {
    case Kind::normal:
      return spread_.a + spread_.b * normal();
    case Kind::log_normal: {
      const double low = std::log(spread_.a), high = std::log(spread_.b);
      return std::exp((low + high) / 2 + (high - low) / 2 / kNormal95 * normal());
    }
    case Kind::triangular:
      return triangular(spread_.a, spread_.b, spread_.c, p);
    case Kind::uniform:
      return spread_.a + (spread_.b - spread_.a) * p;
    case Kind::empirical:
      return quantile_of_sorted(spread_.values, p);
  }
  return 0;
}

double quantile_of_sorted(std::span<const double> sorted, double p) {
  assert(!sorted.empty());
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  if (below + 1 >= sorted.size()) return sorted.back();
  return std::lerp(sorted[below], sorted[below + 1], at - static_cast<double>(below));
}

double normal_correlation(double rank) { return 2 * std::sin(std::numbers::pi * rank / 6); }

double rank_correlation(std::span<const double> x, std::span<const double> y) {
  assert(x.size() == y.size() && x.size() >= 2);
  const std::vector<double> a = ranks(x), b = ranks(y);
  const double mean = static_cast<double>(x.size() - 1) / 2;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean) * (b[i] - mean);
    aa += (a[i] - mean) * (a[i] - mean);
    bb += (b[i] - mean) * (b[i] - mean);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

Copula::Copula(std::vector<std::uint64_t> ids, std::span<const RankPair> pairs, std::uint64_t seed)
    : ids_(std::move(ids)), seed_(seed) {
  const auto n = static_cast<Eigen::Index>(ids_.size());
  Eigen::MatrixXd correlation = Eigen::MatrixXd::Identity(n, n);
  for (const RankPair& pair : pairs) {
    correlation(pair.first, pair.second) = correlation(pair.second, pair.first) = normal_correlation(pair.rank);
  }
  const Eigen::LLT<Eigen::MatrixXd> factored(correlation);
  if (factored.info() != Eigen::Success) {
    throw InputError(Diagnostic{"", 0, 0, "uncertainty.correlated", "correlations that contradict each other",
                                "a positive definite matrix: A with B and B with C bound A with C", ""});
  }
  const Eigen::MatrixXd lower = factored.matrixL();
  for (Eigen::Index row = 0; row < n; ++row) {
    for (Eigen::Index column = 0; column <= row; ++column) factor_.push_back(lower(row, column));
  }
}

void Copula::draw(std::uint64_t index, std::span<double> out) const {
  assert(out.size() == ids_.size());
  // out holds the independent normals first. Rows are taken from the last to the first, so that no row reads
  // what another has replaced.
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = RandomStream(RandomStream(seed_, ids_[i]).next(), index).normal();
  for (std::size_t row = out.size(); row-- > 0;) {
    const double* factor = &factor_[row * (row + 1) / 2];
    double sum = 0;
    for (std::size_t column = 0; column <= row; ++column) sum += factor[column] * out[column];
    out[row] = normal_share_below(sum);
  }
}

}  // namespace flopcast
