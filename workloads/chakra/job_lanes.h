// The lanes of a job's ranks: work of one kind and stream, one node at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <string>
#include <tuple>
#include <vector>

#include "sim/graph.h"
#include "workloads/chakra/matching.h"

namespace flopcast {

struct JobLane {
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;  // nodes; first in file first
  int rank = 0;
  bool busy = false;
};

class JobLanes {
 public:
  /// @param stated streams are this program's own, as its traces state them
  JobLanes(const ChakraJob& job, bool stated, GraphBuilder& graph) : job_(job), stated_(stated), graph_(graph) {}
  JobLane& operator[](LaneId lane) { return lanes_[lane.index()]; }
  LaneId of(NodeRef node);
  /// Where a rank takes part in the collectives of a group.
  LaneId of_group(int rank, std::uint32_t group);

 private:
  /// What a lane does.
  enum class Kind { compute, host, memory, storage, group };
  LaneId stated(int rank, std::int64_t stream);
  LaneId add(int rank, std::string called);

  const ChakraJob& job_;
  const bool stated_;
  GraphBuilder& graph_;
  std::vector<JobLane> lanes_;  // by LaneId
  std::map<std::tuple<int, Kind, std::int64_t>, LaneId> ids_;
};

}  // namespace flopcast
