#include "workloads/training/passes/pass_emitter.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

namespace {

void follow(GraphBuilder& graph, OpId op, OpId before) {
  if (before.valid()) graph.after(op, before);
}

bool stops_for_messages(const TrainingConfig& config) {
  return config.software.blocking_messages && config.plan.pipeline > 1;
}

/// Compute that goes slower because a collective runs beside it.
void share_sms(const TrainingConfig& config, GraphBuilder& graph, LaneId lane, Seconds collective, Seconds compute,
               Label label) {
  if (!config.mechanisms.communication_sms) return;
  const Seconds slower = std::min(collective, compute) * config.overheads.collective_share;
  if (slower > Seconds(0)) graph.compute(lane, slower, label);
}

/// The stage `step` further on; invalid beyond either end.
StageId stage_beside(const Schedule& schedule, StageId stage, int step) {
  const int index = static_cast<int>(stage.index()) + step;
  return index >= 0 && index < schedule.stages ? StageId::at(index) : StageId();
}

}  // namespace

PassEmitter::PassEmitter(const TrainingConfig& config, const Schedule& schedule,
                         const std::vector<StageContent>& stages, const StepPrices& prices, Topology& topology,
                         const LinkCalibration& links, GraphBuilder& graph, PipelineMail& mail, ShardTraffic& shards,
                         const ShardPlan& shard_plan, const UnitParameters& units)
    : config_(config),
      schedule_(schedule),
      prices_(prices),
      topology_(topology),
      links_(links),
      graph_(graph),
      mail_(mail),
      shards_(shards),
      shard_plan_(shard_plan),
      units_(units),
      boundary_(prices.message()) {
  const int directions = 1 + *std::max_element(schedule.direction_of.begin(), schedule.direction_of.end());
  for (int direction = 0; direction < directions; ++direction) path_.push_back(schedule.path(direction));
  for (const StageContent& stage : stages) {
    forward_.push_back(forward_walk(config.model, stage));
    backward_.push_back(reversed(forward_.back()));
  }
}

void PassEmitter::set_stage(std::size_t stage, const StageContent& content) {
  forward_[stage] = forward_walk(config_.model, content);
  backward_[stage] = reversed(forward_[stage]);
}

void PassEmitter::gather(RankProgram& program, Half& half, std::size_t layer) {
  half.parameters = OpId();
  if (!half.gathers || (!half.has(layer) && layer > 0)) return;
  // Room for one layer beside the one that computes: the next gather starts when the layer before it has
  // ended.
  const OpId after = shard_plan_.gather_always ? program.layer_ends[0] : OpId();
  const StageParameters of = unit(config_.plan.zero_stage >= 3 ? units_.held : units_.trained, half, layer);
  const ShardTraffic::Sent sent = shards_.gather(program, of, after);
  half.parameters = sent.done;
  program.layer_ends = {program.layer_ends[1], graph_.last_on(program.rank.compute)};
  if (!sent.done.valid()) return;
  // It ran beside the layer before.
  const bool forward = half.kind == PipelineMail::Kind::activation;
  if (layer > 0)
    share_sms(
        config_, graph_, program.rank.compute, sent.alone,
        forward ? forward_time(prices_, program, half, layer - 1) : backward_time(prices_, program, half, layer - 1),
        label(OpName::collective_share, half, layer));
  const OpId previous = graph_.last_on(program.rank.compute);
  const OpId copied = copy_shards(program, of, 2 * bytes_per_element(config_.precision.parameters),
                                  label(OpName::shard_copy, half, layer));
  if (!copied.valid()) return;
  if (half.ready != previous) follow(graph_, copied, half.ready);
  follow(graph_, copied, sent.done);
  half.parameters = OpId();
  begin(half, copied);
  half.ready = copied;
}

OpId PassEmitter::copy_shards(RankProgram& program, const StageParameters& unit, double bytes, Label label) {
  if (!config_.software.shard_copies) return {};
  const Price price = prices_.copy(Bytes((unit.replicated + unit.expert) * bytes));
  return graph_.compute(program.rank.compute, price.time / program.rank.speed, label);
}

void PassEmitter::reduce(RankProgram& program, const Half& half, std::size_t layer, Seconds beside) {
  if (!half.reduces || (!half.has(layer) && layer > 0)) return;
  const StageParameters of = unit(units_.trained, half, layer);
  // The copies belong to the collective, as those of gather() do.
  if (config_.mechanisms.gradient_collectives && config_.plan.zero_stage >= 1 && config_.plan.shards() > 1)
    copy_shards(program, of, bytes_per_element(Precision::bf16) + bytes_per_element(config_.precision.gradients),
                label(OpName::shard_copy, half, layer));
  const OpId last = graph_.last_on(program.rank.compute);
  const ShardTraffic::Sent sent = shards_.scatter(program, of, last, half.sums);
  share_sms(config_, graph_, program.rank.compute, sent.alone, beside, label(OpName::collective_share, half, layer));
}

/// What a phase says within its group, as far as nothing hides it, keeps the GPU from going on.
void PassEmitter::exchange(RankProgram& program, Half& half, const Price& price, double weight, Label label) {
  if (price.exchange <= Seconds(0) || !config_.mechanisms.tensor_context_communication) return;
  label.kind = static_cast<std::uint16_t>(OpName::layer_exchange);
  ExchangeBarriers::Exchange gate;
  if (program.tensor_barriers != nullptr) {
    gate = next_exchange(graph_, *program.tensor_barriers, program.next_tensor);
    follow(graph_, gate.entered, half.ready);
  }
  const bool healthy = program.port_speeds == ExchangeTimes::GroupSpeeds{};
  const Seconds time = healthy ? price.exchange : prices_.exchange(price, program.port_speeds);
  const OpId op = graph_.transfer(program.rank.compute, time * weight, {}, label);
  if (gate.entered.valid()) {
    graph_.after(op, gate.entered);
    graph_.after(gate.left, op);
  }
  half.ready = gate.left.valid() ? gate.left : op;
}

OpId PassEmitter::compute(RankProgram& program, OpName name, const Price& price, double weight, Label label) {
  label.kind = static_cast<std::uint16_t>(name);
  const double stretch = weight / program.rank.speed;
  evidence_.measured += price.by_evidence[0] * (stretch * times_);
  evidence_.fitted += price.by_evidence[1] * (stretch * times_);
  evidence_.roofline += price.by_evidence[2] * (stretch * times_);
  auto& sources = sources_.of[static_cast<std::size_t>(name)];
  for (std::size_t i = 0; i < sources.size(); ++i) sources[i] += price.by_source[i] * (stretch * times_);
  sources_.host[static_cast<std::size_t>(name)] += price.host * (stretch * times_);
  sources_.host_beside[static_cast<std::size_t>(name)] += price.host_beside * (stretch * times_);
  host_.within += price.host * stretch;
  host_.beside += price.host_beside * stretch;
  return graph_.compute(program.rank.compute, price.time * stretch, label);
}

void PassEmitter::begin(Half& half, OpId op) {
  if (half.started) return;
  half.started = true;
  await_mail(half, op);
}

void PassEmitter::await_mail(const Half& half, OpId op) {
  const bool activation = half.kind == PipelineMail::Kind::activation;
  if (const StageId from = stage_beside(schedule_, half.stage, activation ? -1 : 1); from.valid())
    mail_.awaited(half.copy, from, half.micro_batch, half.kind, op);
}

void PassEmitter::chained_compute(RankProgram& program, Half& half, OpName name, const Price& price,
                                  std::size_t layer) {
  const double weight = half.has(layer) ? half.layer(layer).weight : 1.0;
  const OpId previous = graph_.last_on(program.rank.compute);
  const OpId op = compute(program, name, price, weight, label(name, half, layer));
  if (half.ready != previous) follow(graph_, op, half.ready);  // the lane itself keeps the order otherwise
  follow(graph_, op, half.parameters);
  half.parameters = OpId();
  begin(half, op);
  half.ready = op;
  exchange(program, half, price, weight, label(name, half, layer));
}

void PassEmitter::layer_compute(RankProgram& program, Half& half, OpName name, Phase phase, std::size_t layer,
                                SmShare share, bool chained) {
  if (!half.has(layer)) return;
  const bool moe = half.layer(layer).moe;
  const Price& price = half.again && phase == Phase::mlp_forward
                           ? prices_.mlp_again(moe, program.expert_rank, share)
                           : prices_.phase(phase, moe, program.expert_rank, share);
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
  ExchangeBarriers::Exchange group;
  if (program.barriers != nullptr) group = next_exchange(graph_, *program.barriers, program.next_exchange);
  if (group.entered.valid()) {
    follow(graph_, group.entered, half.ready);
    follow(graph_, group.entered, graph_.last_on(lane));
  }
  const double weight = half.layer(layer).weight;
  Seconds latency = transfer.latency;
  if (name == OpName::dispatch_forward && !sends_tokens_once(config_.plan.dispatcher))
    latency += config_.mechanisms.host ? config_.software.host_sizes : Seconds(0);
  OpId op;
  if (weight == 1.0) {
    op = graph_.transfer(lane, latency, transfer.flows, label(name, half, layer));
  } else {
    std::vector<Flow> part = transfer.flows;
    for (Flow& flow : part) flow.bytes *= weight;
    op = graph_.transfer(lane, latency * weight, part, label(name, half, layer));
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

/// Shared experts need nothing of the exchange that is under way: they wait for what it waited for.
void PassEmitter::shared_expert(RankProgram& program, Half& half, OpName name, Phase phase, std::size_t layer,
                                SmShare share, OpId before) {
  if (!config_.plan.shared_expert_overlap || !half.has(layer) || !half.layer(layer).moe) return;
  const Price& price = prices_.phase(phase, true, program.expert_rank, share);
  if (price.time <= Seconds(0)) return;
  const OpId op = compute(program, name, price, half.layer(layer).weight, label(name, half, layer));
  if (before.valid()) {
    graph_.after(op, before);
  } else {
    await_mail(half, op);
  }
}

void PassEmitter::forward_edges(RankProgram& program, Half& half, std::size_t before, SmShare share) {
  if (half.walk == nullptr || before >= half.walk->edges.size()) return;
  for (StageWalk::Edge edge : half.walk->edges[before]) {
    const auto add = [&](OpName name, EdgePhase phase) {
      chained_compute(program, half, name, prices_.edge(phase, share), half.walk->layers.size());
    };
    switch (edge) {
      case StageWalk::Edge::embedding:
        add(OpName::embedding_forward, EdgePhase::embedding_forward);
        break;
      case StageWalk::Edge::head:
        add(OpName::head_forward, EdgePhase::head_forward);
        break;
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
      case StageWalk::Edge::embedding:
        add(OpName::embedding_backward, EdgePhase::embedding_backward);
        break;
      case StageWalk::Edge::head:
        add(OpName::head_backward, EdgePhase::head_backward);
        break;
      case StageWalk::Edge::mtp_projection:
        add(OpName::mtp_projection_backward, EdgePhase::mtp_projection_backward);
        break;
    }
  }
  if (weights)
    weight_edges(program, *half.walk, before, share, label(OpName::head_weight, half, half.walk->layers.size()));
}

void PassEmitter::weight_edges(RankProgram& program, const StageWalk& walk, std::size_t before, SmShare share,
                               Label label) {
  for (StageWalk::Edge edge : walk.edges[before]) {
    if (edge == StageWalk::Edge::head) {
      compute(program, OpName::head_weight, prices_.edge(EdgePhase::head_weight, share), 1.0, label);
    } else if (edge == StageWalk::Edge::mtp_projection) {
      compute(program, OpName::mtp_projection_weight, prices_.edge(EdgePhase::mtp_projection_weight, share), 1.0,
              label);
    }
  }
}

/// The order of DeepSeek-V3's figure 4. Compute: MLP(B) MLP(W) MLP(F) ATTN(B) ATTN(W) ATTN(F); communication:
/// DISPATCH(F) DISPATCH(B) COMBINE(F) COMBINE(B), where the backward of a combine is a dispatch and comes
/// first in its layer. With one half missing this is a lone forward or backward.
void PassEmitter::interleave(RankProgram& program, Half& forward, Half& backward, bool overlapped, bool weights) {
  const SmShare share = overlapped ? SmShare::beside_communication : SmShare::all;
  // Weight gradients run beside the backward's own communication even when nothing else does.
  const SmShare weight_share = SmShare::beside_communication;
  // Autograd computes them with the gradients of inputs.
  const bool at_once = weights && forward.walk == nullptr && config_.software.autograd;
  const ExpertTransfers& expert = program.expert;
  const PortTransfer& dispatch = overlapped ? expert.dispatch_overlapped : expert.dispatch;
  const PortTransfer& combine = overlapped ? expert.combine_overlapped : expert.combine;

  // Shared experts of a layer run while its tokens travel, where the plan says so.
  const auto shared_forward = [&](std::size_t i, OpId before) {
    shared_expert(program, forward, OpName::shared_forward, Phase::shared_forward, i, share, before);
  };
  const auto enter_backward = [&](std::size_t i) {
    gather(program, backward, i);
    const OpId before = backward.ready;
    expert_transfer(program, backward, OpName::combine_backward, dispatch, i);
    shared_expert(program, backward, OpName::shared_backward, Phase::shared_backward, i, share, before);
  };
  const auto enter_forward = [&](std::size_t i) {
    gather(program, forward, i);
    forward_edges(program, forward, i, share);
    layer_compute(program, forward, OpName::attention_forward, Phase::attention_forward, i, share, true);
  };

  backward_edges(program, backward, 0, share, weights);
  enter_backward(0);
  enter_forward(0);

  const std::size_t forward_layers = forward.walk != nullptr ? forward.walk->layers.size() : 0;
  const std::size_t backward_layers = backward.walk != nullptr ? backward.walk->layers.size() : 0;
  for (std::size_t i = 0; i < std::max(forward_layers, backward_layers); ++i) {
    const OpId attended = forward.ready;
    expert_transfer(program, forward, OpName::dispatch_forward, dispatch, i);
    shared_forward(i, attended);
    layer_compute(program, backward, OpName::mlp_backward, Phase::mlp_backward, i, share, true);
    if (at_once) layer_compute(program, backward, OpName::mlp_weight, Phase::mlp_weight, i, share, true);
    expert_transfer(program, backward, OpName::dispatch_backward, combine, i);
    if (weights && !at_once)
      layer_compute(program, backward, OpName::mlp_weight, Phase::mlp_weight, i, weight_share, false);
    layer_compute(program, forward, OpName::mlp_forward, Phase::mlp_forward, i, share, true);
    // Nothing behind the experts' products is kept for the backward pass: a layer done again can end there.
    if (!forward.again || !config_.software.stops_early)
      expert_transfer(program, forward, OpName::combine_forward, combine, i);
    layer_compute(program, backward, OpName::attention_backward, Phase::attention_backward, i, share, true);
    if (i < backward_layers) backward_edges(program, backward, i + 1, share, weights);
    if (weights)
      layer_compute(program, backward, OpName::attention_weight, Phase::attention_weight, i,
                    at_once ? share : weight_share, at_once);
    if (weights) reduce(program, backward, i, backward_time(prices_, program, backward, i));
    enter_backward(i + 1);
    if (i < forward_layers) enter_forward(i + 1);
  }
  if (weights && backward.walk != nullptr && backward_layers == 0) reduce(program, backward, 0, Seconds(0));
}

void PassEmitter::weight_pass(RankProgram& program, StageId stage, MicroBatchId micro_batch, bool last) {
  const StageWalk& walk = backward_[stage.index()];
  Half half;
  half.walk = &walk;
  half.stage = stage;
  half.micro_batch = micro_batch;
  set_reduces(half, shard_plan_, last);
  for (std::size_t i = 0; i <= walk.layers.size(); ++i) {
    weight_edges(program, walk, i, SmShare::all, label(OpName::head_weight, half, walk.layers.size()));
    layer_compute(program, half, OpName::mlp_weight, Phase::mlp_weight, i, SmShare::all, false);
    layer_compute(program, half, OpName::attention_weight, Phase::attention_weight, i, SmShare::all, false);
    reduce(program, half, i, backward_time(prices_, program, half, i));
  }
}

void PassEmitter::send(RankProgram& program, Half& half, const std::vector<RankId>& peer) {
  if (half.walk == nullptr) return;
  const bool activation = half.kind == PipelineMail::Kind::activation;
  const StageId next = stage_beside(schedule_, half.stage, activation ? 1 : -1);
  if (!next.valid()) return;
  if (!half.ready.valid()) {  // a stage without any work passes on what it gets
    half.ready = graph_.join({static_cast<std::uint16_t>(OpName::barrier), 0, 0, 0});
    begin(half, half.ready);
  }
  const RankId to = peer[path_[schedule_.direction_of[half.micro_batch.index()]][next.index()].rank];
  OpId op = half.ready;
  if (to != program.rank.gpu && config_.mechanisms.pipeline_transfers) {
    PortTransfer message = point_to_point(topology_, program.rank.gpu, to, boundary_.bytes, &links_);
    message.latency += boundary_.gather;
    const OpName name = activation ? OpName::send_activation : OpName::send_gradient;
    op = graph_.transfer(program.rank.pipeline, message.latency, message.flows,
                         label(name, half, half.walk->layers.size()));
    follow(graph_, op, half.ready);
  }
  if (op != half.ready && !program.pass_ends.empty()) program.pass_ends.back().sent[activation ? 0 : 1] = op;
  mail_.sent(half.copy, half.stage, half.micro_batch, half.kind, op);
}

/// The host takes its time for each message that comes in, with nothing queued on the GPU.
void PassEmitter::enter(RankProgram& program, Half& forward, Half& backward) {
  int messages = 0;
  Half* any = nullptr;
  for (Half* half : {&forward, &backward}) {
    if (half->walk == nullptr) continue;
    any = half;
    messages +=
        stage_beside(schedule_, half->stage, half->kind == PipelineMail::Kind::activation ? -1 : 1).valid() ? 1 : 0;
  }
  const Label name = any != nullptr ? label(OpName::host, *any, any->walk->layers.size())
                                    : Label{static_cast<std::uint16_t>(OpName::host), 0, 0, 0};
  const Seconds each = config_.mechanisms.host ? config_.software.host_message : Seconds(0);
  const OpId entry = graph_.compute(program.rank.compute, each * messages, name);
  program.pass_ends.push_back({entry, entry, {}});
  for (Half* half : {&forward, &backward}) {
    if (half->walk == nullptr) continue;
    begin(*half, entry);
    half->ready = entry;
  }
}

void PassEmitter::recompute(RankProgram& program, Half again) {
  const std::size_t most = static_cast<std::size_t>(config_.recompute.full_layers);
  // Layers alone: embedding and head are not done again.
  StageWalk layers = *again.walk;
  if (most > 0 && most < layers.layers.size()) {
    layers.layers.resize(most);
    layers.edges.assign(most + 1, {});
  }
  for (auto& edges : layers.edges)
    std::erase_if(edges, [](StageWalk::Edge edge) { return edge != StageWalk::Edge::mtp_projection; });
  again.walk = &layers;
  Half nothing;
  again.started = true;  // its input was kept
  interleave(program, again, nothing, false, false);
}

void PassEmitter::emit(RankProgram& program, const Pass& pass, CopyId copy, const std::vector<RankId>& peer,
                       std::int64_t times) {
  times_ = static_cast<double>(times);
  host_ = {};
  const std::vector<int>& stage_of = schedule_.stage_of[program.rank.pipeline_rank];
  const auto stage_in = [&](int chunk) { return StageId::at(stage_of[chunk]); };
  program.forwards.resize(stage_of.size());
  program.weight_gradients.resize(stage_of.size());
  const auto first_forward = [&](int chunk) { return program.forwards[chunk]++ == 0; };
  const auto last_weights = [&](int chunk) { return ++program.weight_gradients[chunk] == schedule_.micro_batches; };
  const auto half = [&](PipelineMail::Kind kind, int chunk, int micro_batch, bool weights) {
    const bool forward = kind == PipelineMail::Kind::activation;
    Half h;
    h.kind = kind;
    h.stage = stage_in(chunk);
    h.walk = forward ? &forward_[h.stage.index()] : &backward_[h.stage.index()];
    h.micro_batch = MicroBatchId::at(micro_batch);
    h.copy = copy;
    h.gathers = shard_plan_.gather_always;
    if (forward && first_forward(chunk)) h.gathers |= shard_plan_.gather_first;
    if (weights) set_reduces(h, shard_plan_, last_weights(chunk));
    return h;
  };
  const bool overlapped = pass.kind == PassKind::overlapped;
  const int backward_chunk = overlapped ? pass.backward_chunk : pass.chunk;
  const bool weights = pass.kind == PassKind::backward || overlapped;
  Half forward, backward;
  switch (pass.kind) {
    case PassKind::forward:
      forward = half(PipelineMail::Kind::activation, pass.chunk, pass.micro_batch, false);
      break;
    case PassKind::backward:
    case PassKind::backward_input:
      backward = half(PipelineMail::Kind::gradient, pass.chunk, pass.micro_batch, weights);
      break;
    case PassKind::backward_weight:
      if (stops_for_messages(config_)) enter(program, forward, backward);
      weight_pass(program, stage_in(pass.chunk), MicroBatchId::at(pass.micro_batch), last_weights(pass.chunk));
      if (stops_for_messages(config_)) program.pass_ends.back().exit = graph_.last_on(program.rank.compute);
      return;
    case PassKind::overlapped:
      forward = half(PipelineMail::Kind::activation, pass.chunk, pass.micro_batch, false);
      backward = half(PipelineMail::Kind::gradient, pass.backward_chunk, pass.backward_micro_batch, true);
      break;
  }
  if (stops_for_messages(config_)) enter(program, forward, backward);
  if (backward.walk != nullptr && config_.recompute.full_layer) {
    // The forward of the same micro-batch again, exchanges included, before its backward.
    Half again;
    again.stage = stage_in(backward_chunk);
    again.walk = &forward_[again.stage.index()];
    again.micro_batch = backward.micro_batch;
    again.copy = copy;
    again.again = true;
    // What is gathered for a layer's backward serves both.
    recompute(program, again);
  }
  interleave(program, forward, backward, overlapped, pass.kind != PassKind::backward_input);
  if (stops_for_messages(config_)) program.pass_ends.back().exit = graph_.last_on(program.rank.compute);
  send(program, forward, peer);
  send(program, backward, peer);
}

}  // namespace flopcast
