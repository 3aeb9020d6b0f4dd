// Measured kernels among the project's own data files (hwmodels/data/*.csv), which `flopcast calibrate` fits beside the
// folder of measurements that it is given.
#pragma once
#include <span>

#include "hwmodels/calibration/fit_kernels.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

/// Adds the rows of all GPUs that were measured.
/// @param gpus the library's, by whose names rows are filed
/// @param only_calibrated leaves out GPUs that nothing in `input` is of
void add_shipped_tables(CalibrationInput& input, const Libraries& libraries, std::span<const GpuSpec> gpus,
                        bool only_calibrated);

}  // namespace flopcast
