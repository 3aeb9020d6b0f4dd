#include "analysis/runs/training/timeline/perfetto_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analysis/render/chart/palette.h"
#include "analysis/runs/training/timeline/pipeline_picture.h"
#include "scenarios/read/text/quantity.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

Bytes bytes_of(const OperationGraph& graph, OpId op) {
  Bytes sum;
  for (const Flow& flow : graph.flows(op)) sum += flow.bytes;
  return sum;
}

}  // namespace

std::pair<Seconds, Seconds> parse_window(const std::string& text) {
  const auto refuse = [&](const std::string& expected) {
    Diagnostic diagnostic;
    diagnostic.field = "--trace-window";
    diagnostic.found = "`" + text + "`";
    diagnostic.expected = expected;
    throw InputError(diagnostic);
  };
  const std::size_t dots = text.find("..");
  if (dots == std::string::npos) refuse("two times with .. between them, such as 1.5s..2s");
  const auto time = [&](const std::string& part) {
    const auto value = parse_quantity(part, Dimension::time);
    if (!std::holds_alternative<double>(value)) refuse("two times with their units, such as 1.5s..2s");
    return Seconds(std::get<double>(value));
  };
  const std::pair<Seconds, Seconds> window{time(text.substr(0, dots)), time(text.substr(dots + 2))};
  if (window.second <= window.first) refuse("an end after the start");
  return window;
}

PerfettoTraceSink::PerfettoTraceSink(const TrainingStep& step, TraceChoice choice, TracePieces output)
    : step_(step), choice_(std::move(choice)), writer_(std::move(output)), lanes_(step.graph.lane_count()) {
  add_lanes();
  arrows_ = TraceArrows(step.graph, [this](LaneId lane) { return shown(lane); });
}

void PerfettoTraceSink::add_lanes() {
  std::set<int> gpus;
  for (const ReplayedRank& rank : step_.ranks) {
    const auto gpu = static_cast<int>(rank.gpu.index());
    if (!choice_.gpus.empty() && choice_.gpus.count(gpu) == 0) continue;
    gpus.insert(gpu);
    processes_[gpu] = writer_.add_process(gpu + 1, fmt::format("GPU {} (pipeline rank {})", gpu, rank.pipeline_rank),
                                          rank.pipeline_rank);
  }
  links_.emplace(step_, gpus);
  int place = 0;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const auto process = processes_.find(static_cast<int>(step_.graph.lane_rank(LaneId::at(lane)).index()));
    if (process != processes_.end())
      lanes_[lane] = writer_.add_track(process->second, step_.graph.lane_name(LaneId::at(lane)), place++);
  }
}

void PerfettoTraceSink::finished(const OperationGraph& graph, const OpSpan& span) {
  if (!choice_.shows(span.start, span.end)) return;
  links_->add(graph, span);
  const LaneId lane = graph.lane(span.op);
  if (!shown(lane) || span.end <= span.start) return;
  const Label& label = graph.label(span.op);
  PerfettoWriter::Slice slice{lanes_[lane.index()],
                              span.start,
                              span.end,
                              graph.kind_names()[label.kind],
                              row_of(tone_of(static_cast<OpName>(label.kind))).name,
                              {},
                              {},
                              {}};
  for (const TraceArrow& arrow : arrows_.into(span.op)) {
    if (answered(arrow.sender)) slice.flows_in.push_back(arrow.sender.index() + 1);
  }
  slice.arguments = {{"stage", label.stage}, {"micro_batch", label.micro_batch}, {"layer", label.layer}};
  if (graph.kind(span.op) == OpKind::transfer)
    slice.arguments.push_back({"bytes", static_cast<std::uint64_t>(bytes_of(graph, span.op).value())});
  if (!choice_.window) {
    if (arrows_.sends(span.op)) slice.flows_out.push_back(span.op.index() + 1);
    return writer_.slice(slice);
  }
  waiting_[lane.index()].push_back({std::move(slice), span.op, arrows_.sends(span.op)});
  write_decided(lane);
}

// Of a window an arrow may leave one end outside: what sends is held back until what receives it is shown too. Tracks
// are written in order, so what comes behind it on its track waits with it.
bool PerfettoTraceSink::answered(OpId sender) {
  if (!choice_.window) return true;
  const LaneId lane = step_.graph.lane(sender);
  for (Waiting& held : waiting_[lane.index()]) {
    if (held.op != sender || !held.undecided) continue;
    held.undecided = false;
    held.slice.flows_out.push_back(sender.index() + 1);
    write_decided(lane);
    return true;
  }
  return false;  // it ran before the window
}

void PerfettoTraceSink::write_decided(LaneId lane) {
  std::deque<Waiting>& held = waiting_[lane.index()];
  for (; !held.empty() && !held.front().undecided; held.pop_front()) writer_.slice(held.front().slice);
}

void PerfettoTraceSink::close() {
  for (const auto& [lane, held] : waiting_)
    for (const Waiting& one : held) writer_.slice(one.slice);
  waiting_.clear();
  for (const LinkUse::Curve& curve : links_->curves()) {
    const PerfettoWriter::Track track = writer_.add_counter(processes_.at(curve.gpu), curve.name, "%");
    for (const auto& [at, percent] : curve.points) writer_.count(track, at, percent);
  }
  writer_.close();
}

}  // namespace flopcast
