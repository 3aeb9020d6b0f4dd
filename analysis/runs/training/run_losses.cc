#include "analysis/runs/training/run_losses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

double normal_distribution(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

}  // namespace

RunLosses::RunLosses(const CsvTable& table) {
  for (std::size_t row = 0; row < table.size(); ++row) {
    RunLoss loss{table.text(row, "run"), table.number(row, "share"), table.text(row, "source")};
    if (!(loss.share > 0 && loss.share <= 1)) {
      throw InputError(Diagnostic{table.file(), table.line(row), 0, "share of " + loss.run,
                                  fmt::format("{:g}", loss.share), "above 0, at most 1", ""});
    }
    rows_.push_back(std::move(loss));
  }
  if (rows_.empty()) throw InputError(Diagnostic{table.file(), 0, 0, "rows", "none", "at least one run", ""});
}

// The logarithm is normal round as many means as there are runs: its distribution is their mean, its quantiles by
// halving.
FigureRange RunLosses::over_predicted(double trained, double log_error) const {
  const double sd = std::max(log_error, 1e-9);
  std::vector<double> means;
  for (const RunLoss& loss : rows_) means.push_back(std::log(trained / loss.share));
  const auto [least, most] = std::minmax_element(means.begin(), means.end());
  const auto quantile = [&, low = *least, high = *most](double p) {
    constexpr double kFarthest = 9;  // standard deviations
    double below = low - kFarthest * sd, above = high + kFarthest * sd;
    for (int i = 0; i < 200; ++i) {
      const double middle = 0.5 * (below + above);
      double sum = 0;
      for (const double mean : means) sum += normal_distribution((middle - mean) / sd);
      (sum / static_cast<double>(means.size()) < p ? below : above) = middle;
    }
    return std::exp(0.5 * (below + above));
  };
  return {quantile(0.05), quantile(0.5), quantile(0.95)};
}

}  // namespace flopcast
