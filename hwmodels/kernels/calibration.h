// The numbers that `flopcast calibrate` fits on measured kernels, as the kernel model uses them and the data
// file (hwmodels/data/kernel_calibration.textproto) holds them.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hwmodels/chips/fitted.h"
#include "hwmodels/chips/gpu.h"
#include "hwmodels/chips/power.h"
#include "hwmodels/kernels/kernel_family.h"
#include "hwmodels/kernels/kernel_formulas.h"
#include "hwmodels/kernels/kernel_residual.h"

namespace flopcast {

/// How well a fit predicts the rows of one table that were kept back from it.
struct HeldBackError {
  std::string table;
  int fitted = 0;
  int held_back = 0;
  double median = 0;  ///< of |predicted / measured - 1|
  double percentile_90 = 0;
  double bias = 0;  ///< median of predicted / measured - 1
  std::string gpu;  ///< chip that the rows were measured on; empty for several together
};

/// One family of kernels on one die: measurements of all its chips together.
struct FamilyFit {
  KernelFamily family = KernelFamily::gemm_bf16;
  DieFigures die;
  KernelParameters parameters;
  KernelResidual residual;  ///< logarithm of measured over formula, near the measurements
  std::vector<HeldBackError> errors;
  /// Of tables that were measured with other libraries than today's: they show that the formula holds there too, and
  /// price nothing but "libraries of YEAR", which price software of that year. Empty for the others.
  std::string variant;
  Source source;
};

/// Kernels that only move memory, by class.
struct MemoryClassFit {
  MemoryKernel kernel = MemoryKernel::elementwise;
  /// Of the data-sheet bandwidth, as DeepSeek-V3's training trace has it (what communication takes apart).
  double hbm_fraction = 0.8;
  double alone_fraction = 0.8;  ///< the same of kernels measured one by one
  /// That an SM handles, where SMs hold a kernel up; 0: memory alone does.
  double sm_bytes_per_cycle = 0;
  Seconds minimum;         ///< launch to finish of the smallest kernel, as compilers write it
  Seconds engine_minimum;  ///< the same of serving engines' own kernels
  int launches = 0;        ///< measured launches that it was fitted on
  double median_error = 0;
  Source source;
};

struct KernelCalibration {
  std::vector<FamilyFit> fits;
  /// Held-back rows of all GPUs and tables of a die together: per family, then for all GEMMs and all attention
  /// kernels. The name stands in HeldBackError::table: "gemm_bf16" of the lender(), "gemm_bf16, GA100" of another die.
  std::vector<HeldBackError> pooled;
  std::vector<MemoryClassFit> memory_classes;
  std::string memory_architecture;  ///< that the memory classes were measured on; empty: not known
  Fitted kernel_gap_us;
  /// Clock in a long run over the clock of the data sheet's peaks: power-limited chips slow down.
  Fitted sustained_clock;
  /// Share of that loss of clock that attention sees: its exponentials leave the matrix units, and the power limit,
  /// room.
  Fitted attention_clock_loss{1, {}};
  /// Nothing where no card's power was measured.
  std::optional<PowerFigures> power;
  /// HBM bandwidth that communication kernels take, per fraction of the SMs they occupy.
  Fitted communication_hbm_share;
  std::string date;  ///< of the fit
  std::uint64_t seed = 0;

  /// Whether kernels of the GPU's die were measured.
  bool measured(const GpuSpec& gpu) const;
  /// Names of the dies that were, sorted.
  std::vector<std::string> measured_dies() const;
  /// Families that other dies were measured in and the GPU's was not, as far as its units multiply in their format;
  /// empty for a die without any measurement.
  std::vector<KernelFamily> missing(const GpuSpec& gpu) const;
  /// The die that was measured in most families: it lends its efficiencies where a chip's own die has none. Empty where
  /// nothing was measured.
  std::string lender() const;
};

}  // namespace flopcast
