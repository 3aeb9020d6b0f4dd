// The work of one replay as an immutable graph of operations.
//
// Three kinds: *compute* holds a lane for a known time; *transfer* pays a latency, then moves one or more flows over
// the network at once and ends with the last of them; *join* takes no time (a barrier). An operation starts when all
// its predecessors have ended. Lanes are exclusive: the builder chains the operations of a lane in the order in
// which they were added.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/base/ids.h"
#include "sim/base/units.h"

namespace flopcast {

enum class OpKind : std::uint8_t { compute, transfer, join };

/// What an operation is, for timelines and reports. The meaning of the fields belongs to whoever built the graph.
struct Label {
  std::uint16_t kind = 0;         ///< index into OperationGraph::kind_names()
  std::uint16_t stage = 0;        ///< pipeline stage
  std::uint16_t micro_batch = 0;  ///< micro-batch
  std::uint16_t layer = 0;        ///< layer within the model
};

/// Part of a transfer: `bytes` over `route`.
struct Flow {
  RouteId route;
  Bytes bytes;
};

/// Compressed adjacency of operations. Built once, read by every backend; ~40 bytes per operation and flow.
class OperationGraph {
 public:
  std::size_t size() const { return kind_.size(); }
  std::size_t lane_count() const { return lane_names_.size(); }
  OpKind kind(OpId op) const { return kind_[op.index()]; }
  LaneId lane(OpId op) const { return lane_[op.index()]; }  ///< invalid for joins
  /// Compute: its duration. Transfer: the latency paid before the flows start. Join: zero.
  Seconds duration(OpId op) const { return duration_[op.index()]; }
  const Label& label(OpId op) const { return label_[op.index()]; }
  std::span<const Flow> flows(OpId op) const {
    return std::span(flows_).subspan(flow_begin_[op.index()], flow_begin_[op.index() + 1] - flow_begin_[op.index()]);
  }
  std::span<const OpId> successors(OpId op) const {
    return std::span(successors_)
        .subspan(successor_begin_[op.index()], successor_begin_[op.index() + 1] - successor_begin_[op.index()]);
  }
  std::uint32_t predecessor_count(OpId op) const { return predecessor_count_[op.index()]; }
  const std::string& lane_name(LaneId lane) const { return lane_names_[lane.index()]; }
  /// Lanes are grouped for display: one process per rank, one thread per lane.
  RankId lane_rank(LaneId lane) const { return lane_rank_[lane.index()]; }
  const std::vector<std::string>& kind_names() const { return kind_names_; }
  std::size_t flow_count() const { return flows_.size(); }

 private:
  friend class GraphBuilder;
  std::vector<OpKind> kind_;
  std::vector<LaneId> lane_;
  std::vector<Seconds> duration_;
  std::vector<Label> label_;
  std::vector<std::uint32_t> flow_begin_;
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> successor_begin_;
  std::vector<OpId> successors_;
  std::vector<std::uint32_t> predecessor_count_;
  std::vector<std::string> lane_names_;
  std::vector<RankId> lane_rank_;
  std::vector<std::string> kind_names_;
};

/// Collects operations and dependencies, then freezes them.
class GraphBuilder {
 public:
  /// @param kind_names what Label::kind indexes.
  explicit GraphBuilder(std::vector<std::string> kind_names = {"op"});

  LaneId add_lane(RankId rank, std::string name);
  /// @param duration finite, not negative.
  OpId compute(LaneId lane, Seconds duration, Label label = {});
  /// A transfer that holds `lane` until its last flow has ended. No flows: it ends after its latency.
  OpId transfer(LaneId lane, Seconds latency, std::span<const Flow> flows, Label label = {});
  /// A transfer on no lane: it starts as soon as its predecessors have ended, whatever else is going on. Timelines
  /// show it on a lane "detached" of its rank, which nothing holds.
  OpId detached_transfer(RankId rank, Seconds latency, std::span<const Flow> flows, Label label = {});
  OpId join(Label label = {});
  /// `op` starts only after `predecessor` has ended.
  void after(OpId op, OpId predecessor);
  /// The operation last put on a lane; invalid when there is none.
  OpId last_on(LaneId lane) const { return last_on_lane_[lane.index()]; }
  std::size_t size() const { return graph_.kind_.size(); }
  void reserve(std::size_t operations, std::size_t flows, std::size_t edges);

  /// Freezes the graph. Cycles are found by the replay, which names the operations that are stuck.
  OperationGraph build() &&;

 private:
  OpId add(OpKind kind, LaneId lane, Seconds duration, Label label);
  OpId add_transfer(LaneId lane, Seconds latency, std::span<const Flow> flows, Label label);
  void chain(LaneId lane, OpId op);
  LaneId detached_lane(RankId rank);
  OperationGraph graph_;
  std::vector<std::pair<OpId, OpId>> edges_;  // (predecessor, successor)
  std::vector<OpId> last_on_lane_;
  std::vector<LaneId> detached_lane_of_rank_;  // where timelines show transfers that hold no lane; made when needed
};

}  // namespace flopcast
