// `flopcast calibrate`: refits the kernel model and the link constants on a folder of measurements.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hwmodels/kernels/calibration.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

/// Kernels measured on a card by hwmodels/calibration/measure/measure_card.py.
struct CardFile {
  std::string gpu;  ///< library name of the chip
  std::filesystem::path file;
};

struct CalibrateOptions {
  std::filesystem::path measurements;  ///< holds reference/ and data/kernels/; empty: `cards` on top of what is shipped
  std::filesystem::path output;        ///< folder for the data files; empty: nothing is written
  std::uint64_t seed = 2027;           ///< decides which fifth of each table is held back
  bool allow_missing = false;          ///< fit what is there instead of naming what is not
  std::vector<CardFile> cards;         ///< fitted beside what lies in `measurements`
};

/// Fits, writes kernel_calibration.textproto (and link_calibration.textproto where its tables are there)
/// whole or not at all, and returns the summary to print: per family and GPU, points fitted and held back
/// with their errors.
/// @throws InputError naming missing or malformed files.
std::string calibrate(const CalibrateOptions& options, const Libraries& libraries);

/// Error summary of a calibration, as stored in its data file: needs no measurements.
std::string held_back_summary(const KernelCalibration& calibration);

}  // namespace flopcast
