// What a GPU is: the figures a data sheet gives, each with where it was read and when.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "hwmodels/chips/precision.h"
#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

/// Where a value comes from. `confirmed` is false for values that sources contest or that were only inferred.
struct Source {
  std::string text;
  std::string date;  ///< ISO date at which it was read or published
  bool confirmed = true;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("text", &Source::text, {"label"});
    field("date", &Source::date, {"label"});
    field("confirmed", &Source::confirmed, {"label"});
  }
};

struct GpuSpec {
  std::string name;   ///< library name, e.g. "h800-sxm"
  std::string title;  ///< e.g. "NVIDIA H800 80GB SXM5"
  std::string vendor;
  std::string base;          ///< library name of the GPU this one is a variant of; empty when it is none
  std::string architecture;  ///< e.g. "hopper"
  std::string die;           ///< silicon, e.g. "GH100": chips cut from one die share one kernel model
  std::string launch_date;
  int sms = 0;               ///< streaming multiprocessors (compute units)
  Hertz boost_clock;         ///< clock at which the peaks below are quoted
  FlopPerSecond bf16_peak;   ///< dense, tensor cores
  FlopPerSecond fp8_peak;    ///< dense; zero when the chip has no FP8 (FP8 GEMMs then run at the BF16 rate)
  FlopPerSecond fp4_peak;    ///< dense; zero when the chip has no FP4
  FlopPerSecond fp32_peak;   ///< vector units
  Bytes hbm_capacity;        ///< as it is sold
  double usable_memory = 1;  ///< what the driver offers to programs over that; 1 where nobody has read it
  BytesPerSecond hbm_bandwidth;
  Bytes l2_capacity;
  BytesPerSecond nvlink_bandwidth;  ///< PER DIRECTION, all links together; zero when there is none
  BytesPerSecond pcie_bandwidth;    ///< per direction
  Watts tdp;
  /// Of the chip that a scenario changes, as it is sold: what a product asks of the board, and what the board's limit
  /// has already cost where the chip was measured. Zero: nothing was changed.
  Watts sold_tdp;
  FlopPerSecond sold_bf16_peak;
  std::map<std::string, Source> sources;    ///< by field name of the data file
  std::vector<std::string> changed_fields;  ///< what a variant states over its base

  /// What the driver offers to programs.
  Bytes hbm_usable() const { return hbm_capacity * usable_memory; }

  Watts rated_power() const { return sold_tdp > Watts(0) ? sold_tdp : tdp; }
  FlopPerSecond rated_bf16_peak() const { return sold_bf16_peak > FlopPerSecond(0) ? sold_bf16_peak : bf16_peak; }

  FlopPerSecond peak(Precision p) const {
    if (p == Precision::fp4 && fp4_peak > FlopPerSecond(0)) return fp4_peak;
    if (p >= Precision::fp8 && fp8_peak > FlopPerSecond(0)) return fp8_peak;
    return p == Precision::fp32 ? fp32_peak : bf16_peak;
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &GpuSpec::name, {.cause = "compute", .shown = "gpu", .resolved = true});
    field("base", &GpuSpec::base, {"compute"});
    field("architecture", &GpuSpec::architecture, {"compute"});
    field("die", &GpuSpec::die, {"compute"});
    field("bf16_peak", &GpuSpec::bf16_peak, {"compute"});
    field("fp8_peak", &GpuSpec::fp8_peak, {"compute"});
    field("fp4_peak", &GpuSpec::fp4_peak, {"compute"});
    field("fp32_peak", &GpuSpec::fp32_peak, {"compute"});
    field("sms", &GpuSpec::sms, {"compute"});
    field("boost_clock", &GpuSpec::boost_clock, {"compute"});
    field("l2_capacity", &GpuSpec::l2_capacity, {"compute"});
    field("hbm_bandwidth", &GpuSpec::hbm_bandwidth, {"memory-bandwidth"});
    field("hbm_capacity", &GpuSpec::hbm_capacity, {"memory-capacity"});
    field("usable_memory", &GpuSpec::usable_memory, {"memory-capacity"});
    field("title", &GpuSpec::title, {kLabel});
    field("vendor", &GpuSpec::vendor, {kLabel});
    field("launch_date", &GpuSpec::launch_date, {kLabel});
    field("nvlink_bandwidth", &GpuSpec::nvlink_bandwidth, {"nvlink", "gpu's nvlink_bandwidth"});
    field("pcie_bandwidth", &GpuSpec::pcie_bandwidth, {"pcie"});
    field("tdp", &GpuSpec::tdp, {"compute"});
    field("sold_tdp", &GpuSpec::sold_tdp, {.cause = "compute", .resolved = true});
    field("sold_bf16_peak", &GpuSpec::sold_bf16_peak, {.cause = "compute", .resolved = true});
    field("sources", &GpuSpec::sources, {.cause = kLabel, .resolved = true});
    field("changed_fields", &GpuSpec::changed_fields, {.cause = kLabel, .resolved = true});
  }
};

}  // namespace flopcast
