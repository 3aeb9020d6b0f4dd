// Do distributions have the quantiles they were given, and do joined inputs move together as asked?
#include <algorithm>
#include <cmath>
#include <numeric>

#include "analysis/money/sums/distribution.h"
#include "sim/base/diagnostic.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Kind = SpreadConfig::Kind;

TEST_CASE("quantiles of each kind", "[money]") {
  CHECK(Distribution({Kind::normal, 10, 2}).quantile(0.5) == Approx(10));
  CHECK(Distribution({Kind::normal, 10, 2}).quantile(0.975) == Approx(10 + 2 * 1.959964));
  const Distribution log_normal({Kind::log_normal, 1, 4});
  CHECK(log_normal.quantile(0.05) == Approx(1));
  CHECK(log_normal.quantile(0.5) == Approx(2));
  CHECK(log_normal.quantile(0.95) == Approx(4));
  const Distribution triangular({Kind::triangular, 0, 1, 4});
  CHECK(triangular.quantile(0) == 0);
  CHECK(triangular.quantile(0.25) == Approx(1));  // the mode
  CHECK(triangular.quantile(1) == 4);
  CHECK(Distribution({Kind::uniform, 2, 6}).quantile(0.25) == Approx(3));
  const Distribution empirical({Kind::empirical, 0, 0, 0, {3, 1, 2}});
  CHECK(empirical.quantile(0) == 1);
  CHECK(empirical.quantile(0.25) == Approx(1.5));
  CHECK(empirical.quantile(1) == 3);
  for (const Distribution& d : {log_normal, triangular, empirical}) {
    for (double p = 0; p < 0.99; p += 0.01) CHECK(d.quantile(p) <= d.quantile(p + 0.01));
  }
}

std::vector<std::vector<double>> drawn(const Copula& copula, std::size_t variables, std::size_t draws) {
  std::vector<std::vector<double>> out(variables, std::vector<double>(draws));
  std::vector<double> row(variables);
  for (std::size_t i = 0; i < draws; ++i) {
    copula.draw(i, row);
    for (std::size_t v = 0; v < variables; ++v) out[v][i] = row[v];
  }
  return out;
}

TEST_CASE("joined draws are uniform each and correlate in rank as asked", "[money]") {
  const RankPair pairs[] = {{0, 1, 0.7}, {1, 2, -0.4}};
  const auto columns = drawn(Copula({11, 12, 13}, pairs, 5), 3, 20000);
  for (auto column : columns) {
    std::sort(column.begin(), column.end());
    for (const double p : {0.05, 0.5, 0.95}) CHECK(quantile_of_sorted(column, p) == Approx(p).margin(0.01));
  }
  CHECK(rank_correlation(columns[0], columns[1]) == Approx(0.7).margin(0.02));
  CHECK(rank_correlation(columns[1], columns[2]) == Approx(-0.4).margin(0.02));
}

TEST_CASE("a further variable does not shift the draws of the others", "[money]") {
  const auto two = drawn(Copula({11, 12}, {}, 5), 2, 50);
  const auto three = drawn(Copula({11, 99, 12}, {}, 5), 3, 50);
  CHECK(two[0] == three[0]);
  CHECK(two[1] == three[2]);
}

TEST_CASE("correlations that contradict each other are refused", "[money]") {
  const RankPair pairs[] = {{0, 1, 0.9}, {1, 2, 0.9}, {0, 2, -0.9}};
  CHECK_THROWS_AS(Copula({1, 2, 3}, pairs, 1), InputError);
}

TEST_CASE("rank correlation: monotone is one, ties share their rank", "[money]") {
  const std::vector<double> x{1, 2, 3, 4}, cubes{1, 8, 27, 64}, flat{5, 5, 5, 5}, tied{1, 1, 2, 2};
  CHECK(rank_correlation(x, cubes) == Approx(1));
  CHECK(rank_correlation(x, flat) == 0);
  CHECK(rank_correlation(x, tied) == Approx(0.894427));
}

}  // namespace
}  // namespace flopcast
