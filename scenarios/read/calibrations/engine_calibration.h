// The data file of the engine constants: workloads/data/serving/engine_calibration.textproto.
#pragma once
#include <string>

#include "workloads/serving/pricing/engine_constants.h"

namespace flopcast {

/// Where the file is below a library root (Libraries::find_file).
inline constexpr char kEngineCalibrationFile[] = "workloads/data/serving/engine_calibration.textproto";

/// The file's text: the same constants give the same bytes.
std::string to_text(const EngineConstants& constants);
/// @throws InputError with everything that is wrong.
EngineConstants read_engine_calibration(const std::string& file);

}  // namespace flopcast
