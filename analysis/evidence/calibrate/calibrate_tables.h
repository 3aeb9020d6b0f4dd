// Reads the folder of measurements that `flopcast calibrate` is given: reference/*.csv and
// data/kernels/*/*.csv.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "hwmodels/calibration/fit_kernels.h"

namespace flopcast {

/// Everything in `folder` that the kernel model is fitted on. `gpus`: the library's GPUs, by whose names rows
/// are filed.
/// @param allow_missing false: InputError naming every file that is not there; true: fits what is there.
CalibrationInput read_measurements(const std::filesystem::path& folder, std::span<const GpuSpec> gpus,
                                   bool allow_missing);

/// The memory-bound kernels of a forward and backward pair of DeepSeek-V3 layers with the bytes each launch
/// must have moved; what the model's sizes and the row counts of the trace imply.
std::vector<MemoryMeasurement> profiled_memory_kernels(const std::string& elementwise_csv, const std::string& file);

/// Norms, rotations, SwiGLUs and look-ups of up to 128 tokens in a table of NetX-lab/Frontier
/// (`linear_op_kernel_only`): kernels that move next to nothing.
std::vector<ShortestMeasurement> shortest_memory_kernels(const std::string& linear_csv, const std::string& file);

}  // namespace flopcast
