// The data files of the calibrations: hwmodels/data/kernel_calibration.textproto and
// link_calibration.textproto.
#pragma once
#include <string>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/calibration.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Where the files are below a library root (Libraries::find_file).
inline constexpr char kKernelCalibrationFile[] = "hwmodels/data/kernel_calibration.textproto";
inline constexpr char kLinkCalibrationFile[] = "hwmodels/data/link_calibration.textproto";

inline constexpr char kTrainingCalibrationFile[] = "hwmodels/data/training_calibration.textproto";

/// The file's text. The same calibration gives the same bytes, and reading them back and writing again too.
std::string to_text(const KernelCalibration& calibration);
std::string to_text(const LinkCalibration& calibration);
std::string to_text(const TrainingCalibration& calibration);

/// @param file its name, for diagnostics. @throws InputError with everything that is wrong.
KernelCalibration parse_kernel_calibration(const std::string& text, const std::string& file);
LinkCalibration parse_link_calibration(const std::string& text, const std::string& file);
TrainingCalibration parse_training_calibration(const std::string& text, const std::string& file);

KernelCalibration read_kernel_calibration(const std::string& file);
LinkCalibration read_link_calibration(const std::string& file);
TrainingCalibration read_training_calibration(const std::string& file);

}  // namespace flopcast
