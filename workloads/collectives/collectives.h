// Collectives as flows per port: what each rank sends and receives, not who sends to whom. On a non-blocking fabric
// this is exact for balanced traffic, and each rank costs a handful of flows instead of one per peer.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "sim/graph.h"

namespace flopcast {

/// A collective lowered for one rank: what its lane has to move, after which fixed time.
struct PortTransfer {
  Seconds latency;
  std::vector<Flow> flows;
};

/// Everything a collective needs to know. `ranks` in ring order; `bytes` as the operation defines them.
struct CollectiveRequest {
  std::span<const RankId> ranks;
  Bytes bytes;  ///< all_reduce, reduce_scatter: the buffer of one rank; all_gather: the gathered buffer; broadcast:
                ///< what is sent to everyone; all_to_all: what one rank sends in total, its own share included
  const LinkCalibration* links = nullptr;  ///< null: links at their full rate, no step latency beyond the fabric's
  /// Positions in `ranks` whose transfers are wanted; empty: all. Of a group of thousands a folded step replays one,
  /// and rows of NCCL leave those of the others empty.
  std::span<const std::size_t> wanted = {};
};

/// One phase of a collective for every rank, in the order of CollectiveRequest::ranks. Phases follow each other.
using CollectivePhase = std::vector<PortTransfer>;

struct CollectiveRow {
  std::string_view name;
  std::string_view title;
  std::string_view closed_form;  ///< for people: "2 (n-1)/n S / B"
  std::vector<CollectivePhase> (*lower)(Topology&, const CollectiveRequest&);
  /// The contention-free time on ports of bandwidth B, one GPU per node, without latency.
  Seconds (*closed_form_time)(int ranks, Bytes bytes, BytesPerSecond port);
};
std::span<const CollectiveRow> collectives();
const CollectiveRow* find_collective(std::string_view name);

/// One message from GPU to GPU: NVLink within a node, the NICs between nodes.
PortTransfer point_to_point(Topology& topology, RankId from, RankId to, Bytes bytes, const LinkCalibration* links);

/// All-to-all, where `load` is how much each rank receives relative to the mean; empty = alike.
CollectivePhase all_to_all_by_ports(Topology& topology, const CollectiveRequest& request, std::span<const double> load);

/// Puts a collective on a graph, one transfer per rank and phase on lanes[i]. It starts when every lane has ended what
/// was put on it before, and each phase when all ranks have ended the one before.
/// @return the join after the last phase.
OpId append_collective(GraphBuilder& graph, std::span<const LaneId> lanes, std::span<const CollectivePhase> phases,
                       Label label = {});

/// A graph of `copies` equal collectives at once over the first `ranks` GPUs, each on lanes of its own.
OperationGraph make_collective_graph(Topology& topology, const CollectiveRow& row, Bytes bytes, int ranks, int copies,
                                     const LinkCalibration* links);

/// Bytes that one rank moves in expert dispatch or combine.
struct ExpertTraffic {
  Bytes nic_out, nic_in;        ///< between nodes; a token goes once to each remote node it needs
  Bytes nvlink_out, nvlink_in;  ///< within nodes, forwarding included
};

/// Where the tokens of an expert-parallel group go, per rank. Tokens choose `groups_per_token` of `groups` expert
/// groups, then `experts_per_token` experts inside them (DeepSeek's node-limited routing); duplicates to one node
/// travel once.
struct RoutingRequest {
  int ranks = 1;  ///< expert-parallel size
  int ranks_per_node = 8;
  int experts = 1;
  int experts_per_token = 1;
  int groups = 1;
  int groups_per_token = 1;
  std::int64_t tokens_per_rank = 0;
  Bytes bytes_per_token;          ///< payload with scales
  std::vector<double> rank_load;  ///< relative expert load per rank, mean 1; empty = balanced
};
std::vector<ExpertTraffic> expert_traffic(const RoutingRequest& request);
/// Expected number of distinct nodes (own included) and distinct ranks that a token reaches.
double expected_nodes(const RoutingRequest& request);
double expected_ranks(const RoutingRequest& request);

/// Loads per expert -> load per rank (mean 1), expert e on rank e / (experts per rank); EPLB with redundant experts is
/// in eplb.h.
std::vector<double> rank_loads(std::span<const double> expert_loads, int ranks);
/// The most that an expert, and so a rank, can get over the mean: a token goes to different experts, to each once.
double most_of_mean(int experts, int experts_per_token);
/// Loads none of which is above `most` times their mean: what is cut goes to the others, in proportion to theirs.
std::vector<double> cut_loads(std::vector<double> loads, double most);

}  // namespace flopcast
