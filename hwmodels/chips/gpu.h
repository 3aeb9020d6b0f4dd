// What a GPU is: the figures a data sheet gives, each with where it was read and when.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "hwmodels/chips/precision.h"
#include "sim/base/units.h"

namespace flopcast {

/// Where a value comes from. `confirmed` is false for values that sources contest or that were only inferred.
struct Source {
  std::string text;
  std::string date;  ///< ISO date at which it was read or published
  bool confirmed = true;
};

struct GpuSpec {
  std::string name;   ///< library name, e.g. "h800-sxm"
  std::string title;  ///< e.g. "NVIDIA H800 80GB SXM5"
  std::string vendor;
  std::string base;          ///< library name of the GPU this one is a variant of; empty when it is none
  std::string architecture;  ///< e.g. "hopper": kernels measured on one chip of an architecture serve the others
  std::string launch_date;
  int sms = 0;              ///< streaming multiprocessors (compute units)
  Hertz boost_clock;        ///< clock at which the peaks below are quoted
  FlopPerSecond bf16_peak;  ///< dense, tensor cores
  FlopPerSecond fp8_peak;   ///< dense; zero when the chip has no FP8 (FP8 GEMMs then run at the BF16 rate)
  FlopPerSecond fp32_peak;  ///< vector units
  Bytes hbm_capacity;
  BytesPerSecond hbm_bandwidth;
  Bytes l2_capacity;
  BytesPerSecond nvlink_bandwidth;  ///< PER DIRECTION, all links together; zero when there is none
  BytesPerSecond pcie_bandwidth;    ///< per direction
  Watts tdp;
  std::map<std::string, Source> sources;    ///< by field name of the data file
  std::vector<std::string> changed_fields;  ///< what a variant states over its base

  FlopPerSecond peak(Precision p) const {
    if (p == Precision::fp8 && fp8_peak > FlopPerSecond(0)) return fp8_peak;
    return p == Precision::fp32 ? fp32_peak : bf16_peak;
  }
};

}  // namespace flopcast
