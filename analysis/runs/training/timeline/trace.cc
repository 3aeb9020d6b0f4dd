#include "analysis/runs/training/timeline/trace.h"

#include <fmt/format.h>

#include "analysis/render/chart/palette.h"
#include "analysis/render/text/trace_time.h"
#include "analysis/runs/training/timeline/pipeline_picture.h"

namespace flopcast {
namespace {

constexpr std::size_t kBuffer = 1 << 16;

// At the end of a step, for all stages and micro-batches of a GPU together.
bool ends_step(OpName name) {
  switch (name) {
    case OpName::gradient_reduce_scatter:
    case OpName::parameter_all_gather:
    case OpName::gradient_norm:
    case OpName::optimizer:
    case OpName::barrier:
      return true;
    default:
      return false;
  }
}

// What stage and micro-batch an event is of stands in its arguments only: viewers colour, group and sum up by name.
std::string event_arguments(const OperationGraph& graph, OpId op) {
  const Label& label = graph.label(op);
  std::string out;
  if (!ends_step(static_cast<OpName>(label.kind)))
    out = fmt::format(R"("stage":{},"micro_batch":{},"layer":{})", label.stage, label.micro_batch, label.layer);
  if (graph.kind(op) == OpKind::transfer) {
    Bytes bytes;
    for (const Flow& flow : graph.flows(op)) bytes += flow.bytes;
    out += fmt::format(R"({}"bytes":{:.0f})", out.empty() ? "" : ",", bytes.value());
  }
  return "{" + out + "}";
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// By lane: whether it is of one of these GPUs.
std::vector<bool> lanes_of(const OperationGraph& graph, const std::set<int>& gpus) {
  std::vector<bool> shown(graph.lane_count(), false);
  for (std::size_t lane = 0; lane < shown.size(); ++lane) {
    const auto gpu = static_cast<int>(graph.lane_rank(LaneId::at(lane)).index());
    shown[lane] = gpus.empty() || gpus.count(gpu) > 0;
  }
  return shown;
}

}  // namespace

ChromeTraceSink::ChromeTraceSink(const TrainingStep& step, std::set<int> gpus, TraceOutput output)
    : step_(step),
      output_(std::move(output)),
      shown_(lanes_of(step.graph, gpus)),
      arrows_(step.graph, [this](LaneId lane) { return shown(lane); }) {
  std::set<int> replayed;
  for (const ReplayedRank& rank : step.ranks)
    if (shown(rank.compute)) replayed.insert(static_cast<int>(rank.gpu.index()));
  links_.emplace(step, replayed);
  buffer_ = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  name_processes();
}

void ChromeTraceSink::name_processes() {
  for (const ReplayedRank& rank : step_.ranks) {
    if (!shown(rank.compute)) continue;
    event(fmt::format(R"j({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"GPU {} (pipeline rank {})"}}}})j",
                      rank.gpu.index(), rank.gpu.index(), rank.pipeline_rank));
    event(fmt::format(R"j({{"ph":"M","name":"process_sort_index","pid":{},"args":{{"sort_index":{}}}}})j",
                      rank.gpu.index(), rank.pipeline_rank));
  }
  for (std::size_t lane = 0; lane < shown_.size(); ++lane) {
    if (!shown_[lane]) continue;
    event(fmt::format(R"j({{"ph":"M","name":"thread_name",{},"args":{{"name":{}}}}})j", place(LaneId::at(lane)),
                      json_quoted(step_.graph.lane_name(LaneId::at(lane)))));
  }
}

std::string ChromeTraceSink::place(LaneId lane) const {
  return fmt::format(R"j("pid":{},"tid":{})j", step_.graph.lane_rank(lane).index(), lane.index());
}

void ChromeTraceSink::event(std::string_view text) {
  if (!first_) buffer_ += ",\n";
  first_ = false;
  buffer_ += text;
  if (buffer_.size() > kBuffer) {
    output_(buffer_);
    buffer_.clear();
  }
}

void ChromeTraceSink::finished(const OperationGraph& graph, const OpSpan& span) {
  links_->add(graph, span);
  const LaneId lane = graph.lane(span.op);
  if (!shown(lane) || span.end <= span.start) return;
  const Label& label = graph.label(span.op);
  const ViewerTime start = trace_time(span.start), end = trace_time(span.end);
  const std::string where = place(lane), when = microseconds(start);
  event(fmt::format(R"({{"ph":"X","name":"{}","cat":"{},{}",{},"ts":{},"dur":{},"args":{}}})",
                    graph.kind_names()[label.kind], row_of(tone_of(static_cast<OpName>(label.kind))).name,
                    graph.kind(span.op) == OpKind::compute ? "compute" : "transfer", where, when,
                    microseconds(end - start), event_arguments(graph, span.op)));
  if (arrows_.sends(span.op)) sent_.emplace(span.op.index(), start);
  for (const TraceArrow& arrow : arrows_.into(span.op)) {
    // Of a window an arrow may have one end outside: it is drawn where both are there.
    const auto sent = sent_.find(arrow.sender.index());
    if (sent == sent_.end()) continue;
    event(fmt::format(R"j({{"ph":"s","name":"transfer","cat":"pipeline","id":{},{},"ts":{}}})j", arrow.sender.index(),
                      place(graph.lane(arrow.sender)), microseconds(sent->second)));
    sent_.erase(sent);
    event(fmt::format(R"j({{"ph":"f","bp":"e","name":"transfer","cat":"pipeline","id":{},{},"ts":{}}})j",
                      arrow.sender.index(), where, when));
  }
}

void ChromeTraceSink::close() {
  constexpr int kStretches = 250;  // each point is a line of text
  for (const LinkUse::Curve& curve : links_->curves_of_means(kStretches)) {
    const std::string name = json_quoted(curve.name + ", % of its rate");
    for (const auto& [at, percent] : curve.points)
      event(fmt::format(R"({{"ph":"C","name":{},"pid":{},"ts":{},"args":{{"use":{:.1f}}}}})", name, curve.gpu,
                        microseconds(trace_time(at)), percent));
  }
  buffer_ += "\n]}\n";
  output_(buffer_);
  buffer_.clear();
}

}  // namespace flopcast
