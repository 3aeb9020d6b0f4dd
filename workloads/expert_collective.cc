#include "workloads/expert_collective.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "hwmodels/fabric_graph.h"
#include "workloads/collectives/port_load.h"

namespace flopcast {
namespace {

/// Rates at which an operation drives its two kinds of ports when nobody else uses them.
struct ExpertRates {
  BytesPerSecond nic, nvlink;  ///< efficiencies and SMs considered
  double slowdown = 1.0;
};

ExpertRates rates_of(const NodeSpec& node, BytesPerSecond nic_rate, const LinkCalibration& links, ExpertOp op,
                     bool overlapped, int sms) {
  const bool dispatch = op == ExpertOp::dispatch;
  const double per_sm = dispatch ? links.dispatch_sm_GBps.value : links.combine_sm_GBps.value;
  const BytesPerSecond forwarded(per_sm * 1e9 * sms);
  ExpertRates rates;
  rates.nic = nic_rate * links.nic_efficiency.value;
  rates.nvlink = std::min(node_link_bandwidth(node) * links.nvlink_efficiency.value, forwarded);
  if (overlapped)
    rates.slowdown = dispatch ? links.dispatch_overlap_slowdown.value : links.combine_overlap_slowdown.value;
  return rates;
}

Seconds setup_of(const LinkCalibration& links, ExpertOp op, int nodes) {
  const double base =
      op == ExpertOp::dispatch ? links.dispatch_setup_us.value : links.combine_setup_us.value;
  return Seconds((base + links.setup_per_doubling_us.value * std::log2(nodes)) * 1e-6);
}

PortPace pace_of(const NodeSpec& node, const ExpertRates& rates, const LinkCalibration& links) {
  PortPace pace;
  pace.nic_stretch = node.nic_efficiency / links.nic_efficiency.value;
  pace.nvlink_stretch = node.nvlink_efficiency / links.nvlink_efficiency.value;
  // The caps hold for the stretched bytes.
  pace.nic_cap = rates.nic * (pace.nic_stretch / rates.slowdown);
  pace.nvlink_cap = rates.nvlink * (pace.nvlink_stretch / rates.slowdown);
  return pace;
}

/// Of the nodes a rank exchanges tokens with, the share that it reaches over the spine.
double spine_share(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                   std::size_t position) {
  if (!topology.blocking() || layout.nodes() < 2) return 0.0;
  const int local = layout.local(position);
  int beyond = 0, others = 0;
  for (std::size_t i = position % static_cast<std::size_t>(local); i < ranks.size();
       i += static_cast<std::size_t>(local)) {
    if (i == position) continue;
    ++others;
    beyond += topology.same_leaf(ranks[i], ranks[position]) ? 0 : 1;
  }
  return others > 0 ? static_cast<double>(beyond) / others : 0.0;
}

}  // namespace

CollectivePhase expert_collective(Topology& topology, const LinkCalibration& links,
                                  const ExpertCollectiveRequest& request) {
  assert(request.ranks.size() == request.traffic.size());
  const ClusterSpec& cluster = topology.cluster();
  const GroupLayout layout(topology, request.ranks);
  const ExpertRates rates = rates_of(cluster.node, endpoint_bandwidth(cluster), links, request.op,
                                     request.overlapped, request.sms);
  const PortPace pace = pace_of(cluster.node, rates, links);
  const Seconds setup = setup_of(links, request.op, layout.nodes());

  CollectivePhase phase;
  phase.reserve(request.ranks.size());
  for (std::size_t i = 0; i < request.ranks.size(); ++i) {
    ExpertTraffic t = request.traffic[i];
    if (request.op == ExpertOp::combine) {
      std::swap(t.nic_out, t.nic_in);
      std::swap(t.nvlink_out, t.nvlink_in);
    }
    const double spine = spine_share(topology, layout, request.ranks, i);
    const PortLoad load{.nvlink_out = t.nvlink_out,
                        .nvlink_in = t.nvlink_in,
                        .leaf_out = t.nic_out * (1 - spine),
                        .leaf_in = t.nic_in * (1 - spine),
                        .spine_out = t.nic_out * spine,
                        .spine_in = t.nic_in * spine};
    phase.push_back({setup, port_flows(topology, request.ranks[i], load, pace)});
  }
  return phase;
}

Seconds expert_time(const NodeSpec& node, BytesPerSecond nic_rate, int nodes, const LinkCalibration& links,
                    const ExpertTraffic& traffic, ExpertOp op, bool overlapped, int sms) {
  const ExpertRates rates = rates_of(node, nic_rate, links, op, overlapped, sms);
  const Seconds nic = std::max(traffic.nic_out, traffic.nic_in) / rates.nic;
  const Seconds nvlink = std::max(traffic.nvlink_out, traffic.nvlink_in) / rates.nvlink;
  return setup_of(links, op, nodes) + std::max(nic, nvlink) * rates.slowdown;
}

}  // namespace flopcast
