// Rows of a card of one's own on top of a calibration whose measurements are not at hand.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

/// How far held-back rows of one family on one chip were off before, and are now.
struct AddedRows {
  KernelFamily family = KernelFamily::gemm_bf16;
  std::string gpu;
  int fitted = 0;
  int held_back = 0;             ///< 0: too few rows to spare any; then errors are of those fitted
  double before = 0, after = 0;  ///< median of |predicted / measured - 1|
  bool new_die = false;          ///< no family of this kind was measured on the die: the rows alone, near another die's
  bool left_out = false;         ///< too few rows for a die that has no fit of the family
};

struct AddedCalibration {
  KernelCalibration calibration;
  std::vector<AddedRows> rows;
};

/// A family that the die was measured in keeps its formula's numbers, and gets a correction where the rows lie; on a
/// die that it was not measured in, the formula is fitted on the rows, starting from the numbers that priced it so far.
/// Everything else stays as it is. Rows of libraries that are not priced (Measurement::variant) are left out.
AddedCalibration add_rows(const KernelCalibration& before, const CalibrationInput& input);

}  // namespace flopcast
