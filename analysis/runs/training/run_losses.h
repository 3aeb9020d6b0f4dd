// What whole runs lose beside their steps: restarts, checkpoints, evaluation, loss spikes, waiting for nodes. Scenarios
// that say nothing of it (`resilience`) have it in their range, as published runs had it, each as likely as the others.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "analysis/runs/training/step_range.h"

namespace flopcast {

inline constexpr char kRunLossesFile[] = "analysis/data/run_losses.csv";

/// One of its rows.
struct RunLoss {
  std::string run;
  double share = 1;  ///< of the run's time that it trained
  std::string source;
};

class RunLosses {
 public:
  /// @throws InputError when the table has no row, or a share that is not above 0 and at most 1.
  explicit RunLosses(const CsvTable& table);
  const std::vector<RunLoss>& rows() const { return rows_; }
  /// A run's time over the predicted one.
  /// @param trained share of the predicted time that the job trains
  /// @param log_error standard deviation of the logarithm of the step's time
  FigureRange over_predicted(double trained, double log_error) const;
  /// Quantiles of the same, evenly spaced, first to last.
  std::vector<double> quantiles(double trained, double log_error, int count) const;

 private:
  double quantile(double trained, double log_error, double p) const;
  std::vector<RunLoss> rows_;
};

}  // namespace flopcast
