#include "analysis/runs/training/run_losses.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/base/diagnostic.h"
#include "sim/base/normal.h"

namespace flopcast {

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
double RunLosses::quantile(double trained, double log_error, double p) const {
  constexpr double kFarthest = 9;  // standard deviations
  const double sd = std::max(log_error, 1e-9);
  std::vector<double> means;
  for (const RunLoss& loss : rows_) means.push_back(std::log(trained / loss.share));
  const auto [least, most] = std::minmax_element(means.begin(), means.end());
  double below = *least - kFarthest * sd, above = *most + kFarthest * sd;
  // Until no number is left between the two.
  for (double last = 0; last != above - below;) {
    last = above - below;
    const double middle = 0.5 * (below + above);
    double sum = 0;
    for (const double mean : means) sum += normal_share_below((middle - mean) / sd);
    (sum / static_cast<double>(means.size()) < p ? below : above) = middle;
  }
  return std::exp(0.5 * (below + above));
}

FigureRange RunLosses::over_predicted(double trained, double log_error) const {
  const auto at = [&](double p) { return quantile(trained, log_error, p); };
  return {at(0.05), at(0.5), at(0.95)};
}

std::vector<double> RunLosses::quantiles(double trained, double log_error, int count) const {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) out.push_back(quantile(trained, log_error, (i + 0.5) / count));
  return out;
}

}  // namespace flopcast
