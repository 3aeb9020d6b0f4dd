// Collectives and messages of traces as flows.
#pragma once
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "workloads/chakra/matching.h"
#include "workloads/collectives/collectives.h"

namespace flopcast {

/// One collective over `ranks` as phases of flows. `bytes`: what a rank hands in.
std::vector<CollectivePhase> lower_chakra_collective(Topology& topology, CommKind kind,
                                                     const std::vector<RankId>& ranks, Bytes bytes, std::size_t root,
                                                     const LinkCalibration* links);

/// How long it takes where its flows meet nobody.
Seconds time_alone(const Network& network, const PortTransfer& transfer);

struct LoweredCollective {
  std::vector<CollectivePhase> phases;
  Seconds alone;
};

/// What a job's ranks tell each other; equal collectives of a group are lowered once.
class JobLowering {
 public:
  /// @param links null: links at their full rate.
  JobLowering(const ChakraJob& job, Topology& topology, const LinkCalibration* links)
      : job_(job), topology_(topology), links_(links) {}
  const LoweredCollective& of(const MatchedCollective& collective);
  PortTransfer of(const MatchedMessage& message);

 private:
  const ChakraJob& job_;
  Topology& topology_;
  const LinkCalibration* links_;
  std::map<std::tuple<std::uint32_t, CommKind, std::uint32_t, double>, std::unique_ptr<LoweredCollective>> lowered_;
};

}  // namespace flopcast
