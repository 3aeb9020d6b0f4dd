#include "workloads/pass_emitter.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

namespace {

void follow(GraphBuilder& graph, OpId op, OpId before) {
  if (before.valid()) graph.after(op, before);
}

void add_layers(std::vector<StageWalk::Layer>& layers, bool moe, double count, int& index) {
  for (; count > 0; count -= 1) {
    layers.push_back({moe, std::min(1.0, count), static_cast<std::uint16_t>(index++)});
  }
}

}  // namespace

StageWalk forward_walk(const ModelConfig& model, const StageContent& stage) {
  StageWalk walk;
  int index = stage.first_layer;
  add_layers(walk.layers, false, stage.dense_layers, index);
  add_layers(walk.layers, true, stage.moe_layers, index);
  walk.edges.resize(walk.layers.size() + 1);
  if (stage.embedding) walk.edges.front().push_back(StageWalk::Edge::embedding);
  if (stage.head) walk.edges.back().push_back(StageWalk::Edge::head);
  for (int module = 0; module < static_cast<int>(stage.mtp_modules); ++module) {
    walk.edges.back().push_back(StageWalk::Edge::mtp_projection);
    add_layers(walk.layers, model.is_moe_layer(model.layers - 1), 1, index);
    walk.edges.push_back({StageWalk::Edge::head});
  }
  return walk;
}

StageWalk reversed(const StageWalk& walk) {
  StageWalk back = walk;
  std::reverse(back.layers.begin(), back.layers.end());
  std::reverse(back.edges.begin(), back.edges.end());
  for (auto& edges : back.edges) std::reverse(edges.begin(), edges.end());
  return back;
}

PipelineMail::PipelineMail(int copies, int stages, int micro_batches)
    : stages_(stages),
      micro_batches_(micro_batches),
      sent_(static_cast<std::size_t>(copies) * stages * micro_batches * 2) {}

std::size_t PipelineMail::slot(int copy, int stage, int micro_batch, Kind kind) const {
  return ((static_cast<std::size_t>(copy) * stages_ + stage) * micro_batches_ + micro_batch) * 2 +
         (kind == Kind::gradient ? 1 : 0);
}

void PipelineMail::sent(int copy, int stage, int micro_batch, Kind kind, OpId op) {
  sent_[slot(copy, stage, micro_batch, kind)] = op;
}

void PipelineMail::awaited(int copy, int from_stage, int micro_batch, Kind kind, OpId by) {
  awaited_.emplace_back(by, slot(copy, from_stage, micro_batch, kind));
}

void PipelineMail::connect(GraphBuilder& graph) const {
  for (const auto& [op, from] : awaited_) {
    assert(sent_[from].valid());
    graph.after(op, sent_[from]);
  }
}

struct PassEmitter::Half {
  const StageWalk* walk = nullptr;  // null: the pass has no such half
  int stage = 0;
  std::uint16_t micro_batch = 0;
  PipelineMail::Kind kind = PipelineMail::Kind::activation;
  OpId ready;               // what the next operation of this half waits for
  bool started = false;     // its first operation has been built
  int copy = 0;
  bool has(std::size_t layer) const { return walk != nullptr && layer < walk->layers.size(); }
  const StageWalk::Layer& layer(std::size_t i) const { return walk->layers[i]; }
};

PassEmitter::PassEmitter(const TrainingConfig& config, const Schedule& schedule,
                         const std::vector<StageContent>& stages, const StepPrices& prices, Topology& topology,
                         const LinkCalibration& links, GraphBuilder& graph, PipelineMail& mail)
    : config_(config),
      schedule_(schedule),
      prices_(prices),
      topology_(topology),
      links_(links),
      graph_(graph),
      mail_(mail),
      boundary_(static_cast<double>(prices.tokens()) * config.model.hidden * bytes_per_element(Precision::bf16)) {
  const int directions = 1 + *std::max_element(schedule.direction_of.begin(), schedule.direction_of.end());
  for (int direction = 0; direction < directions; ++direction) path_.push_back(schedule.path(direction));
  for (const StageContent& stage : stages) {
    forward_.push_back(forward_walk(config.model, stage));
    backward_.push_back(reversed(forward_.back()));
  }
}

Label PassEmitter::label(OpName name, const Half& half, std::size_t layer) const {
  const std::uint16_t index = half.has(layer) ? half.layer(layer).index : std::uint16_t{0};
  return {static_cast<std::uint16_t>(name), static_cast<std::uint16_t>(half.stage), half.micro_batch, index};
}

OpId PassEmitter::compute(RankProgram& program, OpName name, const Price& price, double weight, Label label) {
  label.kind = static_cast<std::uint16_t>(name);
  const double stretch = weight / program.rank.speed;
  evidence_.measured += price.by_evidence[0] * stretch;
  evidence_.fitted += price.by_evidence[1] * stretch;
  evidence_.roofline += price.by_evidence[2] * stretch;
  return graph_.compute(program.rank.compute, price.time * stretch, label);
}

void PassEmitter::begin(Half& half, OpId op) {
  if (half.started) return;
  half.started = true;
  const int from = half.stage + (half.kind == PipelineMail::Kind::activation ? -1 : 1);
  if (from >= 0 && from < schedule_.stages) mail_.awaited(half.copy, from, half.micro_batch, half.kind, op);
}

void PassEmitter::chained_compute(RankProgram& program, Half& half, OpName name, const Price& price,
                                  std::size_t layer) {
  const double weight = half.has(layer) ? half.layer(layer).weight : 1.0;
  const OpId previous = graph_.last_on(program.rank.compute);
  const OpId op = compute(program, name, price, weight, label(name, half, layer));
  if (half.ready != previous) follow(graph_, op, half.ready);  // the lane itself keeps the order otherwise
  begin(half, op);
  half.ready = op;
}

void PassEmitter::layer_compute(RankProgram& program, Half& half, OpName name, Phase phase, std::size_t layer,
                                SmShare share, bool chained) {
  if (!half.has(layer)) return;
  const Price& price = prices_.phase(phase, half.layer(layer).moe, program.expert_rank, share);
  if (chained) {
    chained_compute(program, half, name, price, layer);
  } else {
    compute(program, name, price, half.layer(layer).weight, label(name, half, layer));
  }
}

void PassEmitter::expert_transfer(RankProgram& program, Half& half, OpName name, const PortTransfer& transfer,
                                  std::size_t layer) {
  if (!half.has(layer) || !half.layer(layer).moe || config_.plan.expert == 1) return;
  if (!config_.mechanisms.expert_communication) return;
  const LaneId lane = program.rank.communication;
  const ExchangeBarriers::Exchange group = next_exchange(program);
  if (group.entered.valid()) {
    follow(graph_, group.entered, half.ready);
    follow(graph_, group.entered, graph_.last_on(lane));
  }
  const double weight = half.layer(layer).weight;
  OpId op;
  if (weight == 1.0) {
    op = graph_.transfer(lane, transfer.latency, transfer.flows, label(name, half, layer));
  } else {
    std::vector<Flow> part = transfer.flows;
    for (Flow& flow : part) flow.bytes *= weight;
    op = graph_.transfer(lane, transfer.latency * weight, part, label(name, half, layer));
  }
  if (group.entered.valid()) {
    graph_.after(op, group.entered);
    graph_.after(group.left, op);
    begin(half, group.entered);
    half.ready = group.left;
  } else {
    follow(graph_, op, half.ready);
    begin(half, op);
    half.ready = op;
  }
}

ExchangeBarriers::Exchange PassEmitter::next_exchange(RankProgram& program) {
  if (program.barriers == nullptr) return {};
  std::vector<ExchangeBarriers::Exchange>& all = program.barriers->exchanges;
  if (program.next_exchange == all.size()) {
    const Label label{static_cast<std::uint16_t>(OpName::barrier), 0, 0, 0};
    all.push_back({graph_.join(label), graph_.join(label)});
  }
  return all[program.next_exchange++];
}

void PassEmitter::forward_edges(RankProgram& program, Half& half, std::size_t before, SmShare share) {
  if (half.walk == nullptr || before >= half.walk->edges.size()) return;
  for (StageWalk::Edge edge : half.walk->edges[before]) {
    const auto add = [&](OpName name, EdgePhase phase) {
      chained_compute(program, half, name, prices_.edge(phase, share), half.walk->layers.size());
    };
    switch (edge) {
      case StageWalk::Edge::embedding: add(OpName::embedding_forward, EdgePhase::embedding_forward); break;
      case StageWalk::Edge::head: add(OpName::head_forward, EdgePhase::head_forward); break;
      case StageWalk::Edge::mtp_projection:
        add(OpName::mtp_projection_forward, EdgePhase::mtp_projection_forward);
        break;
    }
  }
}

void PassEmitter::backward_edges(RankProgram& program, Half& half, std::size_t before, SmShare share, bool weights) {
  if (half.walk == nullptr || before >= half.walk->edges.size()) return;
  for (StageWalk::Edge edge : half.walk->edges[before]) {
    const auto add = [&](OpName name, EdgePhase phase) {
      chained_compute(program, half, name, prices_.edge(phase, share), half.walk->layers.size());
    };
    switch (edge) {
      case StageWalk::Edge::embedding: add(OpName::embedding_backward, EdgePhase::embedding_backward); break;
      case StageWalk::Edge::head: add(OpName::head_backward, EdgePhase::head_backward); break;
      case StageWalk::Edge::mtp_projection:
        add(OpName::mtp_projection_backward, EdgePhase::mtp_projection_backward);
        break;
    }
  }
  if (weights) weight_edges(program, *half.walk, before, share, label(OpName::head_weight, half, half.walk->layers.size()));
}

void PassEmitter::weight_edges(RankProgram& program, const StageWalk& walk, std::size_t before, SmShare share,
                               Label label) {
  for (StageWalk::Edge edge : walk.edges[before]) {
    if (edge == StageWalk::Edge::head) {
      compute(program, OpName::head_weight, prices_.edge(EdgePhase::head_weight, share), 1.0, label);
    } else if (edge == StageWalk::Edge::mtp_projection) {
      compute(program, OpName::mtp_projection_weight, prices_.edge(EdgePhase::mtp_projection_weight, share), 1.0, label);
    }
  }
}

/// The order of DeepSeek-V3's figure 4. Compute: MLP(B) MLP(W) MLP(F) ATTN(B) ATTN(W) ATTN(F); communication:
/// DISPATCH(F) DISPATCH(B) COMBINE(F) COMBINE(B), where the backward of a combine is a dispatch and comes first in its
/// layer. With one half missing this is a lone forward or backward.
void PassEmitter::interleave(RankProgram& program, Half& forward, Half& backward, bool overlapped, bool weights) {
  const SmShare share = overlapped ? SmShare::beside_communication : SmShare::all;
  // Weight gradients run beside the backward's own communication even when nothing else does.
  const SmShare weight_share = SmShare::beside_communication;
  const ExpertTransfers& expert = program.expert;
  const PortTransfer& dispatch = overlapped ? expert.dispatch_overlapped : expert.dispatch;
  const PortTransfer& combine = overlapped ? expert.combine_overlapped : expert.combine;

  backward_edges(program, backward, 0, share, weights);
  expert_transfer(program, backward, OpName::combine_backward, dispatch, 0);
  forward_edges(program, forward, 0, share);
  layer_compute(program, forward, OpName::attention_forward, Phase::attention_forward, 0, share, true);

  const std::size_t forward_layers = forward.walk != nullptr ? forward.walk->layers.size() : 0;
  const std::size_t backward_layers = backward.walk != nullptr ? backward.walk->layers.size() : 0;
  for (std::size_t i = 0; i < std::max(forward_layers, backward_layers); ++i) {
    expert_transfer(program, forward, OpName::dispatch_forward, dispatch, i);
    layer_compute(program, backward, OpName::mlp_backward, Phase::mlp_backward, i, share, true);
    expert_transfer(program, backward, OpName::dispatch_backward, combine, i);
    if (weights) layer_compute(program, backward, OpName::mlp_weight, Phase::mlp_weight, i, weight_share, false);
    layer_compute(program, forward, OpName::mlp_forward, Phase::mlp_forward, i, share, true);
    expert_transfer(program, forward, OpName::combine_forward, combine, i);
    layer_compute(program, backward, OpName::attention_backward, Phase::attention_backward, i, share, true);
    if (i < backward_layers) backward_edges(program, backward, i + 1, share, weights);
    if (weights) layer_compute(program, backward, OpName::attention_weight, Phase::attention_weight, i, weight_share, false);
    expert_transfer(program, backward, OpName::combine_backward, dispatch, i + 1);
    if (i < forward_layers) forward_edges(program, forward, i + 1, share);
    layer_compute(program, forward, OpName::attention_forward, Phase::attention_forward, i + 1, share, true);
  }
}

void PassEmitter::weight_pass(RankProgram& program, int stage, std::uint16_t micro_batch) {
  const StageWalk& walk = backward_[stage];
  Half half;
  half.walk = &walk;
  half.stage = stage;
  half.micro_batch = micro_batch;
  for (std::size_t i = 0; i <= walk.layers.size(); ++i) {
    weight_edges(program, walk, i, SmShare::all, label(OpName::head_weight, half, walk.layers.size()));
    layer_compute(program, half, OpName::mlp_weight, Phase::mlp_weight, i, SmShare::all, false);
    layer_compute(program, half, OpName::attention_weight, Phase::attention_weight, i, SmShare::all, false);
  }
}

void PassEmitter::send(RankProgram& program, Half& half, int copy, const std::vector<RankId>& peer) {
  if (half.walk == nullptr) return;
  const bool activation = half.kind == PipelineMail::Kind::activation;
  const int next = half.stage + (activation ? 1 : -1);
  if (next < 0 || next >= schedule_.stages) return;
  if (!half.ready.valid()) {  // a stage without any work passes on what it gets
    half.ready = graph_.join({static_cast<std::uint16_t>(OpName::barrier), 0, 0, 0});
    begin(half, half.ready);
  }
  const RankId to = peer[path_[schedule_.direction_of[half.micro_batch]][next].rank];
  OpId op = half.ready;
  if (to != program.rank.gpu && config_.mechanisms.pipeline_transfers) {
    const PortTransfer message = point_to_point(topology_, program.rank.gpu, to, boundary_, &links_);
    const OpName name = activation ? OpName::send_activation : OpName::send_gradient;
    op = graph_.transfer(program.rank.pipeline, message.latency, message.flows, label(name, half, half.walk->layers.size()));
    follow(graph_, op, half.ready);
  }
  mail_.sent(copy, half.stage, half.micro_batch, half.kind, op);
}

void PassEmitter::emit(RankProgram& program, const Pass& pass, int copy, const std::vector<RankId>& peer) {
  const std::vector<int>& stage_of = schedule_.stage_of[program.rank.pipeline_rank];
  const auto half = [&](PipelineMail::Kind kind, int chunk, std::uint16_t micro_batch) {
    Half h;
    h.kind = kind;
    h.stage = stage_of[chunk];
    h.walk = kind == PipelineMail::Kind::activation ? &forward_[h.stage] : &backward_[h.stage];
    h.micro_batch = micro_batch;
    h.copy = copy;
    return h;
  };
  Half forward, backward;
  switch (pass.kind) {
    case PassKind::forward: forward = half(PipelineMail::Kind::activation, pass.chunk, pass.micro_batch); break;
    case PassKind::backward:
    case PassKind::backward_input: backward = half(PipelineMail::Kind::gradient, pass.chunk, pass.micro_batch); break;
    case PassKind::backward_weight: weight_pass(program, stage_of[pass.chunk], pass.micro_batch); return;
    case PassKind::overlapped:
      forward = half(PipelineMail::Kind::activation, pass.chunk, pass.micro_batch);
      backward = half(PipelineMail::Kind::gradient, pass.backward_chunk, pass.backward_micro_batch);
      break;
  }
  if (backward.walk != nullptr && config_.recompute.full_layer) {
    // The forward of the same micro-batch again, exchanges included, before its backward.
    Half again = half(PipelineMail::Kind::activation, pass.kind == PassKind::overlapped ? pass.backward_chunk : pass.chunk,
                      backward.micro_batch);
    Half nothing;
    again.started = true;  // its input was kept
    interleave(program, again, nothing, false, false);
  }
  interleave(program, forward, backward, pass.kind == PassKind::overlapped, pass.kind != PassKind::backward_input);
  send(program, forward, copy, peer);
  send(program, backward, copy, peer);
}

}  // namespace flopcast
