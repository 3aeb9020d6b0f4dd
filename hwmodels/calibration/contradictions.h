// Measured rows that contradict each other or the die that they were measured on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

struct Contradiction {
  std::string table, gpu;
  std::vector<std::uint64_t> rows;  ///< Measurement::row, the first few
  std::size_t count = 0;            ///< of all such rows
  std::string what;                 ///< "of one shape differ by up to 2.1 times", "take ..."
};

/// Rows of one table with the same shape that differ by more than half; rows that would have to read their operands
/// faster than memory delivers them; rows that differ from the fit of their die by more than a factor of two (tables
/// that price nothing apart).
std::vector<Contradiction> find_contradictions(const CalibrationInput& input, const KernelCalibration& calibration);

}  // namespace flopcast
