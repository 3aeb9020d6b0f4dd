// What lies in the memory of one GPU, item by item.
#pragma once
#include <string>
#include <vector>

#include "sim/base/units.h"

namespace flopcast {

struct MemoryRow {
  std::string item;  ///< "parameters", "gradients", "optimiser states", "activations", ...
  Bytes bytes;
  std::string detail;  ///< how it comes about: "17 micro-batches in flight x 4 layers x 0.61 GB"
};

struct MemoryTable {
  int pipeline_rank = 0;
  std::vector<MemoryRow> rows;
  Bytes total() const;
};

}  // namespace flopcast
