// Prices beside published times of single kernels (hwmodels/data/published_kernels.csv).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hwmodels/kernels/calibration.h"
#include "hwmodels/kernels/kernels.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

struct KernelComparison {
  std::string kernel;
  std::string gpu;
  Seconds predicted;
  Seconds published;
  Evidence evidence = Evidence::roofline;
  double bar = 0;  ///< largest |error| that counts as good; 0: shown without a bar
  std::string source;
  double error() const { return predicted / published - 1; }
};

inline constexpr char kPublishedKernelsFile[] = "hwmodels/data/published_kernels.csv";

/// Every row of the table, priced under its conditions (SMs, clock). @throws InputError on a malformed table.
std::vector<KernelComparison> compare_published_kernels(const Libraries& libraries,
                                                        std::shared_ptr<const KernelCalibration> calibration);

}  // namespace flopcast
