// From the trainer's layout to the engine's: what new weights cost on their way. Bytes go over the fabric as flows that
// share links; software at the receiving end takes its own time, at rates measured of weight synchronisation alone.
#pragma once
#include <algorithm>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "sim/replay.h"
#include "workloads/rl/rl.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/training/training.h"

namespace flopcast {

struct SyncRequest {
  SyncConfig sync;
  RlPlacement placement = RlPlacement::colocated;
  TrainingConfig trainer;  ///< model, plan
  EngineConfig engine;     ///< of a replica
  int replicas = 1;
  int first_engine_gpu = 0;    ///< in the topology
  BytesPerSecond engine_port;  ///< NIC of an engine GPU, where engine GPUs are of another cluster; 0: as the topology
};

/// One after the other but for network and load, of which the longer one counts: buckets are loaded while others
/// travel. Where gathering is overlapped too, the longest of the three.
struct SyncCost {
  Bytes payload;   ///< that every replica gets
  Bytes received;  ///< by each engine GPU
  Bytes sent;      ///< over links, in all
  Seconds gather;  ///< gathered, or compared, on the trainers, before anything is sent
  Seconds host;    ///< copies to and from host memory
  Seconds network, load, fixed;
  std::uint64_t contended = 0;  ///< flows that met another
  bool overlapped = false;      ///< gathering too
  Seconds total() const {
    const Seconds moving = std::max(network, load);
    return host + (overlapped ? std::max(gather, moving) : gather + moving) + fixed;
  }
};

/// Weights travel in the format that the engine multiplies in, without scales: an engine that stores them in another
/// packs them when they have come.
/// @param topology with the trainer's GPUs first, then the engine's (separate), or the GPUs that both share.
SyncCost weight_sync_cost(const SyncRequest& request, Topology& topology, const LinkCalibration& links,
                          const ReplayOptions& replay);

}  // namespace flopcast
