// From measured kernels to the numbers of the kernel model.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hwmodels/calibration/measurement.h"
#include "hwmodels/kernels/calibration.h"

namespace flopcast {

struct CalibrationInput {
  std::vector<Measurement> measurements;
  std::vector<MemoryMeasurement> memory;
  std::vector<MemoryMeasurement> memory_alone;  ///< measured one by one
  std::vector<MemoryMeasurement> memory_cards;  ///< the same of the data files' cards, each with its chip
  Source memory_cards_source;
  std::vector<PowerMeasurement> power;
  std::string memory_alone_gpu;  ///< that these were measured on
  std::vector<ShortestMeasurement> shortest;
  Source memory_source;
  std::string memory_gpu;                       ///< that all of them were measured on
  std::vector<GpuSpec> gpus;                    ///< the chips that were measured
  std::map<std::string, Source> table_sources;  ///< by Measurement::table
  Fitted kernel_gap_us;
  Fitted sustained_clock;
  Fitted attention_clock_loss{1, {}};
  std::string date;
  std::uint64_t seed = 1;
};

/// Fits every family on every GPU that has measurements, on four fifths of each table; the last fifth, drawn
/// by the seed, only tells how good the fit is. Rows measured within a training run (communication beside the
/// kernel, lower clock) fit what only they can tell: the bandwidth that communication takes, weight
/// gradients, attention backward.
KernelCalibration calibrate_kernels(const CalibrationInput& input);

/// Whether the row is kept back from fitting.
bool held_back(const Measurement& measurement, std::uint64_t seed);

/// How a row that was measured alone compares with the fit, casts and timers included: predicted
/// microseconds.
double predict_measurement(const FamilyFit& fit, const GpuSpec& gpu, const Measurement& measurement,
                           double sustained_clock, double communication_share);

}  // namespace flopcast
