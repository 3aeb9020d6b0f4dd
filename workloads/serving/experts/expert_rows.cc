#include "workloads/serving/experts/expert_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/base/random.h"

namespace flopcast {
namespace {

/// Rows of one rank as Poisson numbers; the largest of all by their distribution, P(max <= x) = F_hot(x) F(x)^(R-1).
double poisson_maximum(double mean, double hot_mean, int ranks) {
  double term = std::exp(-mean), hot_term = std::exp(-hot_mean);
  double below = term, hot_below = hot_term, sum = 0;
  for (int x = 0; x < 4096; ++x) {
    const double above = 1 - hot_below * std::pow(below, ranks - 1);
    sum += above;
    if (above < 1e-9) break;
    term *= mean / (x + 1);
    hot_term *= hot_mean / (x + 1);
    below = std::min(1.0, below + term);
    hot_below = std::min(1.0, hot_below + hot_term);
  }
  return sum;
}

}  // namespace

double busiest_rows(double mean, int ranks, double hot) {
  if (ranks <= 1 || mean <= 0) return mean;
  hot = std::clamp(hot, 1.0, static_cast<double>(ranks));
  const double rest = mean * (ranks - hot) / (ranks - 1);
  constexpr double kMany = 500;  // beyond, Poisson numbers are as good as normal ones
  if (mean * hot < kMany) return poisson_maximum(rest, mean * hot, ranks);
  // The largest of R normal numbers lies at about the quantile (R - 0.375) / (R + 0.25) (Blom).
  const double deviation = normal_quantile((ranks - 0.375) / (ranks + 0.25));
  return std::max(mean * hot, rest + deviation * std::sqrt(rest));
}

double experts_touched(int experts, double rows, double variation) {
  if (experts <= 1 || rows <= 0) return std::max(0, experts);
  const double even = 1.0 / experts;
  if (variation <= 0) return experts * (1 - std::pow(1 - even, rows));
  const double sigma = std::sqrt(std::log1p(variation * variation));
  std::vector<double> loads(static_cast<std::size_t>(experts));
  double sum = 0;
  for (int i = 0; i < experts; ++i) sum += loads[i] = std::exp(sigma * normal_quantile((i + 0.5) / experts));
  double touched = 0;
  for (const double load : loads) touched += 1 - std::exp(rows * std::log1p(-std::min(0.999, load / sum)));
  return touched;
}

double rank_power(int experts, double variation) {
  if (experts <= 1 || variation <= 0) return 0;
  const auto variation_of = [&](double power) {
    double sum = 0, squares = 0;
    for (int rank = 1; rank <= experts; ++rank) {
      const double load = std::pow(rank, -power);
      sum += load;
      squares += load * load;
    }
    return std::sqrt(std::max(0.0, experts * squares / (sum * sum) - 1));
  };
  double low = 0, high = 3;
  for (int i = 0; i < 40; ++i) (variation_of((low + high) / 2) < variation ? low : high) = (low + high) / 2;
  return low;
}

}  // namespace flopcast
