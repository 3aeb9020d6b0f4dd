#include "sim/graph.h"

#include <cassert>
#include <limits>
#include <stdexcept>

namespace flopcast {
namespace {

Seconds checked(Seconds duration) {
  if (!is_finite(duration) || duration < Seconds(0.0))
    throw std::invalid_argument("the duration of an operation must be finite and not negative");
  return duration;
}

/// Offsets within the graph are 32 bits wide: they are read for every operation, and 4 billion of anything is far more
/// than memory holds.
std::uint32_t narrow(std::size_t count) {
  if (count > std::numeric_limits<std::uint32_t>::max() - 1)
    throw std::length_error("a graph holds at most 2^32 - 2 operations, flows and dependencies");
  return static_cast<std::uint32_t>(count);
}

}  // namespace

GraphBuilder::GraphBuilder(std::vector<std::string> kind_names) {
  graph_.kind_names_ = std::move(kind_names);
  graph_.flow_begin_.push_back(0);
}

LaneId GraphBuilder::add_lane(RankId rank, std::string name) {
  graph_.lane_names_.push_back(std::move(name));
  graph_.lane_rank_.push_back(rank);
  last_on_lane_.emplace_back();
  return LaneId::at(graph_.lane_names_.size() - 1);
}

OpId GraphBuilder::compute(LaneId lane, Seconds duration, Label label) {
  const OpId op = add(OpKind::compute, lane, duration, label);
  graph_.flow_begin_.push_back(narrow(graph_.flows_.size()));
  chain(lane, op);
  return op;
}

OpId GraphBuilder::transfer(LaneId lane, Seconds latency, std::span<const Flow> flows, Label label) {
  const OpId op = add_transfer(lane, latency, flows, label);
  chain(lane, op);
  return op;
}

OpId GraphBuilder::detached_transfer(RankId rank, Seconds latency, std::span<const Flow> flows, Label label) {
  return add_transfer(detached_lane(rank), latency, flows, label);
}

OpId GraphBuilder::join(Label label) {
  const OpId op = add(OpKind::join, LaneId(), Seconds(0.0), label);
  graph_.flow_begin_.push_back(narrow(graph_.flows_.size()));
  return op;
}

void GraphBuilder::after(OpId op, OpId predecessor) {
  assert(op.index() < size() && predecessor.index() < size());
  edges_.emplace_back(predecessor, op);
  ++graph_.predecessor_count_[op.index()];
}

void GraphBuilder::reserve(std::size_t operations, std::size_t flows, std::size_t edges) {
  graph_.kind_.reserve(operations);
  graph_.lane_.reserve(operations);
  graph_.duration_.reserve(operations);
  graph_.label_.reserve(operations);
  graph_.predecessor_count_.reserve(operations);
  graph_.flow_begin_.reserve(operations + 1);
  graph_.flows_.reserve(flows);
  edges_.reserve(edges);
}

OpId GraphBuilder::add(OpKind kind, LaneId lane, Seconds duration, Label label) {
  graph_.kind_.push_back(kind);
  graph_.lane_.push_back(lane);
  graph_.duration_.push_back(checked(duration));
  graph_.label_.push_back(label);
  graph_.predecessor_count_.push_back(0);
  return OpId(narrow(graph_.kind_.size()) - 1);
}

OpId GraphBuilder::add_transfer(LaneId lane, Seconds latency, std::span<const Flow> flows, Label label) {
  const OpId op = add(OpKind::transfer, lane, latency, label);
  for (const Flow& flow : flows) {
    if (!is_finite(flow.bytes) || flow.bytes < Bytes(0.0))
      throw std::invalid_argument("the bytes of a flow must be finite and not negative");
    assert(flow.route.valid());
    graph_.flows_.push_back(flow);
  }
  graph_.flow_begin_.push_back(narrow(graph_.flows_.size()));
  return op;
}

void GraphBuilder::chain(LaneId lane, OpId op) {
  OpId& last = last_on_lane_[lane.index()];
  if (last.valid()) after(op, last);
  last = op;
}

LaneId GraphBuilder::detached_lane(RankId rank) {
  if (rank.index() >= detached_lane_of_rank_.size()) detached_lane_of_rank_.resize(rank.index() + 1);
  LaneId& lane = detached_lane_of_rank_[rank.index()];
  if (!lane.valid()) lane = add_lane(rank, "detached");
  return lane;
}

OperationGraph GraphBuilder::build() && {
  // A counting sort of the edges by predecessor: begin[i + 1] first counts, then sums up, then moves along while
  // the successors are put in place. It is stable, so successors keep the order in which they were declared.
  std::vector<std::uint32_t>& begin = graph_.successor_begin_;
  begin.assign(size() + 2, 0);
  narrow(edges_.size());
  for (const auto& [predecessor, successor] : edges_) ++begin[predecessor.index() + 2];
  for (std::size_t i = 2; i < begin.size(); ++i) begin[i] += begin[i - 1];
  graph_.successors_.resize(edges_.size());
  for (const auto& [predecessor, successor] : edges_) graph_.successors_[begin[predecessor.index() + 1]++] = successor;
  begin.pop_back();
  edges_ = {};
  return std::move(graph_);
}

}  // namespace flopcast
