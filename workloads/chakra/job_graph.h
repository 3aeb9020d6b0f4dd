// A Chakra job as an operation graph on a cluster: nodes priced, communication lowered to flows, an order for what
// shares a stream.
//
// What a rank does one thing at a time: nodes of one stream of the GPU, of one thread of the host, transfers of the
// memory beside the GPU, collectives of one communicator. Everything else goes on at once, contention included. Which
// of several nodes that could start on a stream does so is what the traces leave open: the one that stands first in the
// file among those that are ready when the stream is free. That is found by a replay without contention, whose order
// the graph then has.
#pragma once
#include <string>
#include <vector>

#include "hwmodels/chips/precision.h"
#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "sim/graph.h"
#include "workloads/chakra/matching.h"

namespace flopcast {

/// How long nodes take that are no communication.
enum class NodePricing {
  automatic,  ///< as recorded, and by the roofline where no time was recorded
  recorded,   ///< as recorded; no time where there is none
  roofline,   ///< by the roofline; as recorded where neither FLOP nor bytes are stated, and on the host
};

struct JobPrices {
  NodePricing pricing = NodePricing::automatic;
  Precision precision = Precision::bf16;  ///< whose peak the roofline has
  /// Null: links at the rates of their data sheets (replay_chakra), rings, no launch times.
  const LinkCalibration* links = nullptr;
  /// The cluster in a text. Traces that the program wrote for it (RankTrace::cluster) are replayed with the times and
  /// flows that they state, where pricing is automatic and links are measured.
  std::string cluster = {};
};

/// Kinds of operations: labels of the graph.
enum class JobOp : std::uint16_t { compute, host, load, store, storage, message, join, collective };
/// Names by Label::kind: JobOp, with collectives by CommKind in place of one.
const std::vector<std::string>& job_op_names();
JobOp job_op(const Label& label);

struct JobGraph {
  OperationGraph graph;
  std::vector<NodeRef> source;  ///< by operation: the node it comes from; rank -1 for joins
  Seconds uncontended;          ///< the replay that gave the order
  std::vector<std::string> notes;
};

/// @param topology of a cluster with at least as many GPUs as the job has ranks; rank r runs on GPU r.
/// @throws InputError when ranks wait for each other in a circle.
JobGraph build_job_graph(const ChakraJob& job, const MatchedJob& matched, Topology& topology, const JobPrices& prices);

}  // namespace flopcast
