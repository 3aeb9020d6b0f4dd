#include "workloads/collectives/algorithms/port_load.h"

#include <cstdint>

namespace flopcast {
namespace {

using Side = Topology::Side;

/// One flow when as much leaves as arrives, else one per direction.
template <class RouteOf>
void append_flows(std::vector<Flow>& flows, Bytes out, Bytes in, RouteOf route) {
  if (out == in) {
    if (out > Bytes(0)) flows.push_back({route(Side::both), out});
    return;
  }
  if (out > Bytes(0)) flows.push_back({route(Side::egress), out});
  if (in > Bytes(0)) flows.push_back({route(Side::ingress), in});
}

}  // namespace

Bytes& out_to(PortLoad& load, const Topology& topology, RankId rank, RankId peer) {
  if (!topology.same_site(rank, peer)) return load.site_out;
  return topology.same_leaf(rank, peer) ? load.leaf_out : load.spine_out;
}

Bytes& in_from(PortLoad& load, const Topology& topology, RankId rank, RankId peer) {
  if (!topology.same_site(rank, peer)) return load.site_in;
  return topology.same_leaf(rank, peer) ? load.leaf_in : load.spine_in;
}

PortPace ring_pace(const LinkCalibration* links) {
  PortPace pace;
  if (links == nullptr) return pace;
  pace.nvlink_stretch = kMeasuredNvlinkEfficiency / links->ring_nvlink_efficiency.value;
  pace.nic_stretch = kMeasuredNicEfficiency / links->nic_efficiency.value;
  return pace;
}

std::vector<Flow> port_flows(Topology& topology, RankId rank, const PortLoad& load, const PortPace& pace) {
  const auto paced = [&](RouteId route, BytesPerSecond cap) {
    return cap > BytesPerSecond(0) ? topology.capped(route, cap) : route;
  };
  const auto nvlink = [&](Side side) { return paced(topology.nvlink_port(rank, side), pace.nvlink_cap); };
  const auto nic = [&](Side side) { return paced(topology.nic_port(rank, side, false), pace.nic_cap); };
  const auto spine = [&](Side side) { return paced(topology.nic_port(rank, side, true), pace.nic_cap); };

  std::vector<Flow> flows;
  append_flows(flows, load.nvlink_out * pace.nvlink_stretch, load.nvlink_in * pace.nvlink_stretch, nvlink);
  if (topology.blocking()) {
    append_flows(flows, load.leaf_out * pace.nic_stretch, load.leaf_in * pace.nic_stretch, nic);
    append_flows(flows, load.spine_out * pace.nic_stretch, load.spine_in * pace.nic_stretch, spine);
  } else {
    append_flows(flows, (load.leaf_out + load.spine_out) * pace.nic_stretch,
                 (load.leaf_in + load.spine_in) * pace.nic_stretch, nic);
  }
  const auto site = [&](Side side) { return paced(topology.site_port(rank, side), pace.nic_cap); };
  append_flows(flows, load.site_out * pace.nic_stretch, load.site_in * pace.nic_stretch, site);
  return flows;
}

GroupLayout::GroupLayout(const Topology& topology, std::span<const RankId> ranks)
    : ranks_(ranks.begin(), ranks.end()), gpus_per_node_(topology.cluster().node.gpus) {
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::vector<std::uint32_t> slot_of_node(static_cast<std::size_t>(topology.cluster().nodes), kNone);
  node_.reserve(ranks.size());
  place_.reserve(ranks.size());
  for (const RankId rank : ranks) {
    std::uint32_t& slot = slot_of_node[rank.index() / static_cast<std::size_t>(gpus_per_node_)];
    if (slot == kNone) {
      slot = static_cast<std::uint32_t>(members_.size());
      members_.emplace_back();
    }
    node_.push_back(slot);
    place_.push_back(members_[slot].size());
    members_[slot].push_back(rank);
  }
}

RankId GroupLayout::across(std::size_t position, int step) const {
  const std::size_t count = members_.size();
  const auto& node = members_[(node_[position] + (step > 0 ? 1 : count - 1)) % count];
  const auto gpu_index = [this](RankId rank) { return static_cast<int>(rank.index()) % gpus_per_node_; };
  for (const RankId rank : node)
    if (gpu_index(rank) == gpu_index(ranks_[position])) return rank;
  return node[place_[position] % node.size()];
}

}  // namespace flopcast
