#include "analysis/runs/training/timeline/step_view.h"

#include <fmt/format.h>

#include "analysis/runs/training/timeline/pipeline_picture.h"

namespace flopcast {

StepViewSink::StepViewSink(const TrainingStep& step)
    : view_({"stage", "micro-batch", "layer"}), row_of_lane_(step.graph.lane_count(), kHidden) {
  const OperationGraph& graph = step.graph;
  for (std::size_t kind = 0; kind < graph.kind_names().size(); ++kind)
    view_.add_name(graph.kind_names()[kind], tone_of(static_cast<OpName>(kind)));
  std::vector<std::size_t> events(graph.lane_count(), 0);
  for (std::size_t op = 0; op < graph.size(); ++op) {
    if (graph.lane(OpId::at(op)).valid()) ++events[graph.lane(OpId::at(op)).index()];
  }
  std::vector<std::vector<std::size_t>> lanes_of_rank(step.ranks.size());
  std::vector<std::size_t> rank_of_gpu;
  for (std::size_t r = 0; r < step.ranks.size(); ++r) {
    const std::size_t gpu = step.ranks[r].gpu.index();
    if (rank_of_gpu.size() <= gpu) rank_of_gpu.resize(gpu + 1, step.ranks.size());
    rank_of_gpu[gpu] = r;
  }
  for (std::size_t lane = 0; lane < graph.lane_count(); ++lane) {
    const std::size_t gpu = graph.lane_rank(LaneId::at(lane)).index();
    if (gpu < rank_of_gpu.size() && rank_of_gpu[gpu] < step.ranks.size())
      lanes_of_rank[rank_of_gpu[gpu]].push_back(lane);
  }
  std::size_t room = kMostEvents;
  for (std::size_t r = 0; r < step.ranks.size(); ++r) {
    std::size_t needed = 0;
    for (const std::size_t lane : lanes_of_rank[r]) needed += events[lane];
    if (needed > room) {
      ++left_out_;
      continue;
    }
    room -= needed;
    for (const std::size_t lane : lanes_of_rank[r]) {
      if (events[lane] == 0) continue;
      row_of_lane_[lane] =
          view_.add_row(fmt::format("GPU {} (rank {})", step.ranks[r].gpu.index(), step.ranks[r].pipeline_rank),
                        graph.lane_name(LaneId::at(lane)));
    }
  }
}

void StepViewSink::finished(const OperationGraph& graph, const OpSpan& span) {
  const LaneId lane = graph.lane(span.op);
  if (!lane.valid() || row_of_lane_[lane.index()] == kHidden || span.end <= span.start) return;
  const Label& label = graph.label(span.op);
  view_.add(row_of_lane_[lane.index()], span.start.value(), span.end.value(), label.kind,
            {label.stage, label.micro_batch, label.layer});
}

}  // namespace flopcast
