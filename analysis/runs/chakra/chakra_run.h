// Replays a job of execution traces (Chakra) on a cluster: from traces to a report.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "analysis/runs/training/replays.h"
#include "workloads/chakra/job_graph.h"

namespace flopcast {

/// What a rank did, in times of its own; parts other than `idle` may overlap.
struct ChakraRankShare {
  Seconds end;            ///< of its last node
  Seconds compute;        ///< some stream of its GPU is busy
  Seconds communication;  ///< something that it sends or receives is on its way
  Seconds exposed;        ///< of that, while its GPU does not compute
  Seconds host, memory;   ///< its host, its loads and stores and storage are busy
  Seconds idle;           ///< none of these
};

/// Operations of a kind.
struct ChakraKindShare {
  std::string kind;  ///< job_op_names()
  std::uint64_t operations = 0;
  Bytes bytes;
  Seconds time;  ///< summed
};

struct ChakraReport {
  std::string source;
  ClusterSpec cluster;
  int ranks = 0;
  std::uint64_t nodes = 0;
  Seconds time, uncontended;
  RunFacts run;
  std::vector<ChakraRankShare> shares;  ///< by rank
  std::vector<ChakraKindShare> kinds;   ///< those that there are
  std::vector<LinkLoad> links;          ///< the busiest
  std::vector<std::string> notes;
};

/// What one may look at after the replay.
struct ChakraReplay {
  ChakraReport report;
  JobGraph graph;
  std::unique_ptr<SpanSink> spans;
};

/// A text that is the same for clusters on which equal flows take equal times (JobPrices::cluster).
std::string chakra_cluster_text(const ClusterSpec& cluster);

/// @throws InputError when the cluster has too few GPUs, and as workloads/chakra/matching.h and job_graph.h.
ChakraReplay replay_chakra(const ChakraJob& job, const ClusterSpec& cluster, const JobPrices& prices,
                           const RunOptions& options);

}  // namespace flopcast
