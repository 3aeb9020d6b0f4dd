#include "workloads/collectives/nccl.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

#include "hwmodels/fabric/fabric_graph.h"

namespace flopcast {
namespace {

Seconds us(const Fitted& constant) { return Seconds(constant.value * 1e-6); }
BytesPerSecond gigabytes_per_second(const Fitted& constant) { return BytesPerSecond(constant.value * 1e9); }

/// Layers of a binary tree over the nodes.
int doublings(int nodes) { return static_cast<int>(std::bit_width(static_cast<unsigned>(nodes - 1))); }

/// Time that chunks take to fill a pipeline: they grow with the message up to a size of their own.
Seconds filling(Bytes bytes, const Fitted& most_us, const Fitted& half_MB) {
  const Bytes half(half_MB.value * 1e6);
  return us(most_us) * (bytes / (bytes + half));
}

/// One request, priced algorithm by algorithm.
class Pricing {
 public:
  /// @param share of the cluster's NVLink rate that a port has
  Pricing(NcclOp op, NcclProtocol protocol, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
          const LinkCalibration& links, double share = 1)
      : op_(op),
        protocol_(protocol),
        group_(group),
        bytes_(bytes),
        links_(links),
        nvlink_(node_link_pace(cluster.node) * share),
        nic_(nic_pace(cluster)),
        plugin_(cluster.fabric.plugin_latency),
        in_switch_share_(in_switch_share(cluster.node.gpu)),
        ranks_(group.ranks),
        local_(group.ranks_per_node) {}

  NcclTime time(NcclAlgorithm algorithm) const {
    NcclTime time;
    switch (algorithm) {
      case NcclAlgorithm::ring:
        time = ring();
        break;
      case NcclAlgorithm::tree:
        time = tree();
        break;
      case NcclAlgorithm::nvls:
        time = in_switch();
        break;
      case NcclAlgorithm::nvls_tree:
        time = in_switch_tree();
        break;
      case NcclAlgorithm::pat:
        time = aggregated_trees();
        break;
      case NcclAlgorithm::pairs:
        time = op_ == NcclOp::all_to_all ? exchange() : message();
        break;
      case NcclAlgorithm::one_shot:
        time = direct(ranks_ - 1, links_.direct_launch_us);
        break;
      case NcclAlgorithm::two_shot:
        time = direct(2 * (ranks_ - 1) / ranks_, links_.direct_two_shot_us);
        break;
    }
    // Rings and trees go through the node's links and the network chunk by chunk; part of the shorter stays visible.
    const bool pipelined =
        algorithm == NcclAlgorithm::ring || algorithm == NcclAlgorithm::tree || algorithm == NcclAlgorithm::nvls_tree;
    if (pipelined && group_.nodes > 1) time.fixed += std::min(time.nvlink, time.nic) * links_.network_exposed.value;
    time.algorithm = algorithm;
    time.protocol = protocol_;
    return time;
  }

 private:
  struct Hops {
    const Fitted &ll, &ll128, &simple;
  };

  Seconds between(const Hops& hops) const {
    const Fitted& hop = protocol_ == NcclProtocol::ll      ? hops.ll
                        : protocol_ == NcclProtocol::ll128 ? hops.ll128
                                                           : hops.simple;
    return longer(us(hop));
  }
  /// A hop between nodes that NCCL counts on, on this fabric. What a plugin states has the wire in it.
  Seconds longer(Seconds hop, double share = 1) const {
    const double times = protocol_ == NcclProtocol::simple ? 2 : 1;  // Simple flushes what it wrote
    return std::max(hop + times * share * plugin_, group_.hop);
  }
  /// Launch and hops within nodes. LL takes more channels for more bytes, and more channels take longer to
  /// meet.
  Seconds start(double hops) const {
    switch (protocol_) {
      case NcclProtocol::ll: {
        const Bytes half(links_.nccl_ll_widening_kB.value * 1e3);
        return (us(links_.nccl_ll_launch_us) + hops * us(links_.nccl_ll_step_us)) *
               (1 + links_.nccl_ll_widening.value * (bytes_ / (bytes_ + half)));
      }
      case NcclProtocol::ll128:
        return us(links_.nccl_launch_us) + hops * us(links_.nccl_ll128_step_us);
      case NcclProtocol::simple:
        break;
    }
    return us(links_.nccl_launch_us) + hops * us(links_.nccl_step_us);
  }
  Seconds fill(Bytes through) const {
    if (protocol_ != NcclProtocol::simple) return Seconds(0);
    return filling(through, links_.nccl_filling_us, links_.nccl_filling_MB);
  }
  /// Out of place: a rank handles its own share of the result too.
  Seconds own_share() const {
    if (op_ == NcclOp::broadcast) return Seconds(0);
    const Bytes share = bytes_ / ranks_;
    if (protocol_ != NcclProtocol::ll) return share / (nvlink_ * links_.nccl_copy_ratio.value);
    return share / (nvlink_ * links_.nccl_ll_copy_ratio.value * gathering());
  }
  double gathering() const {
    const bool stores = op_ == NcclOp::all_gather || op_ == NcclOp::broadcast;
    return stores ? links_.nccl_ll_gather.value : 1.0;
  }

  /// A gathering kernel stores what it forwards; a reducing one only forwards.
  BytesPerSecond nvlink_rate() const {
    switch (protocol_) {
      case NcclProtocol::ll:
        return nvlink_ * (links_.nccl_ll_efficiency.value * gathering());
      case NcclProtocol::ll128:
        return nvlink_ * links_.nccl_ll128_efficiency.value;
      case NcclProtocol::simple:
        break;
    }
    return nvlink_ * links_.nccl_efficiency.value;
  }
  /// Time of `through` bytes shared by the NICs of a node.
  Seconds nic_time(Bytes through) const {
    constexpr double kFlags = 120.0 / 128.0;  // of LL128 what is data
    const BytesPerSecond rate = nic_ * (local_ * links_.network_efficiency.value);
    if (protocol_ == NcclProtocol::ll) {  // polls its flags in host memory
      const auto& most = group_.nodes == 2 ? links_.network_ll_pair_GBps : links_.network_ll_GBps;
      return through / std::min(rate * 0.5, gigabytes_per_second(most));
    }
    return through / (protocol_ == NcclProtocol::ll128 ? rate * kFlags : rate);
  }

  NcclTime ring() const {
    const int turns = op_ == NcclOp::all_reduce ? 2 : 1;
    const bool once = op_ == NcclOp::broadcast;
    const Bytes through = once ? bytes_ : bytes_ * (turns * (ranks_ - 1) / ranks_);
    const double hops = turns * (ranks_ - 1), net_hops = turns * (group_.nodes - 1);
    NcclTime time;
    time.fixed = start(hops - net_hops) + fill(through) + own_share();
    time.nvlink_bytes = through;
    if (group_.nodes > 1) {
      time.fixed +=
          net_hops * between({links_.network_ring_ll_us, links_.network_ring_ll128_us, links_.network_ring_us}) +
          turns * std::min(group_.crossings - (once ? 1 : 0), group_.nodes - 1) * group_.site_hop;
      time.nvlink_bytes = through * ((local_ - 1) / local_);
      time.nic_bytes = through / local_;
      time.nic = nic_time(through);
    }
    time.nvlink = time.nvlink_bytes / nvlink_rate();
    if (protocol_ == NcclProtocol::simple && group_.nodes == 1 && ranks_ > 2) {
      const Seconds least = through / (nvlink_ * links_.nccl_ring_most.value);
      time.nvlink = std::max(time.nvlink, least - fill(through) - own_share());
    }
    return time;
  }

  /// Up and down between nodes. Two nodes each send the other half of their sums; in the two trees over more,
  /// every node is a leaf of one and inside the other, and sends twice what it holds.
  Bytes between_nodes() const { return bytes_ * (group_.nodes == 2 ? 1.0 : 2.0); }

  NcclTime tree() const {
    NcclTime time;
    const Bytes through = local_ > 1 ? 2 * bytes_ : Bytes(0);
    time.fixed = start(2 * (local_ - 1)) + fill(2 * bytes_);
    time.nvlink_bytes = through;
    time.nvlink = through / nvlink_rate();
    if (group_.nodes > 1) {
      time.fixed += 2.0 * doublings(group_.nodes) *
                        between({links_.network_tree_ll_us, links_.network_tree_ll128_us, links_.network_tree_us}) +
                    up_and_down_sites();
      time.nic_bytes = between_nodes() / local_;
      time.nic = nic_time(between_nodes());
    }
    return time;
  }

  /// Each rank's share is added by the switches on its way to that rank and multicast on its way back.
  NcclTime in_switch() const {
    NcclTime time;
    time.fixed =
        us(links_.in_switch_launch_us) + filling(bytes_, links_.in_switch_filling_us, links_.in_switch_filling_MB);
    time.nvlink_bytes = bytes_ * (1 + 1 / local_);
    time.nvlink = bytes_ / (nvlink_ * (links_.in_switch_efficiency.value * in_switch_share_));
    return time;
  }

  NcclTime in_switch_tree() const {
    NcclTime time = in_switch();
    time.fixed += 2.0 * doublings(group_.nodes) * longer(us(links_.network_in_switch_us)) + up_and_down_sites();
    time.nic_bytes = between_nodes() / local_;
    time.nic = nic_time(between_nodes());
    return time;
  }

  NcclTime aggregated_trees() const {
    NcclTime time;
    time.nic_bytes = bytes_ * ((ranks_ - 1) / ranks_);
    time.fixed = start(0) + doublings(group_.nodes) * longer(us(links_.network_pat_us), kPatLatencyShare) +
                 doublings(group_.sites) * group_.site_hop + ranks_ * us(links_.network_pat_rank_us) + own_share();
    time.nic = nic_time(time.nic_bytes) / links_.network_pat_share.value;
    return time;
  }

  NcclTime exchange() const {
    NcclTime time;
    const Bytes share = bytes_ / ranks_;
    time.nvlink_bytes = share * (local_ - 1);
    time.nic_bytes = share * (ranks_ - local_);
    time.fixed = us(links_.exchange_launch_us);
    if (protocol_ == NcclProtocol::ll) {
      time.fixed += share / gigabytes_per_second(links_.exchange_small_GBps);
    } else {
      time.fixed += us(links_.exchange_bulk_us) +
                    filling(time.nvlink_bytes, links_.exchange_filling_us, links_.exchange_filling_MB);
    }
    time.nvlink = time.nvlink_bytes / (nvlink_ * links_.exchange_efficiency.value);
    if (group_.nodes > 1) {
      time.nic = nic_time(time.nic_bytes * local_);
      // The host hands one message after the other to the NIC; where they are long it is never behind.
      const Seconds handing = (ranks_ - local_) * us(links_.network_message_us);
      time.fixed += std::max(Seconds(0), handing - time.nic) + first_hop();
    }
    return time;
  }

  NcclTime message() const {
    NcclTime time;
    time.fixed = us(links_.message_launch_us);
    if (protocol_ == NcclProtocol::ll)
      time.fixed += bytes_ / gigabytes_per_second(links_.message_small_GBps);
    else
      time.fixed += us(links_.message_bulk_us);
    if (group_.nodes == 1) {
      time.nvlink_bytes = bytes_;
      time.nvlink = bytes_ / (nvlink_ * links_.message_efficiency.value);
    } else {
      time.nic_bytes = bytes_;
      time.nic = nic_time(bytes_);
      time.fixed += first_hop();
    }
    return time;
  }
  Seconds first_hop() const {
    return between({links_.network_ring_ll_us, links_.network_ring_ll128_us, links_.network_ring_us}) +
           std::min(1, group_.crossings) * group_.site_hop;
  }
  /// Trees are built over nodes in their order: only their topmost levels leave a site.
  Seconds up_and_down_sites() const { return 2.0 * doublings(group_.sites) * group_.site_hop; }

  NcclTime direct(double buffers, const Fitted& launch_us) const {
    NcclTime time;
    time.fixed = us(launch_us) + ranks_ * us(links_.direct_rank_us);
    time.nvlink_bytes = bytes_ * buffers;
    time.nvlink = time.nvlink_bytes / (nvlink_ * links_.direct_efficiency.value);
    return time;
  }

  NcclOp op_;
  NcclProtocol protocol_;
  const NcclGroup& group_;
  Bytes bytes_;
  const LinkCalibration& links_;
  BytesPerSecond nvlink_, nic_;
  Seconds plugin_;
  double in_switch_share_;
  double ranks_, local_;
};

constexpr NcclProtocol kProtocols[] = {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple};
constexpr NcclAlgorithm kOfNccl[] = {NcclAlgorithm::ring,      NcclAlgorithm::tree, NcclAlgorithm::nvls,
                                     NcclAlgorithm::nvls_tree, NcclAlgorithm::pat,  NcclAlgorithm::pairs};

bool is_point_to_point(NcclOp op) { return op == NcclOp::all_to_all || op == NcclOp::send_recv; }

NcclTime faster(const NcclTime& a, const NcclTime& b) { return b.total() < a.total() ? b : a; }

/// NVLinks of another rate than was measured, without the kinks at which a faster link would be slower.
NcclTime off_measured(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                      const LinkCalibration& links, BytesPerSecond measured) {
  const BytesPerSecond rate = node_link_bandwidth(cluster.node);
  const std::vector<NcclChoice> taken = nccl_choices(op, group, bytes, cluster, measured, rate);
  const auto time = [&](const NcclChoice& choice, BytesPerSecond on) {
    return Pricing(op, choice.protocol, group, bytes, cluster, links, on / rate).time(choice.algorithm);
  };
  NcclTime best = time(taken.back(), rate);
  for (const NcclChoice& choice : taken) {
    if (rate > measured)
      best = faster(best, time(choice, rate));
    else if (const NcclTime before = time(choice, choice.until); before.total() > best.total())
      best = before;
  }
  return best;
}

}  // namespace

std::string_view name(NcclOp op) {
  constexpr std::string_view names[] = {"all_reduce", "all_gather", "reduce_scatter",
                                        "broadcast",  "all_to_all", "send_recv"};
  return names[static_cast<std::size_t>(op)];
}
std::string_view name(NcclAlgorithm algorithm) {
  constexpr std::string_view names[] = {"ring", "tree", "NVLS", "NVLS tree", "PAT", "pairs", "one shot", "two shots"};
  return names[static_cast<std::size_t>(algorithm)];
}
std::string_view name(NcclProtocol protocol) {
  constexpr std::string_view names[] = {"LL", "LL128", "Simple"};
  return names[static_cast<std::size_t>(protocol)];
}

NcclGroup even_group(int nodes, int ranks_per_node, Seconds hop) {
  NcclGroup group;
  group.ranks = nodes * ranks_per_node;
  group.nodes = nodes;
  group.ranks_per_node = ranks_per_node;
  group.hop = hop;
  return group;
}

NcclTime nccl_time(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group, Bytes bytes,
                   const ClusterSpec& cluster, const LinkCalibration& links) {
  if (group.ranks < 2) return {algorithm, protocol, {}, {}, {}, {}, {}};
  return Pricing(op, protocol, group, bytes, cluster, links).time(algorithm);
}

namespace {

NcclTime choose_on_nics(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                        const LinkCalibration& links) {
  if (is_point_to_point(op)) {
    // Not tuned: NCCL sends short messages by LL and all others by Simple.
    return faster(nccl_time(op, NcclAlgorithm::pairs, NcclProtocol::simple, group, bytes, cluster, links),
                  nccl_time(op, NcclAlgorithm::pairs, NcclProtocol::ll, group, bytes, cluster, links));
  }
  if (group.ranks < 2) return {NcclAlgorithm::ring, NcclProtocol::simple, {}, {}, {}, {}, {}};
  if (const BytesPerSecond measured = nccl_measured_rate(cluster.node.gpu);
      measured != node_link_bandwidth(cluster.node))
    return off_measured(op, group, bytes, cluster, links, measured);
  NcclAlgorithm algorithm = NcclAlgorithm::ring;
  NcclProtocol protocol = NcclProtocol::simple;
  Seconds least(INFINITY);
  for (const NcclAlgorithm a : kOfNccl)
    for (const NcclProtocol p : kProtocols) {
      if (!nccl_offers(op, a, p, group, cluster.node)) continue;
      const Seconds expected = nccl_estimate(op, a, p, group, bytes, cluster);
      if (expected >= least) continue;
      least = expected;
      algorithm = a;
      protocol = p;
    }
  return nccl_time(op, algorithm, protocol, group, bytes, cluster, links);
}

/// NICs of a GPU behind the fit of collectives over nodes: those of boards of A100, and of boards after it.
constexpr BytesPerSecond kSlowestNic(25e9), kFastestNic(50e9);

}  // namespace

NcclTime choose_nccl(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                     const LinkCalibration& links) {
  NcclTime time = choose_on_nics(op, group, bytes, cluster, links);
  const BytesPerSecond rate = endpoint_bandwidth(cluster);
  if (group.nodes < 2 || is_point_to_point(op)) return time;
  ClusterSpec other = cluster;
  const auto at = [&](BytesPerSecond nics) {
    other.node.nic_bandwidth = cluster.node.nic_bandwidth * (nics / rate);
    return choose_on_nics(op, group, bytes, other, links);
  };
  // Beyond what was measured NCCL's estimate and our fit change places at different rates: slower NICs are never faster
  // than those just before a change of what it takes, nor faster ones slower than those just behind one.
  if (rate < kSlowestNic) {
    for (const NcclChoice& choice : nccl_choices_by_nic(op, group, bytes, cluster, kSlowestNic, rate)) {
      if (choice.until <= rate) break;
      if (const NcclTime before = at(choice.until * (1 + 1e-9)); before.total() > time.total()) time = before;
    }
  }
  const bool ampere = cluster.node.gpu.architecture == "ampere";
  if (const BytesPerSecond most = ampere ? kSlowestNic : kFastestNic; rate > most) {
    for (const NcclChoice& choice : nccl_choices_by_nic(op, group, bytes, cluster, rate, most)) {
      if (choice.until <= most) break;
      if (const NcclTime behind = at(choice.until * (1 - 1e-9)); behind.total() < time.total()) time = behind;
    }
  }
  return time;
}

NcclTime direct_all_reduce(const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                           const LinkCalibration& links) {
  assert(group.nodes == 1);
  const auto time = [&](NcclAlgorithm algorithm) {
    return nccl_time(NcclOp::all_reduce, algorithm, NcclProtocol::simple, group, bytes, cluster, links);
  };
  return faster(time(NcclAlgorithm::one_shot), time(NcclAlgorithm::two_shot));
}

}  // namespace flopcast
