// How many nodes GPUs take.
#pragma once
#include <cstdint>

#include "hwmodels/fabric/cluster.h"

namespace flopcast {

/// The fewest nodes that have so many GPUs.
inline int nodes_for(std::int64_t gpus, const NodeSpec& node) {
  return static_cast<int>((gpus + node.gpus - 1) / node.gpus);
}

}  // namespace flopcast
