// The rows of the table of collectives, one per algorithm; collectives.cc lists them.
#pragma once
#include "workloads/collectives/collectives.h"

namespace flopcast {

extern const CollectiveRow kRingAllReduce;
extern const CollectiveRow kRingReduceScatter;
extern const CollectiveRow kRingAllGather;
extern const CollectiveRow kAllToAll;
extern const CollectiveRow kBroadcast;
extern const CollectiveRow kHierarchicalAllReduce;
// Algorithm and protocol as NCCL chooses them (workloads/collectives/nccl.h).
extern const CollectiveRow kNcclAllReduce;
extern const CollectiveRow kNcclReduceScatter;
extern const CollectiveRow kNcclAllGather;
extern const CollectiveRow kNcclAllToAll;
extern const CollectiveRow kNcclBroadcast;

}  // namespace flopcast
