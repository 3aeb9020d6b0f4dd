// Fits what kernels, links and collectives do not say of a training step (TrainingOverheads), on whole runs of several
// models at once. No constant belongs to a model, a size or a row.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "analysis/evidence/published/training_runs.h"
#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/calibration.h"

namespace flopcast {

/// A run beside what is predicted for it.
struct RunError {
  TrainingRun run;
  Seconds predicted;
  double log_error = 0;       ///< standard deviation of its logarithm, of the range; 0: not worked out
  double software_error = 0;  ///< of it, what the software's profile adds
  double error() const { return predicted / run.step - 1; }
  double log_off() const { return std::log(run.step / predicted); }
};

/// How long a step of a run takes with given overheads. Memory is not checked: a published run fitted.
Seconds predicted_step(const Scenario& scenario, const TrainingOverheads& overheads);

struct OverheadFit {
  TrainingCalibration calibration;
  std::vector<RunError> errors;    ///< all runs, fitted on all
  std::vector<RunError> left_out;  ///< each run predicted by the fit that has not seen its model
};

/// Damped Gauss-Newton on the logarithm of predicted over measured, every configuration weighing the same however many
/// cluster sizes it was run on; what the runs do not determine stays where measurements of its own kind put it
/// (analysis/data/overhead_priors.csv).
/// @throws InputError when a run's model or GPU is not in the libraries.
OverheadFit fit_overheads(const std::vector<TrainingRun>& runs, const Libraries& libraries,
                          const std::shared_ptr<const KernelCalibration>& kernels,
                          const std::shared_ptr<const LinkCalibration>& links);

}  // namespace flopcast
