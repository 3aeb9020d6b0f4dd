#include "analysis/runs/training/timeline/step_metrics.h"

#include <algorithm>
#include <cassert>
#include <map>

namespace flopcast {
namespace {

constexpr std::uint32_t kUnknown = 0xffffffffu;

bool computes_weight_gradients(OpName name) {
  return name == OpName::mlp_weight || name == OpName::attention_weight || name == OpName::head_weight ||
         name == OpName::mtp_projection_weight || name == OpName::embedding_backward;
}

// The part of a step that an operation outside the passes belongs to; null for what takes no part (barriers).
Seconds* part_of(TimeParts& parts, OpName name) {
  switch (name) {
    case OpName::gradient_reduce_scatter:
      return &parts.gradient_reduction;
    case OpName::parameter_all_gather:
      return &parts.parameter_gather;
    case OpName::gradient_norm:
    case OpName::optimizer:
    case OpName::host:
      return &parts.optimizer_update;
    default:
      return nullptr;
  }
}

bool takes_part(OpName name) {
  TimeParts any;
  return part_of(any, name) != nullptr;
}

// Charges a pass. A full backward is split by how long its compute lane worked on input and on weight
// gradients.
void charge_pass(TimeParts& parts, PassKind kind, Seconds length, double weight_share) {
  switch (kind) {
    case PassKind::forward:
      parts.forward += length;
      break;
    case PassKind::backward_input:
      parts.backward_input += length;
      break;
    case PassKind::backward_weight:
      parts.backward_weight += length;
      break;
    case PassKind::overlapped:
      parts.overlapped += length;
      break;
    case PassKind::backward:
      parts.backward_weight += length * weight_share;
      parts.backward_input += length * (1.0 - weight_share);
      break;
  }
}

// Every lane of a replayed GPU, those on which timelines show detached transfers included.
std::vector<std::uint32_t> index_lanes(const TrainingStep& step) {
  std::map<RankId, std::uint32_t> rank_of_gpu;
  for (std::size_t r = 0; r < step.ranks.size(); ++r) rank_of_gpu[step.ranks[r].gpu] = static_cast<std::uint32_t>(r);
  std::vector<std::uint32_t> rank_of_lane(step.graph.lane_count(), kUnknown);
  for (std::size_t lane = 0; lane < rank_of_lane.size(); ++lane) {
    const auto found = rank_of_gpu.find(step.graph.lane_rank(LaneId::at(lane)));
    if (found != rank_of_gpu.end()) rank_of_lane[lane] = found->second;
  }
  return rank_of_lane;
}

}  // namespace

StepMetricsSink::StepMetricsSink(const TrainingStep& step)
    : step_(step),
      rank_of_lane_(index_lanes(step)),
      passes_of_rank_(step.ranks.size()),
      passes_(step.passes.size()),
      others_(step.ranks.size()),
      compute_busy_(step.ranks.size()),
      communication_busy_(step.ranks.size()) {
  for (std::uint32_t p = 0; p < step.passes.size(); ++p) {
    RankPasses& of = passes_of_rank_[step.passes[p].rank];
    if (of.end == 0) of.begin = of.last = p;
    of.end = p + 1;
  }
}

/// Passes of a rank lie one after the other, in the order of its operations.
std::uint32_t StepMetricsSink::pass_of(std::uint32_t rank, OpId op) {
  RankPasses& of = passes_of_rank_[rank];
  if (of.begin == of.end) return kUnknown;
  const std::vector<PassRecord>& passes = step_.passes;
  while (of.last + 1 < of.end && op.index() >= passes[of.last].end.index()) ++of.last;
  while (of.last > of.begin && op.index() < passes[of.last].first.index()) --of.last;
  const PassRecord& pass = passes[of.last];
  return op.index() >= pass.first.index() && op.index() < pass.end.index() ? of.last : kUnknown;
}

void StepMetricsSink::finished(const OperationGraph& graph, const OpSpan& span) {
  const LaneId lane = graph.lane(span.op);
  if (!lane.valid() || rank_of_lane_[lane.index()] == kUnknown) return;
  const std::uint32_t rank = rank_of_lane_[lane.index()];
  const auto name = static_cast<OpName>(graph.label(span.op).kind);
  const std::uint32_t pass = pass_of(rank, span.op);
  // An exchange inside a layer keeps the compute lane, but it is communication that nothing hides.
  const bool computes = lane == step_.ranks[rank].compute && name != OpName::layer_exchange;
  const double times = pass == kUnknown ? 1.0 : static_cast<double>(step_.passes[pass].times);
  if (computes) compute_busy_[rank] += (span.end - span.start) * times;
  if (lane == step_.ranks[rank].communication) communication_busy_[rank] += (span.end - span.start) * times;
  const bool in_pass = lane == step_.ranks[rank].compute || lane == step_.ranks[rank].communication;
  if (pass != kUnknown && in_pass) {
    finished_in_pass(pass, lane, name, span);
  } else if (span.end > span.start && takes_part(name)) {
    // Exchanges that a pass begins on lanes of their own may outlast it.
    others_[rank].push_back({name, span.start, span.end, pass != kUnknown});
  }
}

void StepMetricsSink::finished_in_pass(std::size_t pass, LaneId lane, OpName name, const OpSpan& span) {
  const ReplayedRank& rank = step_.ranks[step_.passes[pass].rank];
  PassTimes& times = passes_[pass];
  times.start = std::min(times.start, span.start);
  times.end = std::max(times.end, span.end);
  if (lane == rank.compute && name != OpName::layer_exchange) {
    times.compute += span.end - span.start;
    if (computes_weight_gradients(name)) times.weight += span.end - span.start;
    if (name == OpName::host) times.host += span.end - span.start;
  }
}

RankMetrics StepMetricsSink::reduce_rank(std::size_t rank, std::size_t first_pass, std::size_t end_pass,
                                         Seconds step_time) const {
  std::vector<OtherSpan> others = others_[rank];
  std::sort(others.begin(), others.end(), [](const OtherSpan& a, const OtherSpan& b) {
    return a.start != b.start ? a.start < b.start : a.end < b.end;
  });
  RankMetrics metrics;
  const bool one_stage = std::all_of(step_.ranks.begin(), step_.ranks.end(),
                                     [](const ReplayedRank& each) { return each.pipeline_rank == 0; });
  std::size_t first = 0;  // gaps come one after the other: what ended before one does not matter any more
  // Whatever runs outside the passes fills [from, to] in order; the rest of it is bubble. Between two passes of a
  // pipeline other stages are waited for, whatever exchange goes on beside.
  const auto charge_gap = [&](Seconds from, Seconds to, double times, bool between_passes) {
    while (first < others.size() && others[first].end <= from) ++first;
    for (std::size_t i = first; i < others.size() && others[i].start < to; ++i) {
      const OtherSpan& span = others[i];
      const Seconds start = std::max(span.start, from), end = std::min(span.end, to);
      if (end <= start || (span.begun_in_pass && between_passes && !one_stage)) continue;
      metrics.parts.bubble += (start - from) * times;
      *part_of(metrics.parts, span.name) += (end - start) * times;
      from = end;
    }
    metrics.parts.bubble += std::max(to - from, Seconds(0)) * times;
  };
  Seconds cursor, pass_compute;
  for (std::size_t p = first_pass; p < end_pass; ++p) {
    const PassTimes& times = passes_[p];
    if (times.start > times.end) continue;  // of a stage without layers: nothing ran
    const Seconds start = std::max(std::min(times.start, step_time), cursor);
    const Seconds end = std::max(times.end, start);
    const auto repeats = static_cast<double>(step_.passes[p].times);
    charge_gap(cursor, start, repeats, true);
    const double weight_share = times.compute > Seconds(0) ? times.weight / times.compute : 0.0;
    charge_pass(metrics.parts, step_.passes[p].pass.kind, (end - start) * repeats, weight_share);
    // What the host takes anyway is no wait for the communication that goes on meanwhile.
    const PassRecord& record = step_.passes[p];
    const Seconds idle = std::max(end - start - times.compute, Seconds(0));
    metrics.host += (record.host + times.host + std::min(record.host_beside, idle)) * repeats;
    pass_compute += (times.compute - record.host - times.host) * repeats;
    cursor = end;
  }
  charge_gap(cursor, step_time, 1.0, false);
  constexpr double kRounding = 1e-12;
  const Seconds exposed = metrics.parts.passes() - pass_compute - metrics.host;
  if (exposed > kRounding * metrics.parts.passes()) metrics.exposed_communication = exposed;
  metrics.compute_busy = compute_busy_[rank];
  metrics.communication_busy = communication_busy_[rank];
  return metrics;
}

std::vector<RankMetrics> StepMetricsSink::reduce(Seconds step_time) const {
  std::vector<RankMetrics> metrics(step_.ranks.size());
  std::size_t pass = 0;
  for (std::size_t rank = 0; rank < step_.ranks.size(); ++rank) {
    std::size_t end = pass;
    while (end < step_.passes.size() && step_.passes[end].rank == rank) ++end;
    metrics[rank] = reduce_rank(rank, pass, end, step_time);
    pass = end;
  }
  assert(pass == step_.passes.size() && "passes are grouped by rank, ascending");
  return metrics;
}

RankMetrics weighted_mean(const std::vector<RankMetrics>& metrics, const std::vector<ReplayedRank>& ranks) {
  double weights = 0;
  for (const ReplayedRank& rank : ranks) weights += rank.weight;
  RankMetrics mean;
  for (std::size_t r = 0; r < metrics.size(); ++r) {
    const double share = ranks[r].weight / weights;
    const TimeParts& parts = metrics[r].parts;
    mean.parts.forward += parts.forward * share;
    mean.parts.backward_input += parts.backward_input * share;
    mean.parts.backward_weight += parts.backward_weight * share;
    mean.parts.overlapped += parts.overlapped * share;
    mean.parts.bubble += parts.bubble * share;
    mean.parts.gradient_reduction += parts.gradient_reduction * share;
    mean.parts.optimizer_update += parts.optimizer_update * share;
    mean.parts.parameter_gather += parts.parameter_gather * share;
    mean.exposed_communication += metrics[r].exposed_communication * share;
    mean.host += metrics[r].host * share;
    mean.compute_busy += metrics[r].compute_busy * share;
    mean.communication_busy += metrics[r].communication_busy * share;
  }
  return mean;
}

}  // namespace flopcast
