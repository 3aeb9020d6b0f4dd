#include "workloads/collectives/algorithms/ring.h"
#include "workloads/collectives/algorithms/rows.h"

namespace flopcast {
namespace {

/// The first rank's buffer is passed along rings in chunks, all ranks at once: the first only sends, the last
/// only receives, and the time is that of one hop plus the latency of the chain.
std::vector<CollectivePhase> lower_broadcast(Topology& topology, const CollectiveRequest& request) {
  const GroupLayout layout(topology, request.ranks);
  const Seconds latency = ring_latency(topology, layout, request.ranks, 1, request.links);
  const PortPace pace = ring_pace(request.links);
  const std::size_t last = request.ranks.size() - 1;
  CollectivePhase phase;
  phase.reserve(request.ranks.size());
  for (std::size_t i = 0; i <= last; ++i) {
    PortLoad load;
    if (last > 0) load = ring_load(topology, layout, request.ranks, i, request.bytes);
    if (i == 0) load.nvlink_in = load.leaf_in = load.spine_in = Bytes(0);
    if (i == last) load.nvlink_out = load.leaf_out = load.spine_out = Bytes(0);
    phase.push_back({latency, port_flows(topology, request.ranks[i], load, pace)});
  }
  return {std::move(phase)};
}

Seconds broadcast_time(int ranks, Bytes bytes, BytesPerSecond port) { return ranks > 1 ? bytes / port : Seconds(0); }

}  // namespace

const CollectiveRow kBroadcast{"broadcast", "Broadcast from the first rank along rings, in chunks", "S / B",
                               lower_broadcast, broadcast_time};

}  // namespace flopcast
