// Fits classes of memory-bound kernels, and what the fits of kernels share.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

/// Of the data-sheet bandwidth, the chip to itself: no kernel streams faster (decode attention comes nearest).
constexpr int kFastestStreamPercent = 95;

/// Every class that was measured, and those that stream like one. @param communication_share HBM bandwidth taken per
/// fraction of the SMs that a kernel may not use.
std::vector<MemoryClassFit> fit_memory_classes(const CalibrationInput& input, double communication_share);

/// The chip of that name, which must be among the measured ones.
const GpuSpec& gpu_named(const CalibrationInput& input, const std::string& name);

/// Linear between the sorted values; 0 when there are none. @param p 0 to 1.
double percentile(std::vector<double> values, double p);

}  // namespace flopcast
