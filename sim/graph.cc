#include "sim/graph.h"

#include <cassert>
#include <limits>
#include <stdexcept>
#include <utility>

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

GraphBuilder::GraphBuilder(std::vector<std::string> kind_names) { graph_.kind_names_ = std::move(kind_names); }

LaneId GraphBuilder::add_lane(RankId rank, std::string name) {
  graph_.lane_names_.push_back(std::move(name));
  graph_.lane_rank_.push_back(rank);
  last_on_lane_.emplace_back();
  return LaneId::at(graph_.lane_names_.size() - 1);
}

OpId GraphBuilder::compute(LaneId lane, Seconds duration, Label label) {
  const OpId op = add(OpKind::compute, lane, duration, label);
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

OpId GraphBuilder::join(Label label) { return add(OpKind::join, LaneId(), Seconds(0.0), label); }

void GraphBuilder::after(OpId op, OpId predecessor) {
  assert(op.index() < size() && predecessor.index() < size());
  edges_.emplace_back(predecessor, op);
  ++graph_.ops_[op.index()].predecessors;
}

void GraphBuilder::reserve(std::size_t operations, std::size_t flows, std::size_t edges) {
  graph_.ops_.reserve(operations + 1);
  graph_.flows_.reserve(flows);
  edges_.reserve(edges);
}

void GraphBuilder::expect_again(std::size_t times) {
  const auto in_all = [&](std::size_t now) { return now * (times + 1) + now * times / 8; };
  reserve(in_all(size()), in_all(graph_.flows_.size()), in_all(edges_.size()));
}

OpId GraphBuilder::add(OpKind kind, LaneId lane, Seconds duration, Label label) {
  OperationGraph::Operation& op = graph_.ops_.back();
  op.duration = checked(duration);
  op.label = label;
  op.lane = lane;
  op.kind = static_cast<std::uint32_t>(kind) & 3;
  graph_.ops_.emplace_back().flow_begin = narrow(graph_.flows_.size());
  return OpId(narrow(graph_.size()) - 1);
}

OpId GraphBuilder::add_transfer(LaneId lane, Seconds latency, std::span<const Flow> flows, Label label) {
  const OpId op = add(OpKind::transfer, lane, latency, label);
  for (const Flow& flow : flows) {
    if (!is_finite(flow.bytes) || flow.bytes < Bytes(0.0))
      throw std::invalid_argument("the bytes of a flow must be finite and not negative");
    assert(flow.route.valid());
    graph_.flows_.push_back(flow);
  }
  graph_.ops_.back().flow_begin = narrow(graph_.flows_.size());
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
  freeze();
  edges_ = {};
  return std::move(graph_);
}

const OperationGraph& GraphBuilder::frozen() {
  freeze();
  return graph_;
}

void GraphBuilder::start_again() {
  graph_.ops_.clear();
  graph_.ops_.emplace_back();
  graph_.flows_.clear();
  edges_.clear();
  last_on_lane_.assign(last_on_lane_.size(), OpId());
}

void GraphBuilder::freeze() {
  // A counting sort of the edges by predecessor: where its successors begin first counts, then sums up, then moves
  // along while they are put in place. It is stable, so successors keep the order in which they were declared.
  std::vector<OperationGraph::Operation>& ops = graph_.ops_;
  narrow(edges_.size());
  for (const auto& [predecessor, successor] : edges_) ++ops[predecessor.index()].successor_begin;
  std::uint32_t begin = 0;
  for (OperationGraph::Operation& op : ops) begin += std::exchange(op.successor_begin, begin);
  graph_.successors_.resize(edges_.size());
  for (const auto& [predecessor, successor] : edges_)
    graph_.successors_[ops[predecessor.index()].successor_begin++] = successor;
  // Each begin has moved to its end, which is where the next one begins.
  for (std::size_t i = ops.size() - 1; i > 0; --i) ops[i].successor_begin = ops[i - 1].successor_begin;
  ops.front().successor_begin = 0;
}

}  // namespace flopcast
