// Kernels measured on one card by hwmodels/calibration/measure/measure_card.py, as the fit takes them.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "hwmodels/calibration/measurement.h"

namespace flopcast {

struct CardMeasurements {
  std::vector<Measurement> kernels;
  std::vector<MemoryMeasurement> memory;
  std::vector<PowerMeasurement> power;
  std::vector<std::string> notes;  ///< what was left out, in words
};

/// @param gpu library name of the chip. @param name short name of the card, the first word of its tables' names.
/// Columns that are read: op, shape ("M=4096 N=4096 K=4096"), time_us, bytes, method ("event" rows contain the time of
/// an event pair, "profile" rows do not contain the launch), state. Rows at other than full clock and operations that
/// no family of kernels describes are left out; so are those that an event pair timed and that took hardly longer than
/// the pair itself: a note says so.
/// @throws InputError with file, line and column of every row whose time is not above zero or whose shape cannot be
/// read.
CardMeasurements read_card(const CsvTable& table, const std::string& gpu, const std::string& name);

}  // namespace flopcast
