#include "workloads/collectives/algorithms/ring.h"
#include "workloads/collectives/algorithms/rows.h"

namespace flopcast {
namespace {

/// The ring among the ranks of ranks[position]'s node, as a phase of one rank.
PortTransfer within_node(Topology& topology, const CollectiveRequest& request, const GroupLayout& layout,
                         std::size_t position, const PortPace& pace) {
  const auto node = layout.node_of(position);
  const double local = static_cast<double>(node.size());
  PortLoad load;
  load.nvlink_out = load.nvlink_in = request.bytes * ((local - 1) / local);
  const GroupLayout alone(topology, node);
  return {ring_latency(topology, alone, node, 1, request.links),
          port_flows(topology, request.ranks[position], load, pace)};
}

/// The ring among same-index ranks of all nodes, over this rank's share of the buffer.
PortTransfer between_nodes(Topology& topology, const CollectiveRequest& request, const GroupLayout& layout,
                           std::size_t position, Seconds latency, const PortPace& pace) {
  const double nodes = layout.nodes();
  const Bytes share = request.bytes / layout.local(position) * (2 * (nodes - 1) / nodes);
  const RankId rank = request.ranks[position];
  PortLoad load;
  out_to(load, topology, rank, layout.across(position, +1)) = share;
  in_from(load, topology, rank, layout.across(position, -1)) = share;
  return {latency, port_flows(topology, rank, load, pace)};
}

/// One rank per node: the ring that each rank's share travels.
std::vector<RankId> same_index_ranks(const GroupLayout& layout, std::span<const RankId> ranks) {
  std::vector<RankId> ring{ranks[0]};
  for (std::size_t i = 1; i < ranks.size(); ++i)
    if (layout.node_of(i)[0] == ranks[i]) ring.push_back(ranks[i]);
  return ring;
}

std::vector<CollectivePhase> lower_hierarchical(Topology& topology, const CollectiveRequest& request) {
  const GroupLayout layout(topology, request.ranks);
  const PortPace pace = ring_pace(request.links);
  CollectivePhase scatter, reduce;
  for (std::size_t i = 0; i < request.ranks.size(); ++i)
    scatter.push_back(within_node(topology, request, layout, i, pace));
  if (layout.nodes() == 1) return {scatter, scatter};

  const std::vector<RankId> ring = same_index_ranks(layout, request.ranks);
  const Seconds latency = ring_latency(topology, GroupLayout(topology, ring), ring, 2, request.links);
  for (std::size_t i = 0; i < request.ranks.size(); ++i)
    reduce.push_back(between_nodes(topology, request, layout, i, latency, pace));
  CollectivePhase gather = scatter;  // the same bytes, the other way round
  return {std::move(scatter), std::move(reduce), std::move(gather)};
}

/// One GPU per node: nothing to do within nodes.
Seconds hierarchical_time(int ranks, Bytes bytes, BytesPerSecond port) {
  return bytes * (2.0 * (ranks - 1) / ranks) / port;
}

}  // namespace

const CollectiveRow kHierarchicalAllReduce{
    "hierarchical_all_reduce", "Two-level all-reduce: reduce-scatter in the node, rings between nodes, all-gather",
    "2 (g-1)/g S / B_nvlink + 2 (k-1)/k S/g / B_nic, k nodes of g", lower_hierarchical, hierarchical_time};

}  // namespace flopcast
