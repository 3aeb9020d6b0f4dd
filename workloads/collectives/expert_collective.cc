#include "workloads/collectives/expert_collective.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/collectives/algorithms/port_load.h"

namespace flopcast {
namespace {

constexpr int kDispatchPasses = 1;  // network bytes are copied once, to be sent
constexpr int kCombinePasses = 2;   // and summed twice: where they are forwarded and where they arrive

Bytes larger(Bytes a, Bytes b) { return std::max(a, b); }

/// How long the communication SMs need to copy what one rank sends, forwards and receives.
Seconds copying_time(const ExpertSetting& setting, const ExpertTraffic& traffic, const LinkCalibration& links) {
  const int passes = setting.op == ExpertOp::dispatch ? kDispatchPasses : kCombinePasses;
  Bytes through_network;  // of n nodes one is the sender's own: its tokens pass the same buffers
  if (setting.nodes > 1)
    through_network = larger(traffic.nic_out, traffic.nic_in) * (setting.nodes / (setting.nodes - 1.0));
  const Bytes copied = larger(traffic.nvlink_out, traffic.nvlink_in) + through_network * passes;
  return copied / BytesPerSecond(links.expert_sm_GBps.value * 1e9 * setting.sms);
}

double slowdown(const ExpertSetting& setting, const LinkCalibration& links) {
  if (!setting.overlapped) return 1.0;
  return setting.op == ExpertOp::dispatch ? links.dispatch_overlap_slowdown.value
                                          : links.combine_overlap_slowdown.value;
}

Seconds notify_time(const ExpertSetting& setting, const LinkCalibration& links) {
  return Seconds(links.notify_per_doubling_us.value * 1e-6 * std::log2(setting.nodes));
}

Seconds setup_time(const ExpertSetting& setting, const LinkCalibration& links) {
  return Seconds(1e-6 *
                 (setting.op == ExpertOp::dispatch ? links.dispatch_setup_us.value : links.combine_setup_us.value));
}

/// The fastest that the kernels themselves go on a port: no faster than their SMs copy, than the port's
/// efficiency allows, and by the overlap slower than that.
BytesPerSecond own_pace(BytesPerSecond port, Bytes bytes, Seconds copying, double slow) {
  const BytesPerSecond alone = copying > Seconds(0) && bytes / copying < port ? bytes / copying : port;
  return alone / slow;
}

/// Of the nodes a rank exchanges tokens with, the shares that it reaches over the spine, and between sites.
struct Beyond {
  double spine = 0, site = 0;
};
Beyond share_beyond(const Topology& topology, const GroupLayout& layout, std::span<const RankId> ranks,
                    std::size_t position) {
  if ((!topology.blocking() && topology.cluster().fabric.sites == 1) || layout.nodes() < 2) return {};
  const auto local = static_cast<std::size_t>(layout.local(position));
  int beyond = 0, far = 0, others = 0;
  for (std::size_t i = position % local; i < ranks.size(); i += local) {
    if (i == position) continue;
    ++others;
    if (!topology.same_site(ranks[i], ranks[position])) {
      ++far;
    } else {
      beyond += topology.same_leaf(ranks[i], ranks[position]) ? 0 : 1;
    }
  }
  if (others == 0) return {};
  return {static_cast<double>(beyond) / others, static_cast<double>(far) / others};
}

ExpertTraffic reversed(const ExpertTraffic& t) { return {t.nic_in, t.nic_out, t.nvlink_in, t.nvlink_out}; }

PortLoad port_load(const ExpertTraffic& t, const Beyond& share) {
  PortLoad load;
  load.nvlink_out = t.nvlink_out;
  load.nvlink_in = t.nvlink_in;
  load.leaf_out = t.nic_out * (1 - share.spine - share.site);
  load.leaf_in = t.nic_in * (1 - share.spine - share.site);
  load.spine_out = t.nic_out * share.spine;
  load.spine_in = t.nic_in * share.spine;
  load.site_out = t.nic_out * share.site;
  load.site_in = t.nic_in * share.site;
  return load;
}

}  // namespace

CollectivePhase expert_collective(Topology& topology, const LinkCalibration& links,
                                  const ExpertCollectiveRequest& request) {
  assert(request.ranks.size() == request.traffic.size());
  const ClusterSpec& cluster = topology.cluster();
  const GroupLayout layout(topology, request.ranks);
  ExpertSetting setting;
  setting.nic = nic_pace(cluster);
  setting.nvlink = node_link_pace(cluster.node);
  setting.nodes = layout.nodes();
  setting.op = request.op;
  setting.overlapped = request.overlapped;
  setting.sms = request.sms;
  const double slow = slowdown(setting, links);
  const Seconds latency = notify_time(setting, links) + setup_time(setting, links);

  // Links carry the node's efficiency already; bytes are stretched so that alone they take bytes / (own
  // efficiency x rate), and the caps hold for the stretched bytes.
  PortPace pace;
  pace.nic_stretch = kMeasuredNicEfficiency / links.nic_efficiency.value;
  pace.nvlink_stretch = kMeasuredNvlinkEfficiency / links.nvlink_efficiency.value;
  const BytesPerSecond nic = setting.nic * kMeasuredNicEfficiency;
  const BytesPerSecond nvlink = setting.nvlink * kMeasuredNvlinkEfficiency;

  CollectivePhase phase;
  phase.reserve(request.ranks.size());
  for (std::size_t i = 0; i < request.ranks.size(); ++i) {
    const ExpertTraffic& sent = request.traffic[i];
    const ExpertTraffic t = request.op == ExpertOp::dispatch ? sent : reversed(sent);
    const Seconds copying = copying_time(setting, t, links);
    pace.nic_cap = own_pace(nic, larger(t.nic_out, t.nic_in) * pace.nic_stretch, copying, slow);
    pace.nvlink_cap = own_pace(nvlink, larger(t.nvlink_out, t.nvlink_in) * pace.nvlink_stretch, copying, slow);
    const Beyond beyond = share_beyond(topology, layout, request.ranks, i);
    phase.push_back({latency, port_flows(topology, request.ranks[i], port_load(t, beyond), pace)});
  }
  return phase;
}

ExpertTime expert_time(const ExpertSetting& setting, const ExpertTraffic& traffic, const LinkCalibration& links) {
  const Seconds nic = larger(traffic.nic_out, traffic.nic_in) / (setting.nic * links.nic_efficiency.value);
  const Seconds nvlink =
      larger(traffic.nvlink_out, traffic.nvlink_in) / (setting.nvlink * links.nvlink_efficiency.value);
  const Seconds slowest = std::max({nic, nvlink, copying_time(setting, traffic, links)});
  return {notify_time(setting, links), setup_time(setting, links) + slowest * slowdown(setting, links)};
}

}  // namespace flopcast
