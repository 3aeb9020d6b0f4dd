// Rings over nodes, shared by the collectives that are made of them.
#pragma once
#include "workloads/collectives/algorithms/port_load.h"
#include "workloads/collectives/collectives.h"

namespace flopcast {

/// `bytes` pass every rank of the group once around the ring.
///
/// As many rings run side by side as a node has ranks of the group (NCCL: one per NIC), each with its share
/// of the bytes. A ring enters and leaves a node over one NIC and passes its other ranks over NVLink; ring j
/// leaves node x at the j-th rank. With g ranks in a node, each rank's NIC carries 1/g of the bytes and its
/// NVLink port (g-1)/g.
PortLoad ring_load(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                   std::size_t position, Bytes bytes);

/// The hops of a ring from node to node. Rings run side by side, so a node is crossed by each of its ranks.
struct RingHops {
  Seconds longest;    ///< of those within a site; nodes wait for each other, so that it sets the pace
  int crossings = 0;  ///< from one site to another, once around
  Seconds further;    ///< what such a one takes longer
};
RingHops ring_hops(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks);

/// Fixed time of `turns` trips of n-1 steps around the ring. Of its n hops, one per node leaves the node.
Seconds ring_latency(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks, int turns,
                     const LinkCalibration* links);

/// The whole collective: latency and flows of each rank.
CollectivePhase ring_phase(Topology& topology, const CollectiveRequest& request, Bytes bytes_through, int turns);

}  // namespace flopcast
