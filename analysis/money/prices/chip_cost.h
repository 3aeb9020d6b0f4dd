// What an accelerator that nobody sells would cost, from what it is made of: die by area and yield, memory by
// gigabyte, package, test; then the mark-up of today's chips, its share of server and network, and power.
#pragma once
#include "hwmodels/chips/gpu.h"
#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/libraries/libraries.h"
#include "sim/base/units.h"

namespace flopcast {

/// What is priced. Areas in mm2.
struct ChipToBuild {
  double die_area = 0;  ///< of all compute dies; above a scanner's field (858 mm2) it is cut into equal dies
  Bytes memory;
  bool hbm = true;
  Watts power;  ///< of the board under load
};

/// The parts of an accelerator's cost, USD.
struct ChipBuild {
  double dies = 0, memory = 0, package = 0, test = 0;
  double total() const { return dies + memory + package + test; }
};

class ChipCosts {
 public:
  /// Reads analysis/data/money/chip_build_costs.csv and the latest network, power and site prices.
  /// @throws InputError when a table is missing or malformed.
  static ChipCosts load(const Libraries& libraries);

  ChipBuild build(const ChipToBuild& chip) const;
  /// USD an hour of owning and running one in a cluster: price (build cost times the mark-up of an H100), share of
  /// server and network over four years, electricity.
  double usd_per_hour(const ChipToBuild& chip, FabricKind fabric) const;

 private:
  double die(double area) const;

  double wafer_ = 0, defects_ = 0;  ///< USD; fatal defects per mm2
  double hbm_per_gb_ = 0, gddr_per_gb_ = 0, package_per_mm2_ = 0, test_ = 0;
  double markup_ = 1, server_rest_ = 0, kwh_ = 0;
  double network_[6] = {};  ///< USD per GPU, by FabricKind
};

}  // namespace flopcast
