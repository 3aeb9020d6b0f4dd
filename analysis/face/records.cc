#include "analysis/face/records.h"

#include <algorithm>
#include <utility>

namespace flopcast {

TimelineRecorder::TimelineRecorder(const TrainingStep& step, const std::vector<int>& gpus, Timeline& out)
    : recorded_(step.graph.lane_count()), out_(out) {
  const OperationGraph& graph = step.graph;
  out_.kind_names = graph.kind_names();
  for (std::size_t i = 0; i < graph.lane_count(); ++i) {
    const LaneId lane = LaneId::at(i);
    const auto gpu = static_cast<int>(graph.lane_rank(lane).index());
    recorded_[i] = gpus.empty() || std::find(gpus.begin(), gpus.end(), gpu) != gpus.end();
    out_.lane_names.push_back(graph.lane_name(lane));
  }
}

void TimelineRecorder::finished(const OperationGraph& graph, const OpSpan& span) {
  const LaneId lane = graph.lane(span.op);
  if (!lane.valid() || !recorded_[lane.index()]) return;
  const Label& label = graph.label(span.op);
  out_.start_s.push_back(span.start.value());
  out_.end_s.push_back(span.end.value());
  out_.gpu.push_back(static_cast<std::int32_t>(graph.lane_rank(lane).index()));
  out_.lane.push_back(static_cast<std::uint32_t>(lane.index()));
  out_.kind.push_back(label.kind);
  out_.stage.push_back(label.stage);
  out_.micro_batch.push_back(label.micro_batch);
  out_.layer.push_back(label.layer);
  out_.transfer.push_back(graph.kind(span.op) == OpKind::transfer ? 1 : 0);
}

std::shared_ptr<const Requests> RequestRecorder::requests(std::vector<std::string> class_names) && {
  std::sort(results_.begin(), results_.end(),
            [](const RequestResult& a, const RequestResult& b) { return a.id < b.id; });
  Requests out;
  out.class_names = std::move(class_names);
  const auto column = [&](auto& values, auto&& value_of) {
    values.reserve(results_.size());
    for (const RequestResult& result : results_) values.push_back(value_of(result));
  };
  column(out.id, [](const RequestResult& r) { return r.id; });
  column(out.request_class, [](const RequestResult& r) { return r.request_class; });
  column(out.outcome, [](const RequestResult& r) { return r.outcome; });
  column(out.input_tokens, [](const RequestResult& r) { return r.input_tokens; });
  column(out.cached_tokens, [](const RequestResult& r) { return r.cached_tokens; });
  column(out.output_tokens, [](const RequestResult& r) { return r.output_tokens; });
  column(out.arrival_s, [](const RequestResult& r) { return r.arrival.value(); });
  column(out.scheduled_s, [](const RequestResult& r) { return r.scheduled.value(); });
  column(out.first_token_s, [](const RequestResult& r) { return r.first_token.value(); });
  column(out.finish_s, [](const RequestResult& r) { return r.finish.value(); });
  return std::make_shared<const Requests>(std::move(out));
}

}  // namespace flopcast
