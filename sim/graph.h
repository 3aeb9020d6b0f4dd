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

#include "sim/base/fetch.h"
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
  std::size_t size() const { return ops_.size() - 1; }
  std::size_t lane_count() const { return lane_names_.size(); }
  OpKind kind(OpId op) const { return static_cast<OpKind>(ops_[op.index()].kind); }
  LaneId lane(OpId op) const { return ops_[op.index()].lane; }  ///< invalid for joins
  /// Compute: its duration. Transfer: the latency paid before the flows start. Join: zero.
  Seconds duration(OpId op) const { return ops_[op.index()].duration; }
  const Label& label(OpId op) const { return ops_[op.index()].label; }
  std::span<const Flow> flows(OpId op) const {
    const Operation* const at = &ops_[op.index()];
    return std::span(flows_).subspan(at[0].flow_begin, at[1].flow_begin - at[0].flow_begin);
  }
  std::span<const OpId> successors(OpId op) const {
    const Operation* const at = &ops_[op.index()];
    return std::span(successors_).subspan(at[0].successor_begin, at[1].successor_begin - at[0].successor_begin);
  }
  std::uint32_t predecessor_count(OpId op) const { return ops_[op.index()].predecessors; }
  /// It will be looked at soon.
  void fetch_op(OpId op) const { fetch(ops_[op.index()]); }
  const std::string& lane_name(LaneId lane) const { return lane_names_[lane.index()]; }
  /// Lanes are grouped for display: one process per rank, one thread per lane.
  RankId lane_rank(LaneId lane) const { return lane_rank_[lane.index()]; }
  const std::vector<std::string>& kind_names() const { return kind_names_; }
  std::size_t flow_count() const { return flows_.size(); }

 private:
  friend class GraphBuilder;
  /// All that is known of an operation lies together, half a line of a processor's cache: in a graph of thousands of
  /// ranks each that ends is of another rank, and nothing of it is at hand.
  struct alignas(32) Operation {
    Seconds duration;
    Label label;
    LaneId lane;
    std::uint32_t flow_begin = 0;       ///< its flows end where those of the next operation begin
    std::uint32_t successor_begin = 0;  ///< so do its successors
    std::uint32_t predecessors : 30 = 0;
    std::uint32_t kind : 2 = 0;
  };
  static_assert(sizeof(Operation) == 32);
  std::vector<Operation> ops_ =
      std::vector<Operation>(1);  // and one behind the last, where its flows and successors end
  std::vector<Flow> flows_;
  std::vector<OpId> successors_;
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
  std::size_t size() const { return graph_.size(); }
  void reserve(std::size_t operations, std::size_t flows, std::size_t edges);
  /// As much again as there is will come so often, about: where room for it is there, nothing is copied as it comes.
  void expect_again(std::size_t times);

  /// Freezes the graph. Cycles are found by the replay, which names the operations that are stuck.
  OperationGraph build() &&;
  /// Freezes it in place, for who builds many small graphs one after the other: until start_again(), which keeps lanes
  /// and memory.
  const OperationGraph& frozen();
  void start_again();

 private:
  void freeze();
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
