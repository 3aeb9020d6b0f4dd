// NCCL's collectives: which algorithm and protocol it takes for a message of a given size, how long that
// takes alone, and the flows it puts on the ports.
//
// Two models, kept apart as NCCL keeps them:
//   * The choice is NCCL's own: it takes what its published tuning model expects to be fastest
//     (nccl_tuner.cc), wrong as that model may be, for its errors show in measured curves as kinks. On NVLinks of
//     another rate than the measured boards have, a kink must not turn the sign of a what-if: a faster link is never
//     slower. Above the measured rate the fastest of what NCCL takes from there up to the rate in question is taken;
//     below it, NCCL's choice, which is never faster than what it takes on the links between.
//   * The time of what was chosen is fitted on measured tables (hwmodels/fabric/link_calibration.h). With n ranks, g
//   of
//     them in each of N nodes, S bytes and B the NVLink rate of a port:
//
//       time = fixed + max(bytes on the NVLink port / rate, bytes on the NIC / rate)
//       fixed = launch + hops within nodes x step + hops between nodes x network step + filling + own copy
//       rings and trees over nodes: + network_exposed x the shorter of the two
//
//       algorithm   hops within     between      NVLink port          NIC
//       ring        k(n-1)-k(N-1)   k(N-1)       W (N = 1), W(g-1)/g  W/g       k = 2 for all-reduce, else 1;
//       tree        2(g-1)          2 log2 N     2S                   2S/g      W = k(n-1)/n S
//       nvls        -               -            S(1+1/g)             -
//       nvls_tree   -               2 log2 N     S(1+1/g)             2S/g      S/g when N = 2, and so for
//       trees pat         -               log2 N, n    -                    (N-1)/N S pairs       1 1
//       S(g-1)/n             S(n-g)/n
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "hwmodels/fabric/link_calibration.h"
#include "workloads/collectives/collectives.h"

namespace flopcast {

/// `bytes` of each as in CollectiveRequest; of send_recv: what the first rank sends to the second.
enum class NcclOp { all_reduce, all_gather, reduce_scatter, broadcast, all_to_all, send_recv };

enum class NcclAlgorithm {
  ring,       ///< one ring per NIC of a node
  tree,       ///< chains within nodes, two binary trees between them
  nvls,       ///< one node, reduced and multicast by its NVSwitches (NVLink SHARP)
  nvls_tree,  ///< NVSwitches within nodes, two binary trees between them
  pat,        ///< parallel aggregated trees: one rank per node
  pairs,      ///< every pair exchanges its own messages
  one_shot,   ///< serving engines, not NCCL: every rank reads and adds all buffers
  two_shot,   ///< serving engines, not NCCL: every rank reads and adds its share of all, then reads the sums
};

/// How a receiver learns that data has come.
enum class NcclProtocol {
  ll,      ///< a flag beside every 4 bytes: lowest latency, half the rate
  ll128,   ///< a flag beside every 120 bytes
  simple,  ///< a fence after each chunk: full rate
};

std::string_view name(NcclOp op);
std::string_view name(NcclAlgorithm algorithm);
std::string_view name(NcclProtocol protocol);

/// How a group of ranks lies on its nodes.
struct NcclGroup {
  int ranks = 1;
  int nodes = 1;
  int ranks_per_node = 1;  ///< of the node that has the fewest: as many rings and trees run side by side
  Seconds hop;             ///< the fabric's latency between nodes of a site; no network step is shorter
  int sites = 1;
  int crossings = 0;  ///< of a ring's hops between nodes, those from one site to another
  Seconds site_hop;   ///< what such a hop takes longer
};
/// Equal shares of `nodes` nodes.
NcclGroup even_group(int nodes, int ranks_per_node, Seconds hop = {});
NcclGroup group_of(const Topology& topology, std::span<const RankId> ranks);

struct NcclTime {
  NcclAlgorithm algorithm = NcclAlgorithm::ring;
  NcclProtocol protocol = NcclProtocol::simple;
  Seconds fixed;                  ///< what no port shortens: launch, hops, filling, copies
  Seconds nvlink, nic;            ///< a rank's traffic on its ports, alone; they run at once
  Bytes nvlink_bytes, nic_bytes;  ///< a rank's traffic, per direction
  Seconds total() const { return fixed + (nvlink > nic ? nvlink : nic); }
};

/// Can NCCL run this operation so, on such nodes?
bool nccl_offers(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group,
                 const NodeSpec& node);
/// The time NCCL's tuning model expects; messages and all-to-all have no such model.
Seconds nccl_estimate(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group, Bytes bytes,
                      const ClusterSpec& cluster);
/// The time of one algorithm and protocol, alone on its ports.
NcclTime nccl_time(NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group, Bytes bytes,
                   const ClusterSpec& cluster, const LinkCalibration& links);
/// Rate of NVLink SHARP over NVLink's on the GPU's generation, over that of Hopper, where it was measured: NCCL's tuner
/// counts on 0.85 there and on 0.74 on Blackwell.
double in_switch_share(const GpuSpec& gpu);
/// Of a network's latency, what each doubling of parallel aggregated trees takes.
constexpr double kPatLatencyShare = 1 / 3.5;
/// NVLink of a GPU, per direction, on the boards of its generation on which NCCL was measured.
BytesPerSecond nccl_measured_rate(const GpuSpec& gpu);
/// What NCCL's tuning model takes on the way from one NVLink rate to another, up or down, in that order.
struct NcclChoice {
  NcclAlgorithm algorithm;
  NcclProtocol protocol;
  BytesPerSecond until;  ///< the rate at which the next choice begins; of the last one where the way ends
};
std::vector<NcclChoice> nccl_choices(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                                     BytesPerSecond from, BytesPerSecond to);
/// The same for rates of the NICs of a GPU together (endpoint_bandwidth), NVLinks as they are.
std::vector<NcclChoice> nccl_choices_by_nic(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                                            BytesPerSecond from, BytesPerSecond to);
/// The time of what NCCL takes, never longer on a faster NVLink or a faster NIC (see above).
NcclTime choose_nccl(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                     const LinkCalibration& links);
/// All-reduce of the serving engines within a node, in one shot or two, whichever is faster.
NcclTime direct_all_reduce(const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster,
                           const LinkCalibration& links);

/// The flows of `time` for every rank, in the order of `ranks`. Alone on healthy ports they take
/// time.total(). Rings, trees and planes join GPUs of the same index in different nodes where the group has
/// them.
/// @param wanted positions whose flows are asked for; those of others may be left empty. Empty: all.
CollectivePhase lower_nccl(Topology& topology, NcclOp op, std::span<const RankId> ranks, Bytes bytes,
                           const NcclTime& time, std::span<const std::size_t> wanted = {});

}  // namespace flopcast
