// NCCL's collectives as flows per port, and as rows of the table of collectives.
#include <algorithm>
#include <cassert>
#include <map>
#include <set>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/collectives/algorithms/port_load.h"
#include "workloads/collectives/algorithms/ring.h"
#include "workloads/collectives/algorithms/rows.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {
namespace {

/// What a port of a healthy node carries: links have the node's efficiencies in them.
struct PortRates {
  explicit PortRates(const ClusterSpec& c)
      : nvlink(node_link_bandwidth(c.node) * c.node.nvlink_efficiency),
        nic(endpoint_bandwidth(c) * c.node.nic_efficiency) {}
  BytesPerSecond nvlink, nic;
};

/// What a rank's ports would carry in the time that its traffic takes: flows of so many bytes take that time.
struct PortBytes {
  PortBytes(const ClusterSpec& cluster, const NcclTime& time) {
    const PortRates rates(cluster);
    nvlink = time.nvlink * rates.nvlink;
    nic = time.nic * rates.nic;
  }
  Bytes nvlink, nic;
};

/// All of a group's same-index neighbours on one leaf switch?
bool stays_on_leaf(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                   std::size_t position) {
  return topology.same_leaf(ranks[position], layout.across(position, +1)) &&
         topology.same_leaf(ranks[position], layout.across(position, -1));
}

PortLoad load_of(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                 std::size_t position, const PortBytes& bytes) {
  PortLoad load;
  load.nvlink_out = load.nvlink_in = bytes.nvlink;
  const bool leaf = stays_on_leaf(topology, layout, ranks, position);
  const bool leaves = !topology.same_site(ranks[position], layout.across(position, +1));
  const bool enters = !topology.same_site(ranks[position], layout.across(position, -1));
  (leaves ? load.site_out : leaf ? load.leaf_out : load.spine_out) = bytes.nic;
  (enters ? load.site_in : leaf ? load.leaf_in : load.spine_in) = bytes.nic;
  return load;
}

CollectivePhase uniform(Topology& topology, NcclOp op, std::span<const RankId> ranks, const NcclTime& time,
                        std::span<const std::size_t> wanted) {
  const GroupLayout layout(topology, ranks);
  const PortBytes bytes(topology.cluster(), time);
  CollectivePhase phase(ranks.size());
  const auto lower = [&](std::size_t i) {
    PortLoad load = load_of(topology, layout, ranks, i, bytes);
    if (op == NcclOp::broadcast) {  // the first only sends, the last only receives
      if (i == 0) load.nvlink_in = load.leaf_in = load.spine_in = load.site_in = Bytes(0);
      if (i + 1 == ranks.size()) load.nvlink_out = load.leaf_out = load.spine_out = load.site_out = Bytes(0);
    }
    phase[i] = {time.fixed, port_flows(topology, ranks[i], load, {})};
  };
  for (const std::size_t i : wanted) lower(i);
  for (std::size_t i = 0; wanted.empty() && i < ranks.size(); ++i) lower(i);
  return phase;
}

/// Each rank's own share of every kind of path, at the pace that the group's traffic has.
CollectivePhase exchange(Topology& topology, std::span<const RankId> ranks, Bytes bytes, const NcclTime& time) {
  const PortBytes stretched(topology.cluster(), time);
  PortPace pace;
  if (time.nvlink_bytes > Bytes(0)) pace.nvlink_stretch = stretched.nvlink / time.nvlink_bytes;
  if (time.nic_bytes > Bytes(0)) pace.nic_stretch = stretched.nic / time.nic_bytes;
  CollectivePhase phase;
  phase.reserve(ranks.size());
  const std::vector<PortLoad> loads = all_to_all_loads(topology, ranks, bytes, {});
  for (std::size_t i = 0; i < ranks.size(); ++i)
    phase.push_back({time.fixed, port_flows(topology, ranks[i], loads[i], pace)});
  return phase;
}

CollectivePhase message(Topology& topology, std::span<const RankId> ranks, const NcclTime& time) {
  assert(ranks.size() == 2);
  const PortBytes bytes(topology.cluster(), time);
  const Bytes on_port = topology.same_node(ranks[0], ranks[1]) ? bytes.nvlink : bytes.nic;
  return {{time.fixed, {{topology.route(ranks[0], ranks[1]), on_port}}}, {Seconds(0), {}}};
}

}  // namespace

NcclGroup group_of(const Topology& topology, std::span<const RankId> ranks) {
  const GroupLayout layout(topology, ranks);
  NcclGroup group;
  group.ranks = static_cast<int>(ranks.size());
  group.nodes = layout.nodes();
  group.ranks_per_node = group.ranks;
  for (std::size_t i = 0; i < ranks.size(); ++i) group.ranks_per_node = std::min(group.ranks_per_node, layout.local(i));
  if (group.nodes > 1) {
    const RingHops hops = ring_hops(topology, layout, ranks);
    group.hop = hops.longest;
    group.crossings = hops.crossings;
    group.site_hop = hops.further;
    std::set<int> sites;
    for (const RankId rank : ranks) sites.insert(topology.site(rank));
    group.sites = static_cast<int>(sites.size());
  }
  return group;
}

CollectivePhase lower_nccl(Topology& topology, NcclOp op, std::span<const RankId> ranks, Bytes bytes,
                           const NcclTime& time, std::span<const std::size_t> wanted) {
  if (ranks.size() < 2) return CollectivePhase(ranks.size());
  if (op == NcclOp::all_to_all) return exchange(topology, ranks, bytes, time);
  if (op == NcclOp::send_recv) return message(topology, ranks, time);
  return uniform(topology, op, ranks, time, wanted);
}

namespace {

/// With links at their full rate there is nothing to choose by: the plain algorithm of the same traffic.
const CollectiveRow& plain(NcclOp op) {
  switch (op) {
    case NcclOp::all_reduce:
      return kRingAllReduce;
    case NcclOp::all_gather:
      return kRingAllGather;
    case NcclOp::reduce_scatter:
      return kRingReduceScatter;
    case NcclOp::broadcast:
      return kBroadcast;
    default:
      return kAllToAll;
  }
}

template <NcclOp op>
std::vector<CollectivePhase> lower_nccl(Topology& topology, const CollectiveRequest& request) {
  if (request.links == nullptr) return plain(op).lower(topology, request);
  const NcclTime time =
      choose_nccl(op, group_of(topology, request.ranks), request.bytes, topology.cluster(), *request.links);
  return {lower_nccl(topology, op, request.ranks, request.bytes, time, request.wanted)};
}

template <NcclOp op>
Seconds nccl_time(int ranks, Bytes bytes, BytesPerSecond port) {
  return plain(op).closed_form_time(ranks, bytes, port);
}

}  // namespace

const CollectiveRow kNcclAllReduce{"nccl_all_reduce", "All-reduce as NCCL does it: ring, tree or in the NVSwitches",
                                   "2 (n-1)/n S / B", lower_nccl<NcclOp::all_reduce>, nccl_time<NcclOp::all_reduce>};
const CollectiveRow kNcclAllGather{"nccl_all_gather", "All-gather as NCCL does it, by message size", "(n-1)/n S / B",
                                   lower_nccl<NcclOp::all_gather>, nccl_time<NcclOp::all_gather>};
const CollectiveRow kNcclReduceScatter{"nccl_reduce_scatter", "Reduce-scatter as NCCL does it, by message size",
                                       "(n-1)/n S / B", lower_nccl<NcclOp::reduce_scatter>,
                                       nccl_time<NcclOp::reduce_scatter>};
const CollectiveRow kNcclBroadcast{"nccl_broadcast", "Broadcast as NCCL does it, by message size", "S / B",
                                   lower_nccl<NcclOp::broadcast>, nccl_time<NcclOp::broadcast>};
const CollectiveRow kNcclAllToAll{"nccl_all_to_all", "All-to-all as NCCL does it, by message size", "(n-1)/n S / B",
                                  lower_nccl<NcclOp::all_to_all>, nccl_time<NcclOp::all_to_all>};

}  // namespace flopcast
