// One measured kernel, whatever table it comes from.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

#include "hwmodels/chips/power.h"
#include "hwmodels/kernels/kernels.h"

namespace flopcast {

using KernelShape = std::variant<GemmShape, AttentionShape, LatentBlockShape>;

struct Measurement {
  std::string table;  ///< short name of the table, for summaries
  std::string gpu;    ///< library name of the GPU
  KernelShape shape;
  double microseconds = 0;
  std::uint64_t row = 0;        ///< within the table: with the seed it decides whether the row is held back
  int sms = 0;                  ///< that the kernel could use; 0: all
  std::string variant;          ///< of the libraries, where they are not those that are priced
  bool in_training = false;     ///< measured in a long run with communication beside it, not alone
  bool with_cast = false;       ///< the time includes casting the activations to FP8
  bool wide_tile_trap = false;  ///< measured with the library that falls into it (GemmParameters)
  bool without_launch = false;  ///< the timer did not see the launch
};

/// A memory-bound kernel of the training profile with the bytes that it must have moved.
struct MemoryMeasurement {
  MemoryKernel kernel = MemoryKernel::elementwise;
  std::string name;
  double bytes = 0;  ///< per launch
  double microseconds = 0;
  double launches = 1;
  int sms = 0;
  std::string gpu;  ///< library name, of rows measured one by one
};

/// A kernel repeated until the clock had settled.
struct PowerMeasurement {
  PowerKind kind = PowerKind::bf16;
  std::string name;
  double flops = 0, bytes = 0;  ///< of one launch
  double burst_us = 0;          ///< at full clock
  double sustained_us = 0;
  double watts = 0;
  double clock = 1;     ///< over the full one
  double sm_share = 0;  ///< of the time that waits for the SMs
};

/// A memory-bound kernel with next to nothing to move: it shows the shortest time from launch to finish.
struct ShortestMeasurement {
  MemoryKernel kernel = MemoryKernel::elementwise;
  double microseconds = 0;
};

}  // namespace flopcast
