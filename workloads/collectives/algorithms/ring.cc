#include "workloads/collectives/algorithms/ring.h"

#include <algorithm>
#include <cmath>

#include "workloads/collectives/algorithms/rows.h"

namespace flopcast {

PortLoad ring_load(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                   std::size_t position, Bytes bytes) {
  PortLoad load;
  if (layout.nodes() == 1) {
    load.nvlink_out = load.nvlink_in = bytes;
    return load;
  }
  const Bytes network = bytes / layout.local(position);
  load.nvlink_out = load.nvlink_in = bytes - network;
  out_to(load, topology, ranks[position], layout.across(position, +1)) = network;
  in_from(load, topology, ranks[position], layout.across(position, -1)) = network;
  return load;
}

RingHops ring_hops(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks) {
  RingHops hops;
  double crossings = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const RankId next = layout.across(i, +1);
    Seconds hop = topology.latency(ranks[i], next);
    if (!topology.same_site(ranks[i], next)) {
      crossings += 1.0 / layout.local(i);
      hops.further = topology.cluster().fabric.site_latency;
      hop -= hops.further;
    }
    hops.longest = std::max(hops.longest, hop);
  }
  hops.crossings = static_cast<int>(std::ceil(crossings - 1e-9));
  return hops;
}

Seconds ring_latency(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks, int turns,
                     const LinkCalibration* links) {
  const int steps = static_cast<int>(ranks.size()) - 1;
  const int between_nodes = layout.nodes() > 1 ? std::min(layout.nodes(), steps) : 0;
  RingHops hops;
  if (between_nodes > 0) hops = ring_hops(topology, layout, ranks);
  const Seconds between = hops.longest * between_nodes + hops.further * std::min(hops.crossings, between_nodes);
  if (links == nullptr) {
    const Seconds within = topology.cluster().node.nvlink_latency * (steps - between_nodes);
    return (within + between) * turns;
  }
  const Seconds step(links->ring_step_us.value * 1e-6);
  return Seconds(links->ring_launch_us.value * 1e-6) + (step * steps + between) * turns;
}

CollectivePhase ring_phase(Topology& topology, const CollectiveRequest& request, Bytes bytes_through, int turns) {
  const GroupLayout layout(topology, request.ranks);
  const Seconds latency = ring_latency(topology, layout, request.ranks, turns, request.links);
  const PortPace pace = ring_pace(request.links);
  CollectivePhase phase;
  phase.reserve(request.ranks.size());
  for (std::size_t i = 0; i < request.ranks.size(); ++i) {
    const PortLoad load = ring_load(topology, layout, request.ranks, i, bytes_through);
    phase.push_back({latency, port_flows(topology, request.ranks[i], load, pace)});
  }
  return phase;
}

namespace {

/// Every byte but one's own share passes every rank.
Bytes once_around(int ranks, Bytes bytes) { return bytes * (static_cast<double>(ranks - 1) / ranks); }

template <int kTurns>
std::vector<CollectivePhase> lower_ring(Topology& topology, const CollectiveRequest& request) {
  const Bytes bytes = once_around(static_cast<int>(request.ranks.size()), request.bytes) * kTurns;
  return {ring_phase(topology, request, bytes, kTurns)};
}

template <int kTurns>
Seconds ring_time(int ranks, Bytes bytes, BytesPerSecond port) {
  return once_around(ranks, bytes) * kTurns / port;
}

}  // namespace

const CollectiveRow kRingAllReduce{"ring_all_reduce", "All-reduce on rings, one ring per NIC of a node",
                                   "2 (n-1)/n S / B", lower_ring<2>, ring_time<2>};
const CollectiveRow kRingReduceScatter{"ring_reduce_scatter", "Reduce-scatter on rings, one ring per NIC of a node",
                                       "(n-1)/n S / B", lower_ring<1>, ring_time<1>};
const CollectiveRow kRingAllGather{"ring_all_gather", "All-gather on rings, one ring per NIC of a node",
                                   "(n-1)/n S / B", lower_ring<1>, ring_time<1>};

}  // namespace flopcast
