#include "analysis/runs/training/timeline/critical_path.h"

#include <algorithm>
#include <cstdint>
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

/// Walks backwards through a step of which a stretch stands for many periods. Each operation has a period: 0 in the
/// stretch of its rank, less before, more behind. In the whole step those behind come `more` periods later, and the
/// stretch is there for periods 0 to `more`; who waits for whom is the same in all of them.
class WalkBack {
 public:
  explicit WalkBack(const TrainingStep& step) : step_(step), ahead_(step.repeated ? step.repeated->more : 0) {
    if (!step.repeated) return;
    pass_of_.assign(step.graph.size(), kOutside);
    for (std::size_t p = 0; p < step.passes.size(); ++p)
      std::fill(pass_of_.begin() + step.passes[p].first.index(), pass_of_.begin() + step.passes[p].end.index(),
                static_cast<std::uint32_t>(p));
  }

  /// The operation that stands for the predecessor, whose own place in the graph is `predecessor`.
  OpId go_to(OpId predecessor) {
    if (ahead_ == 0 || !predecessor.valid() || pass_of_[predecessor.index()] == kOutside) return predecessor;
    const std::size_t p = pass_of_[predecessor.index()];
    const RepeatedPasses& rank = step_.repeated->of_rank[step_.passes[p].rank];
    if (p >= rank.end) return predecessor;
    const auto length = static_cast<std::int64_t>(rank.period());
    const std::int64_t periods_back =  // 0 in the stretch
        p >= rank.begin ? 0 : (static_cast<std::int64_t>(rank.begin - p) + length - 1) / length;
    const std::int64_t back = std::min(ahead_, periods_back);
    const PassRecord& from = step_.passes[p];
    const PassRecord& to = step_.passes[p + static_cast<std::size_t>(back * length)];
    if (to.end.index() - to.first.index() != from.end.index() - from.first.index()) return predecessor;
    ahead_ -= back;
    return OpId::at(to.first.index() + (predecessor.index() - from.first.index()));
  }

 private:
  static constexpr std::uint32_t kOutside = ~std::uint32_t{0};
  const TrainingStep& step_;
  std::int64_t ahead_;  // periods between the operation at hand and its place in the graph
  std::vector<std::uint32_t> pass_of_;
};

}  // namespace

std::vector<CriticalPath::Share> shares_with_host(const CriticalPath& path, const SourceShare& sources) {
  const std::vector<std::string>& names = training_op_names();
  const auto name_of = [&](const CriticalPath::Share& share) {
    return static_cast<std::size_t>(std::find(names.begin(), names.end(), share.name) - names.begin());
  };
  const auto exchanges = [](OpName name) {
    return name == OpName::dispatch_forward || name == OpName::combine_forward || name == OpName::combine_backward ||
           name == OpName::dispatch_backward || name == OpName::layer_exchange;
  };
  std::vector<CriticalPath::Share> shares = path.by_name;
  Seconds host, beside, communication;
  for (CriticalPath::Share& share : shares) {
    const std::size_t name = name_of(share);
    if (name == names.size()) continue;
    if (exchanges(static_cast<OpName>(name))) communication += share.time;
    Seconds whole;
    for (const Seconds part : sources.of[name]) whole += part;
    if (whole <= Seconds(0)) continue;
    const Seconds waits = share.time * (sources.host[name] / whole);
    beside += share.time * (sources.host_beside[name] / whole);
    share.time -= waits;
    host += waits;
  }
  beside = std::min(beside, communication);
  if (host + beside <= Seconds(0)) return shares;
  for (CriticalPath::Share& share : shares)
    if (const std::size_t name = name_of(share); name < names.size() && exchanges(static_cast<OpName>(name)))
      share.time -= beside * (share.time / communication);
  const std::string& title = names[static_cast<std::size_t>(OpName::host)];
  const auto there =
      std::find_if(shares.begin(), shares.end(), [&](const CriticalPath::Share& share) { return share.name == title; });
  if (there == shares.end()) {
    shares.push_back({title, host + beside, 0});
  } else {
    there->time += host + beside;
  }
  std::stable_sort(shares.begin(), shares.end(), [](const auto& a, const auto& b) { return a.time > b.time; });
  return shares;
}

std::vector<OpId> critical_operations(const TrainingStep& step, const SpanSink& spans) {
  const std::vector<OpId> last = last_predecessors(step.graph, spans);
  WalkBack walk(step);
  std::vector<OpId> path;
  for (OpId op = last_to_end(step.graph, spans); op.valid(); op = walk.go_to(last[op.index()])) path.push_back(op);
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
  for (const OpId op : critical_operations(step, spans)) {
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
