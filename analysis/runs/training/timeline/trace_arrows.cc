#include "analysis/runs/training/timeline/trace_arrows.h"

#include <algorithm>

#include "workloads/training/step/training_step.h"

namespace flopcast {
namespace {

bool is_stage_transfer(const OperationGraph& graph, OpId op) {
  const auto name = static_cast<OpName>(graph.label(op).kind);
  return graph.kind(op) == OpKind::transfer && (name == OpName::send_activation || name == OpName::send_gradient);
}

}  // namespace

TraceArrows::TraceArrows(const OperationGraph& graph, const std::function<bool(LaneId)>& shown)
    : sends_(graph.size(), false) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId send = OpId::at(i);
    if (!is_stage_transfer(graph, send) || !shown(graph.lane(send))) continue;
    std::vector<OpId> reached(graph.successors(send).begin(), graph.successors(send).end());
    for (std::size_t next = 0; next < reached.size(); ++next) {
      const OpId op = reached[next];
      if (!graph.lane(op).valid()) {
        reached.insert(reached.end(), graph.successors(op).begin(), graph.successors(op).end());
      } else if (graph.lane_rank(graph.lane(op)) != graph.lane_rank(graph.lane(send)) && shown(graph.lane(op))) {
        arrows_.push_back({op, send});
        sends_[i] = true;
        break;
      }
    }
  }
  std::sort(arrows_.begin(), arrows_.end(), [](const TraceArrow& a, const TraceArrow& b) {
    return a.receiver != b.receiver ? a.receiver < b.receiver : a.sender < b.sender;
  });
}

std::span<const TraceArrow> TraceArrows::into(OpId op) const {
  const auto first = std::lower_bound(arrows_.begin(), arrows_.end(), op,
                                      [](const TraceArrow& arrow, OpId at) { return arrow.receiver < at; });
  const auto last = std::find_if(first, arrows_.end(), [op](const TraceArrow& arrow) { return arrow.receiver != op; });
  return {first, last};
}

}  // namespace flopcast
