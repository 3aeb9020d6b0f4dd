// From kernels that ran until their clock had settled to energies per FLOP and byte.
#pragma once
#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

/// Times and powers of all rows at once. @pre input.power is not empty.
PowerFigures fit_power(const CalibrationInput& input);

}  // namespace flopcast
