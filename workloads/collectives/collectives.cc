#include "workloads/collectives/collectives.h"

#include <array>
#include <cassert>

#include "workloads/collectives/algorithms/port_load.h"
#include "workloads/collectives/algorithms/rows.h"

namespace flopcast {

std::span<const CollectiveRow> collectives() {
  static const std::array rows{kRingAllReduce, kRingReduceScatter,     kRingAllGather, kAllToAll,
                               kBroadcast,     kHierarchicalAllReduce, kNcclAllReduce, kNcclReduceScatter,
                               kNcclAllGather, kNcclAllToAll,          kNcclBroadcast};
  return rows;
}

const CollectiveRow* find_collective(std::string_view name) {
  for (const CollectiveRow& row : collectives())
    if (row.name == name) return &row;
  return nullptr;
}

PortTransfer point_to_point(Topology& topology, RankId from, RankId to, Bytes bytes, const LinkCalibration* links) {
  const PortPace pace = ring_pace(links);
  const double stretch = topology.same_node(from, to) ? pace.nvlink_stretch : pace.nic_stretch;
  const Seconds launch = links ? Seconds(links->ring_launch_us.value * 1e-6) : Seconds(0);
  return {launch + topology.latency(from, to), {{topology.route(from, to), bytes * stretch}}};
}

OpId append_collective(GraphBuilder& graph, std::span<const LaneId> lanes, std::span<const CollectivePhase> phases,
                       Label label) {
  OpId gate = graph.join(label);
  for (const LaneId lane : lanes)
    if (const OpId last = graph.last_on(lane); last.valid()) graph.after(gate, last);
  for (const CollectivePhase& phase : phases) {
    assert(phase.size() == lanes.size());
    const OpId done = graph.join(label);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      const OpId op = graph.transfer(lanes[i], phase[i].latency, phase[i].flows, label);
      graph.after(op, gate);
      graph.after(done, op);
    }
    gate = done;
  }
  return gate;
}

OperationGraph make_collective_graph(Topology& topology, const CollectiveRow& row, Bytes bytes, int ranks, int copies,
                                     const LinkCalibration* links) {
  std::vector<RankId> group;
  for (int rank = 0; rank < ranks; ++rank) group.push_back(RankId::at(rank));
  const auto phases = row.lower(topology, {group, bytes, links});

  GraphBuilder graph({std::string(row.name)});
  for (int copy = 0; copy < copies; ++copy) {
    std::vector<LaneId> lanes;
    for (const RankId rank : group) lanes.push_back(graph.add_lane(rank, "copy " + std::to_string(copy)));
    append_collective(graph, lanes, phases);
  }
  return std::move(graph).build();
}

}  // namespace flopcast
