// NCCL's tuning model: what NCCL expects of each algorithm and protocol, from which it chooses. The formulas
// and numbers are those of NVIDIA/nccl, src/graph/tuning.cc, as of NCCL 2.27 (2025): decisions of a program,
// not measurements. A library version with other numbers chooses otherwise.
#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <span>
#include <string_view>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/collectives/nccl.h"

namespace flopcast {
namespace {

struct PerProtocol {
  double ll, ll128, simple;
  double of(NcclProtocol p) const { return p == NcclProtocol::ll ? ll : p == NcclProtocol::ll128 ? ll128 : simple; }
};

// Latencies in microseconds.
constexpr PerProtocol kLaunchTree{6.8, 14.0, 8.4}, kLaunchRing{6.6, 14.0, 8.4};
constexpr PerProtocol kNvlinkTree{0.6, 1.25, 4.0}, kNvlinkRing{0.6, 1.9, 3.4};
constexpr PerProtocol kNetTree{5.0, 8.5, 14.0}, kNetRing{2.7, 4.0, 14.0};
constexpr double kNvlinkNvls = 25, kNetNvlsTree = 20.9;
constexpr double kLaunchPat = 8, kNetPat = 14.0 / 3.5, kPatPerRank = 2.8;
constexpr double kNetOverhead = 1.0;  // x3 with Simple: a hop in a ring over nodes takes no less
constexpr double kPlateau = 1.4;      // of rings that reduce over nodes, once all channels are full

/// Speeds of a channel that NCCL's search tries, fastest first, GB/s (NVIDIA/nccl, src/graph/search.cc,
/// sm90SpeedArrayIntra and sm100SpeedArrayIntra, 2.28).
constexpr double kHopperSpeeds[] = {60, 50, 40, 30, 24, 20, 15, 12, 11, 6, 3};
constexpr double kBlackwellSpeeds[] = {90, 80, 70, 60, 50, 45, 40, 30, 24, 20, 19, 18};

/// Bandwidths in GB/s, by generation of GPU.
struct Generation {
  std::string_view architecture;
  double measured;         ///< NVLink per GPU and direction of the boards on which choice and times were measured
  double most_ll;          ///< LL in one node
  double nvls_efficiency;  ///< zero: no NVLink SHARP
  double nvls_tree_pair;   ///< per channel: two nodes
  double nvls_tree_many;   ///< per channel: more
  std::span<const double> speeds = kHopperSpeeds;
};
constexpr Generation kGenerations[] = {{"ampere", 300, 87.7, 0, 0, 0},
                                       {"hopper", 450, 141, 0.85, 57.7, 45.5},
                                       {"blackwell", 900, 282, 0.74, 96, 80, kBlackwellSpeeds}};
constexpr double kMostLlPair = 39.0, kMostLlMany = 20.4;  // LL over nodes (Intel hosts)

/// NCCL counts on four fifths of NVLink (360 of 450 GB/s: 18 links of 20.6 GB/s, rounded down by its search),
/// and on 48 of the 50 GB/s of a 400G NIC.
constexpr double kNvlinkShare = 0.8, kNicShare = 0.96;

/// Of NVLink, what NCCL's search leaves a channel of NVLS: there is one for each GPU of a node, which takes twice as
/// much on that GPU's port as on the others', and it has one of the speeds that are tried. With eight H100 40 GB/s,
/// with five 60, so that NVLS pays from five GPUs on.
double nvls_channel_share(const Generation& generation, double gpus) {
  const double most = kNvlinkShare * generation.measured / (gpus + 1);
  for (const double speed : generation.speeds)
    if (speed <= most) return speed / generation.measured;
  return most / generation.measured;
}

/// Trees reach less at middling sizes: by powers of two from 64 B.
constexpr double kTreeShare[3][23] = {
    {1., 1., 1., 1., .9, .8, .7, .7, .7, .7, .6, .5, .4, .4, .5, .6, .7, .8, .9, 1., 1., 1., 1.},
    {1., 1., 1., 1., 1., .9, .8, .8, .8, .7, .6, .6, .6, .6, .6, .6, .8, .9, .9, .9, .9, 1., 1.},
    {.9, .9, .9, .9, .9, .9, .9, .8, .7, .6, .6, .5, .5, .5, .5, .6, .7, .8, .7, .7, .8, .9, .9}};

double tree_share(NcclProtocol protocol, Bytes bytes) {
  const auto units = static_cast<std::uint64_t>(std::max(1.0, bytes.value() / 64));
  const auto power = std::min<std::size_t>(22, static_cast<std::size_t>(std::bit_width(units) - 1));
  return kTreeShare[static_cast<std::size_t>(protocol)][power];
}

const Generation& generation_of(const GpuSpec& gpu) {
  for (const Generation& g : kGenerations)
    if (g.architecture == gpu.architecture) return g;
  return kGenerations[1];
}

int floor_log2(int n) { return static_cast<int>(std::bit_width(static_cast<unsigned>(n))) - 1; }

/// What the model knows of a group.
struct View {
  View(const NcclGroup& group, const ClusterSpec& cluster, BytesPerSecond link)
      : ranks(group.ranks),
        nodes(group.nodes),
        local(group.ranks_per_node),
        generation(generation_of(cluster.node.gpu)),
        nvlink(link / 1_GBps),
        within(kNvlinkShare * nvlink),
        nics(kNicShare * local * (endpoint_bandwidth(cluster) / 1_GBps)),
        plugin_us(cluster.fabric.plugin_latency.value() * 1e6) {}
  /// What a plugin's latency adds to a hop between nodes.
  double further_us(NcclProtocol p) const { return plugin_us * (p == NcclProtocol::simple ? 2 : 1); }
  double most_ll() const { return nodes == 1 ? generation.most_ll : nodes == 2 ? kMostLlPair : kMostLlMany; }
  double ranks;
  int nodes;
  double local;
  const Generation& generation;
  double nvlink;  ///< of a GPU
  double within;  ///< what rings and trees get of it
  double nics;    ///< of a node, between nodes
  double plugin_us;
};

struct Expected {
  double latency_us, GBps;  ///< of the algorithm: buffer bytes over time
};

double ring_steps(NcclOp op, double ranks) {
  return op == NcclOp::all_reduce ? 2 * (ranks - 1) : op == NcclOp::broadcast ? ranks : ranks - 1;
}

Expected ring(NcclOp op, NcclProtocol p, const View& v, Bytes bytes) {
  const double steps = ring_steps(op, v.ranks);
  double bus = v.nodes == 1 ? v.within : std::min(v.within, v.nics);
  if (p == NcclProtocol::ll) bus = std::min(v.most_ll(), bus * 0.5);
  if (p == NcclProtocol::ll128) bus *= 0.92;
  double latency = kLaunchRing.of(p);
  if (v.nodes == 1) {
    latency += steps * kNvlinkRing.of(p);
  } else {
    const double overhead = kNetOverhead * (p == NcclProtocol::simple ? 3 : 1);
    const double between = (v.local == 1 ? kNetTree.of(p) : kNetRing.of(p)) + v.further_us(p);
    const double net_steps = (op == NcclOp::all_reduce ? 2 : 1) * (v.nodes - 1);
    latency += (steps - net_steps) * std::max(kNvlinkRing.of(p), overhead) + net_steps * between;
    const bool full = bytes.value() >= v.ranks / 16 * 65536;
    if (p == NcclProtocol::simple && op == NcclOp::all_reduce && full) latency *= kPlateau;
  }
  return {latency, bus * v.ranks / steps};
}

Expected tree(NcclProtocol p, const View& v, Bytes bytes) {
  // Between two nodes each sends its half once: half the traffic of more. (Two nodes of A100 with 50 GB/s each reach
  // bus bandwidths of 57 and 78 GB/s, more than a ring can; a third pair, with 100 GB/s each, a ring's 86.)
  double bus = 0.92 * (v.nodes == 1 ? v.within : std::min(v.within, v.nics * (v.nodes == 2 ? 2 : 1)));
  if (p == NcclProtocol::ll) bus = std::min(bus / 3.8, v.most_ll());
  if (p == NcclProtocol::ll128) bus *= v.nodes == 1 ? 7.0 / 9 : 120.0 / 128;
  const double latency = kLaunchTree.of(p) + 2 * ((v.local - 1) * kNvlinkTree.of(p) +
                                                  floor_log2(v.nodes) * (kNetTree.of(p) + v.further_us(p)));
  return {latency, 0.5 * bus * tree_share(p, bytes)};
}

Expected nvls(const View& v, bool over_nodes) {
  const double channels = v.local;
  double per_channel = nvls_channel_share(v.generation, channels) * v.nvlink * v.generation.nvls_efficiency *
                       (channels - 1) / channels * 2;
  double latency = kNvlinkNvls;
  if (over_nodes) {
    const bool pair = v.nodes == 2;
    per_channel = std::min({per_channel, v.nics / channels * (pair ? 2 : 1),
                            pair ? v.generation.nvls_tree_pair : v.generation.nvls_tree_many});
    latency += 2 * floor_log2(v.nodes) * (kNetNvlsTree + v.further_us(NcclProtocol::simple));
  }
  return {latency, channels * per_channel * v.ranks / ring_steps(NcclOp::all_reduce, v.ranks)};
}

Expected pat(const View& v) {
  const double hop = kNetPat + v.further_us(NcclProtocol::simple) * kPatLatencyShare;
  return {kLaunchPat + floor_log2(v.nodes) * hop + v.ranks * kPatPerRank, 0.75 * std::min(v.within, v.nics)};
}

Expected expected_of(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const View& view, Bytes bytes) {
  switch (algorithm) {
    case NcclAlgorithm::tree:
      return tree(protocol, view, bytes);
    case NcclAlgorithm::nvls:
      return nvls(view, false);
    case NcclAlgorithm::nvls_tree:
      return nvls(view, true);
    case NcclAlgorithm::pat:
      return pat(view);
    default:
      return ring(op, protocol, view, bytes);
  }
}

constexpr NcclProtocol kTunedProtocols[] = {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple};
constexpr NcclAlgorithm kTunedAlgorithms[] = {NcclAlgorithm::ring, NcclAlgorithm::tree, NcclAlgorithm::nvls,
                                              NcclAlgorithm::nvls_tree, NcclAlgorithm::pat};

/// What is expected of one algorithm and protocol on NVLinks, or NICs, of any rate: every bandwidth above is the
/// smaller of one that grows with that rate and one that does not, so a time is latency + max(slowness * slope, floor)
/// with slowness = 1 / rate in s/GB, and two of them cross where straight lines do.
struct Expectation {
  NcclAlgorithm algorithm;
  NcclProtocol protocol;
  double latency_us, slope, floor_us;
  double at(double slowness) const { return latency_us + std::max(slowness * slope, floor_us); }
  double bend() const { return floor_us / slope; }
};

/// @param slow, fast the links at rates far beyond any bend. @param crawl the rate of `slow` in GB/s
std::vector<Expectation> expectations(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                                      const View& slow, const View& fast, double crawl) {
  std::vector<Expectation> list;
  for (const NcclAlgorithm a : kTunedAlgorithms)
    for (const NcclProtocol p : kTunedProtocols) {
      if (!nccl_offers(op, a, p, group, cluster.node)) continue;
      const Expected crawling = expected_of(op, a, p, slow, bytes);
      if (crawling.GBps <= 0) continue;        // a generation whose switches do not reduce
      const double us = bytes.value() * 1e-3;  // over GB/s
      list.push_back(
          {a, p, crawling.latency_us, us / (crawling.GBps / crawl), us / expected_of(op, a, p, fast, bytes).GBps});
    }
  return list;
}

/// Where `other` becomes the faster one on the way from one slowness to another; nothing if it does not.
std::optional<double> crossing(const Expectation& current, const Expectation& other, double from, double to) {
  std::array<double, 4> stops{from, current.bend(), other.bend(), to};
  const auto [low, high] = std::minmax(from, to);
  for (std::size_t i : {1, 2}) stops[i] = std::clamp(stops[i], low, high);
  if ((stops[1] < stops[2]) != (from < to)) std::swap(stops[1], stops[2]);
  const auto behind = [&](double slowness) { return other.at(slowness) - current.at(slowness); };
  for (std::size_t i = 0; i + 1 < stops.size(); ++i) {
    const double end = behind(stops[i + 1]);
    if (end >= -1e-12 * current.at(stops[i + 1])) continue;
    const double start = std::max(0.0, behind(stops[i]));
    return stops[i] + (stops[i + 1] - stops[i]) * (start / (start - end));
  }
  return std::nullopt;
}

}  // namespace

double in_switch_share(const GpuSpec& gpu) {
  const double measured = kGenerations[1].nvls_efficiency, own = generation_of(gpu).nvls_efficiency;
  return own > 0 ? own / measured : 1;
}

BytesPerSecond nccl_measured_rate(const GpuSpec& gpu) { return BytesPerSecond(generation_of(gpu).measured * 1e9); }

namespace {

std::vector<NcclChoice> taken_between(const std::vector<Expectation>& all, BytesPerSecond from, BytesPerSecond to) {
  assert(!all.empty());
  double here = 1_GBps / from;
  const double end = 1_GBps / to;
  const Expectation* current = &all.front();
  for (const Expectation& one : all)
    if (one.at(here) < current->at(here)) current = &one;
  std::vector<NcclChoice> taken;
  while (taken.size() < 64) {  // lines with one bend each cross far less often
    const Expectation* next = nullptr;
    double there = end;
    for (const Expectation& other : all) {
      if (&other == current) continue;
      const std::optional<double> at = crossing(*current, other, here, end);
      if (!at || (next != nullptr && std::abs(*at - here) >= std::abs(there - here))) continue;
      there = *at;
      next = &other;
    }
    taken.push_back({current->algorithm, current->protocol, next == nullptr ? to : 1_GBps / there});
    if (next == nullptr) break;
    current = next;
    here = there;
  }
  return taken;
}

}  // namespace

std::vector<NcclChoice> nccl_choices(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                                     BytesPerSecond from, BytesPerSecond to) {
  constexpr double kSlow = 1e-6, kFast = 1e12;  // GB/s, far beyond any bend
  const View slow(group, cluster, BytesPerSecond(kSlow * 1e9)), fast(group, cluster, BytesPerSecond(kFast * 1e9));
  return taken_between(expectations(op, group, bytes, cluster, slow, fast, kSlow), from, to);
}

std::vector<NcclChoice> nccl_choices_by_nic(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                                            BytesPerSecond from, BytesPerSecond to) {
  constexpr double kSlow = 1e-9, kFast = 1e9;  // of the cluster's own
  const auto with_nics = [&](double by) {
    ClusterSpec other = cluster;
    other.node.nic_bandwidth *= by;
    return View(group, other, node_link_bandwidth(cluster.node));
  };
  const double rate = endpoint_bandwidth(cluster) / 1_GBps;
  return taken_between(expectations(op, group, bytes, cluster, with_nics(kSlow), with_nics(kFast), kSlow * rate), from,
                       to);
}

bool nccl_offers(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group,
                 const NodeSpec& node) {
  const bool simple = protocol == NcclProtocol::simple;
  const bool all_reduce = op == NcclOp::all_reduce;
  const bool to_peers = op == NcclOp::all_to_all || op == NcclOp::send_recv;
  const bool in_switch = all_reduce && simple && node.in_switch_reduction && group.ranks_per_node > 2;
  switch (algorithm) {
    case NcclAlgorithm::ring:
      return !to_peers;
    case NcclAlgorithm::tree:
      return all_reduce;
    case NcclAlgorithm::nvls:
      return in_switch && group.nodes == 1;
    case NcclAlgorithm::nvls_tree:
      return in_switch && group.nodes > 1;
    case NcclAlgorithm::pat:
      return (op == NcclOp::all_gather || op == NcclOp::reduce_scatter) && simple && group.nodes > 1 &&
             group.ranks == group.nodes;
    case NcclAlgorithm::pairs:
      return to_peers && protocol != NcclProtocol::ll128;
    case NcclAlgorithm::one_shot:
    case NcclAlgorithm::two_shot:
      break;  // not NCCL's
  }
  return false;
}

Seconds nccl_estimate(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group, Bytes bytes,
                      const ClusterSpec& cluster) {
  assert(nccl_offers(op, algorithm, protocol, group, cluster.node) && algorithm != NcclAlgorithm::pairs);
  const View view(group, cluster, node_link_bandwidth(cluster.node));
  const Expected expected = expected_of(op, algorithm, protocol, view, bytes);
  return Seconds(expected.latency_us * 1e-6) + bytes / BytesPerSecond(expected.GBps * 1e9);
}

}  // namespace flopcast
