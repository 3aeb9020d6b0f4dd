#include "analysis/runs/training/critical_path.h"

#include <algorithm>
#include <map>

namespace flopcast {
namespace {

// For every operation the predecessor that ended last (smallest id on a tie): the one it had to wait for.
std::vector<OpId> last_predecessors(const OperationGraph& graph, const SpanSink& spans) {
  std::vector<OpId> last(graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    for (const OpId successor : graph.successors(op)) {
      OpId& best = last[successor.index()];
      if (!best.valid() || spans.end(op) > spans.end(best)) best = op;
    }
  }
  return last;
}

OpId last_to_end(const OperationGraph& graph, const SpanSink& spans) {
  OpId last;
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (!last.valid() || spans.end(OpId::at(i)) > spans.end(last)) last = OpId::at(i);
  }
  return last;
}

}  // namespace

std::vector<OpId> critical_operations(const OperationGraph& graph, const SpanSink& spans) {
  const std::vector<OpId> last = last_predecessors(graph, spans);
  std::vector<OpId> path;
  for (OpId op = last_to_end(graph, spans); op.valid(); op = last[op.index()]) path.push_back(op);
  std::reverse(path.begin(), path.end());
  return path;
}

CriticalPath critical_path(const TrainingStep& step, const SpanSink& spans) {
  const OperationGraph& graph = step.graph;
  std::map<std::uint32_t, int> pipeline_rank_of;  // by GPU
  for (const ReplayedRank& rank : step.ranks) pipeline_rank_of[rank.gpu.index()] = rank.pipeline_rank;

  CriticalPath result;
  std::map<std::uint16_t, CriticalPath::Share> by_kind;
  std::map<int, Seconds> by_rank;
  RankId here;
  for (const OpId op : critical_operations(graph, spans)) {
    const Seconds time = spans.end(op) - spans.start(op);
    result.length += time;
    ++result.operations;
    CriticalPath::Share& share = by_kind[graph.label(op).kind];
    share.time += time;
    ++share.operations;
    const LaneId lane = graph.lane(op);
    if (!lane.valid()) continue;
    const RankId rank = graph.lane_rank(lane);
    if (here.valid() && rank != here) ++result.rank_changes;
    here = rank;
    if (const auto found = pipeline_rank_of.find(rank.index()); found != pipeline_rank_of.end()) {
      by_rank[found->second] += time;
    }
  }
  for (auto& [kind, share] : by_kind) {
    share.name = graph.kind_names()[kind];
    if (share.time > Seconds(0)) result.by_name.push_back(share);
  }
  std::stable_sort(result.by_name.begin(), result.by_name.end(),
                   [](const auto& a, const auto& b) { return a.time > b.time; });
  for (const auto& [rank, time] : by_rank) result.by_rank.push_back({rank, time});
  return result;
}

}  // namespace flopcast
