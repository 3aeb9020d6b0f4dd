// Rows of measurements as fits of kernels take them: which are held back, what a formula says of one, how far it is
// off.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

using MeasurementRows = std::vector<const Measurement*>;

KernelFamily family_of(const Measurement& m);
/// The die by its best measured chip: the one whose SMs do most.
DieFigures die_figures(const CalibrationInput& input, const std::string& name);

/// Fitted and held-back rows of one family on one die: a fifth of each table on a chip, but of a handful of rows none.
struct SplitRows {
  MeasurementRows fitted, held_back;
};
SplitRows split_rows(const MeasurementRows& rows, std::uint64_t seed);

/// Every table of a chip counts the same, however many rows it has: a thousand rows of one benchmark are not a thousand
/// experiments.
std::vector<double> table_weights(const MeasurementRows& rows);

/// Everything that one fit of a family needs to know of its rows.
struct FitRows {
  MeasurementRows rows;
  std::vector<Machine> machines;
};
FitRows fit_rows(const CalibrationInput& input, const MeasurementRows& rows, const DieFigures& die, double clock,
                 double share);

KernelParts parts_of(const KernelParameters& parameters, const Machine& machine, const Measurement& m);
/// What a table's measurement contains besides the kernel.
double beside_kernel(const KernelParameters& parameters, const Machine& machine, const Measurement& m);

/// Fewer rows cannot tell all numbers of a formula.
inline constexpr std::size_t kFewRows = 12;
/// The formula's numbers as the rows have them, pulled towards `start`; those that are not `free` stay there.
KernelParameters fit_parameters(KernelFamily family, const FitRows& rows, const std::vector<bool>& free,
                                const KernelParameters& start, double pull);

/// The fit of a family on a die, with libraries as they are now; null where it has none.
const FamilyFit* find_fit(const KernelCalibration& calibration, KernelFamily family, const std::string& die);
FamilyFit* find_fit(KernelCalibration& calibration, KernelFamily family, const std::string& die);

/// What the rows know beyond the formula and the correction `before`, to be added to it.
KernelResidual residual_of(KernelFamily family, const FitRows& rows, const KernelParameters& parameters,
                           const KernelResidual& before);

/// Relative errors that belong together.
class ErrorPool {
 public:
  void fitted() { ++error_.fitted; }
  void held_back(double off) { off_.push_back(off); }
  HeldBackError result(const std::string& name);

 private:
  HeldBackError error_;
  std::vector<double> off_;
};

/// By table and chip. @param clock, share of rows that were measured in a training run
std::vector<HeldBackError> errors_of(const CalibrationInput& input, const FamilyFit& fit, const SplitRows& rows,
                                     double clock, double share);

/// Of all tables of the rows.
Source joined_source(const CalibrationInput& input, const MeasurementRows& rows);

}  // namespace flopcast
