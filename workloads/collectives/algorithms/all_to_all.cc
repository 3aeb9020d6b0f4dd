#include <cassert>
#include <map>
#include <numeric>

#include "workloads/collectives/algorithms/port_load.h"
#include "workloads/collectives/algorithms/rows.h"

namespace flopcast {
namespace {

/// Sum of peers' loads, seen from one rank.
struct PeerLoads {
  double node = 0;         ///< in the same node
  double leaf = 0;         ///< elsewhere, on the same leaf switch
  double remote = 0;       ///< everywhere else in the site
  double far = 0;          ///< in other sites
  double other_plane = 0;  ///< of leaf and remote: behind a NIC in another plane
};

/// Sums of a quantity over the group by node, leaf and both, so that each rank's view costs a few look-ups.
class PeerSums {
 public:
  PeerSums(const Topology& topology, std::span<const RankId> ranks, std::span<const double> weight)
      : topology_(topology) {
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      total_ += weight[i];
      by_site_[topology.site(ranks[i])] += weight[i];
      by_node_[node(ranks[i])] += weight[i];
      by_leaf_[topology.leaf(ranks[i])] += weight[i];
      by_node_and_leaf_[{node(ranks[i]), topology.leaf(ranks[i])}] += weight[i];
      by_index_[index(ranks[i])] += weight[i];
    }
  }

  PeerLoads seen_by(RankId rank, double own) const {
    const double node_all = by_node_.at(node(rank));
    PeerLoads peers;
    peers.node = node_all - own;
    peers.leaf = by_leaf_.at(topology_.leaf(rank)) - by_node_and_leaf_.at({node(rank), topology_.leaf(rank)});
    peers.far = total_ - by_site_.at(topology_.site(rank));
    peers.remote = by_site_.at(topology_.site(rank)) - node_all - peers.leaf;
    if (topology_.cluster().fabric.kind == FabricKind::multi_plane)
      peers.other_plane = total_ - by_index_.at(index(rank)) - (node_all - own);
    return peers;
  }

 private:
  int node(RankId rank) const { return static_cast<int>(rank.index()) / topology_.cluster().node.gpus; }
  int index(RankId rank) const { return static_cast<int>(rank.index()) % topology_.cluster().node.gpus; }

  const Topology& topology_;
  double total_ = 0;
  std::map<int, double> by_node_, by_leaf_, by_index_, by_site_;
  std::map<std::pair<int, int>, double> by_node_and_leaf_;
};

/// Start-up of an all-to-all: every pair's message is under way at once, so one hop.
Seconds latency_of(const Topology& topology, const CollectiveRequest& request) {
  const auto ranks = request.ranks;
  if (ranks.size() < 2) return Seconds(0);
  const Seconds launch = request.links ? Seconds(request.links->ring_launch_us.value * 1e-6) : Seconds(0);
  return launch + topology.latency(ranks.front(), ranks.back());
}

}  // namespace

/// With separate planes, what goes to another GPU index is passed over NVLink to the GPU in the sender's node
/// that sits in the right plane. Every GPU forwards for its neighbours as they do for it, so its NIC carries
/// as much as without.
std::vector<PortLoad> all_to_all_loads(const Topology& topology, std::span<const RankId> ranks, Bytes bytes,
                                       std::span<const double> load) {
  const std::vector<double> ones(ranks.size(), 1.0);
  const std::span<const double> receives = load.empty() ? std::span<const double>(ones) : load;
  assert(receives.size() == ranks.size());
  const PeerSums receiver_sums(topology, ranks, receives), sender_sums(topology, ranks, ones);
  const Bytes share = bytes / static_cast<double>(ranks.size());

  std::vector<PortLoad> loads(ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const PeerLoads out = receiver_sums.seen_by(ranks[i], receives[i]);
    const PeerLoads in = sender_sums.seen_by(ranks[i], 1.0);
    PortLoad& rank = loads[i];
    rank.nvlink_out = share * (out.node + out.other_plane);
    rank.nvlink_in = share * receives[i] * in.node + share * out.other_plane;
    rank.leaf_out = share * out.leaf;
    rank.leaf_in = share * receives[i] * in.leaf;
    rank.spine_out = share * out.remote;
    rank.spine_in = share * receives[i] * in.remote;
    rank.site_out = share * out.far;
    rank.site_in = share * receives[i] * in.far;
  }
  return loads;
}

CollectivePhase all_to_all_by_ports(Topology& topology, const CollectiveRequest& request,
                                    std::span<const double> load) {
  const Seconds latency = latency_of(topology, request);
  const PortPace pace = ring_pace(request.links);
  const std::vector<PortLoad> loads = all_to_all_loads(topology, request.ranks, request.bytes, load);
  CollectivePhase phase;
  phase.reserve(loads.size());
  for (std::size_t i = 0; i < loads.size(); ++i)
    phase.push_back({latency, port_flows(topology, request.ranks[i], loads[i], pace)});
  return phase;
}

namespace {

std::vector<CollectivePhase> lower_all_to_all(Topology& topology, const CollectiveRequest& request) {
  return {all_to_all_by_ports(topology, request, {})};
}

Seconds all_to_all_time(int ranks, Bytes bytes, BytesPerSecond port) {
  return bytes * (static_cast<double>(ranks - 1) / ranks) / port;
}

}  // namespace

const CollectiveRow kAllToAll{"all_to_all", "All-to-all, every rank to every other at once", "(n-1)/n S / B",
                              lower_all_to_all, all_to_all_time};

}  // namespace flopcast
