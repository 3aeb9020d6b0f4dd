// What a rank moves through its ports, turned into flows.
#pragma once
#include <span>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "sim/graph.h"

namespace flopcast {

/// Bytes of one rank, by port and direction. What goes over the NIC is split by whether it leaves the leaf
/// switch.
struct PortLoad {
  Bytes nvlink_out, nvlink_in;
  Bytes leaf_out, leaf_in;    ///< NIC, peers on the same leaf
  Bytes spine_out, spine_in;  ///< NIC, peers on other leaves
  Bytes site_out, site_in;    ///< NIC, peers in other sites
};

/// Where what a rank sends to a peer in another node leaves it, and where what it gets from one comes in. @{
Bytes& out_to(PortLoad& load, const Topology& topology, RankId rank, RankId peer);
Bytes& in_from(PortLoad& load, const Topology& topology, RankId rank, RankId peer);
/// @}

/// How well an operation uses its links.
struct PortPace {
  /// Link time over the time of the same bytes at the link's full rate: what protocol and chunking cost.
  double nvlink_stretch = 1.0;
  double nic_stretch = 1.0;
  /// Fastest the sender itself can go; unbounded when zero. Takes nothing from other flows.
  BytesPerSecond nvlink_cap;
  BytesPerSecond nic_cap;
};

/// Pace of ring collectives, all-to-all and messages. Links already carry the node's efficiencies; what an
/// operation's own efficiency takes off on top is a stretch of its bytes.
PortPace ring_pace(const LinkCalibration* links);

std::vector<Flow> port_flows(Topology& topology, RankId rank, const PortLoad& load, const PortPace& pace);

/// What each rank moves in an all-to-all. `load`: how much each receives relative to the mean; empty = alike.
std::vector<PortLoad> all_to_all_loads(const Topology& topology, std::span<const RankId> ranks, Bytes bytes,
                                       std::span<const double> load);

/// A group of ranks as the nodes hold them.
class GroupLayout {
 public:
  GroupLayout(const Topology& topology, std::span<const RankId> ranks);

  int nodes() const { return static_cast<int>(members_.size()); }
  /// Ranks of the group in the node of ranks[position].
  int local(std::size_t position) const { return static_cast<int>(members_[node_[position]].size()); }
  /// The rank that ranks[position] meets over the network when a ring passes to the next node (+1) or comes
  /// from the one before (-1): the one with the same GPU index where the group has it, for rails and planes
  /// join those.
  RankId across(std::size_t position, int step) const;
  std::span<const RankId> node_of(std::size_t position) const { return members_[node_[position]]; }

 private:
  std::vector<std::vector<RankId>> members_;  // by node, in order of first appearance
  std::vector<std::size_t> node_;             // by position
  std::vector<std::size_t> place_;            // by position: index within its node
  std::vector<RankId> ranks_;
  int gpus_per_node_;
};

}  // namespace flopcast
