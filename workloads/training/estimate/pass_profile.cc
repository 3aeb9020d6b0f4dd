#include "workloads/training/estimate/pass_profile.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <set>

#include "workloads/training/passes/expert_groups.h"
#include "workloads/training/passes/pass_emitter.h"

namespace flopcast {

namespace {

/// No input of that kind, or none that anything waits for.
constexpr Seconds kAnyTime(1e9);

/// Layers of a kind that are built one by one; from there on each adds the same.
constexpr int kLayersBuilt = 3;

/// The pass in question runs on rank 0 of three, its forward through stage 1, its backward through stage 4, so that
/// either has a neighbour before it on rank 1 and one after it on rank 2.
constexpr int kStages = 6;
constexpr int kForwardStage = 1, kBackwardStage = 4;
constexpr int kMicroBatches = 4;

const Schedule& three_ranks() {
  static const Schedule kThree = [] {
    Schedule schedule;
    schedule.name = "one pass";
    schedule.ranks = 3;
    schedule.stages = kStages;
    schedule.micro_batches = kMicroBatches;
    schedule.stage_of = {{1, 4}, {0, 3}, {2, 5}};
    schedule.direction_of.assign(kMicroBatches, 0);
    schedule.order.resize(3);
    return schedule;
  }();
  return kThree;
}

/// Enough for most passes of a few layers, so that their graphs grow in place.
constexpr std::size_t kOperationsOfPass = 192;

bool has_forward(PassKind kind) { return kind == PassKind::forward || kind == PassKind::overlapped; }
bool has_backward(PassKind kind) {
  return kind == PassKind::backward || kind == PassKind::backward_input || kind == PassKind::overlapped;
}

/// A spread of GPU speeds stretches compute afterwards, so that prices serve every length of the pipeline.
TrainingConfig at_nominal_speed(TrainingConfig config) {
  config.mechanisms.gpu_speed_spread = 0;
  config.plan.data *= config.plan.pipeline;
  config.plan.pipeline = 1;
  return config;
}

Seconds time_alone(const PortTransfer& transfer, const Network& network) {
  Seconds flowing;
  for (const Flow& flow : transfer.flows) flowing = std::max(flowing, flow.bytes / network.bottleneck(flow.route));
  return transfer.latency + flowing;
}

double highest(std::span<const double> loads) { return *std::max_element(loads.begin(), loads.end()); }

}  // namespace

PassProfile extrapolated(const PassProfile& a, const PassProfile& b, double times) {
  PassProfile r = b;
  const auto grow = [&](Seconds PassProfile::*field) { r.*field = a.*field + times * (b.*field - a.*field); };
  for (auto field : {&PassProfile::compute_end, &PassProfile::communication_end, &PassProfile::forward_ready,
                     &PassProfile::backward_ready, &PassProfile::backward_slack, &PassProfile::gradients,
                     &PassProfile::gradients_end, &PassProfile::gather, &PassProfile::port, &PassProfile::busy,
                     &PassProfile::exchanged}) {
    grow(field);
  }
  return r;
}

// ------------------------------------------------------------------------------------------------ prices

TokenExchange::TokenExchange(const TrainingConfig& config, std::span<const double> rank_loads, Topology& topology,
                             const LinkCalibration& links) {
  const TrainingConfig nominal = at_nominal_speed(config);
  const JobGrid grid(nominal.plan);
  const int hottest = static_cast<int>(std::max_element(rank_loads.begin(), rank_loads.end()) - rank_loads.begin());
  position = hottest * grid.expert_tensor;
  if (nominal.model.moe.experts == 0 || grid.expert == 1) return;
  ExpertGroups groups(nominal, grid, rank_loads, StepPrices::sent_tokens(nominal), topology, links);
  std::vector<RankProgram> programs(1);
  programs.front().position = position;
  programs.front().expert_rank = hottest;
  programs.front().rank.gpu = grid.gpu(0, position);
  groups.connect(programs, true);
  transfers = programs.front().expert;
  if (nominal.mechanisms.expert_communication) {
    alone =
        2 * (time_alone(transfers.dispatch, topology.network()) + time_alone(transfers.combine, topology.network()));
  }
}

PassPrices::PassPrices(const TrainingConfig& config, std::span<const double> rank_loads, KernelMemo& kernels,
                       const TokenExchange& tokens, const Topology& topology, const LinkCalibration& links)
    : config_(at_nominal_speed(config)),
      hottest_load_(highest(rank_loads)),
      tokens_(tokens),
      exchanges_(config_, topology.cluster(), links),
      prices_(config_, kernels, exchanges_, std::span(&hottest_load_, 1)) {}

// ------------------------------------------------------------------------------------------------ longest paths

void LongestPaths::take(const OperationGraph& graph, const Network& network, double stretch) {
  graph_ = &graph;
  duration_.resize(graph.size());
  end_.resize(graph.size());
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    Seconds time = graph.duration(op);
    if (graph.kind(op) == OpKind::compute) {
      const auto name = static_cast<OpName>(graph.label(op).kind);
      if (name != OpName::host && name != OpName::collective_share) time *= stretch;
    }
    Seconds flowing;
    for (const Flow& flow : graph.flows(op)) {
      flowing = std::max(flowing, flow.bytes / network.bottleneck(flow.route));
    }
    duration_[i] = time + flowing;
  }
}

void LongestPaths::run(std::span<const std::pair<OpId, Seconds>> late) {
  std::fill(end_.begin(), end_.end(), Seconds());
  for (const auto& [op, by] : late) end_[op.index()] = by;
  for (std::size_t i = 0; i < graph_->size(); ++i) {
    end_[i] += duration_[i];
    for (const OpId next : graph_->successors(OpId::at(i))) {
      assert(next.index() > i);
      end_[next.index()] = std::max(end_[next.index()], end_[i]);
    }
  }
}

Seconds LongestPaths::makespan() const { return *std::max_element(end_.begin(), end_.end()); }

// ------------------------------------------------------------------------------------------------ profiles

namespace {

/// Where shard groups lie on nodes in several ways (hybrid sharding), the step is that of a group over most nodes; with
/// experts that of the hottest, whatever its shards.
int slowest_position(const TrainingConfig& config, const JobGrid& grid, int hottest, int gpus_per_node) {
  if (!config.plan.hybrid() || grid.expert > 1) return hottest;
  const ShardGroups groups(config.plan, grid);
  int slowest = hottest;
  std::size_t most = 0;
  for (int replica = 0; replica < grid.replicas; replica += config.plan.shards()) {
    const int position = replica * grid.tensor + grid.tensor_rank(hottest);
    std::set<std::size_t> nodes;
    for (const RankId gpu : groups.dense(0, position, false))
      nodes.insert(gpu.index() / static_cast<std::size_t>(gpus_per_node));
    if (nodes.size() <= most) continue;
    most = nodes.size();
    slowest = position;
  }
  return slowest;
}

}  // namespace

/// Where passes are built, one after the other, on the same lanes.
class PassProfiles::Bench {
 public:
  explicit Bench(PassProfiles& of)
      : shards(of.config_, of.grid_, of.topology_, of.links_, graph, &of.shares_),
        mail(1, kStages, kMicroBatches),
        emitter(of.config_, three_ranks(), std::vector<StageContent>(kStages), of.prices_.prices(), of.topology_,
                of.links_, graph, mail, shards, of.beside_, of.units_) {
    graph.reserve(kOperationsOfPass, 2 * kOperationsOfPass, 2 * kOperationsOfPass);
    ReplayedRank& rank = program.rank;
    const RankId gpu = of.grid_.gpu(0, of.position_);  // nobody reads whose lanes they are
    rank.compute = graph.add_lane(gpu, "compute");
    rank.communication = graph.add_lane(gpu, "communication");
    rank.pipeline = graph.add_lane(gpu, "pipeline");
    rank.gradients = graph.add_lane(gpu, "gradients");
    rank.parameters = graph.add_lane(gpu, "parameters");
    for (const char* name : {"activations", "gradients", "there"}) sources.push_back(graph.add_lane(gpu, name));
    program.expert = of.prices_.expert();
  }

  void start_again(int position, const JobGrid& grid) {
    graph.start_again();
    mail.clear();
    program.position = position;
    program.rank.gpu = grid.gpu(0, position);
    program.layer_ends = {};
    program.pass_ends.clear();
    const RankId neighbour = grid.gpu(std::min(1, grid.pipeline - 1), position);
    peer.assign({program.rank.gpu, neighbour, neighbour});
  }
  void set_stages(const StageContent& forward, const StageContent& backward) {
    const auto set = [&](std::size_t stage, StageContent& known, const StageContent& content) {
      if (same_content(known, content) && known.first_layer == content.first_layer) return;
      known = content;
      emitter.set_stage(stage, content);
    };
    set(kForwardStage, forward_, forward);
    set(kBackwardStage, backward_, backward);
  }

  GraphBuilder graph;  // nobody reads the names of its operations
  ShardTraffic shards;
  PipelineMail mail;
  PassEmitter emitter;
  RankProgram program;
  std::vector<LaneId> sources;
  std::vector<RankId> peer;
  LongestPaths paths;

 private:
  StageContent forward_, backward_;
};

PassProfiles::~PassProfiles() = default;

PassProfiles::PassProfiles(const TrainingConfig& config, const PassPrices& prices, Topology& topology,
                           const LinkCalibration& links, const ShardPlan& beside, const ParameterCount& count,
                           Known& plain, ShardTraffic::Shares& shares)
    : config_(config),
      prices_(prices),
      topology_(topology),
      links_(links),
      beside_(beside),
      units_(config, count),
      grid_(config.plan),
      stretch_(spread_factor(config)),
      position_(slowest_position(config, grid_, prices.position(), topology.cluster().node.gpus)),
      plain_(plain),
      shares_(shares) {
  if (grid_.pipeline < 2 || !config.mechanisms.pipeline_transfers) return;
  const StepPrices::Message boundary = prices.prices().message();
  const PortTransfer message = point_to_point(topology, grid_.gpu(0, prices.position()),
                                              grid_.gpu(1, prices.position()), boundary.bytes, &links);
  message_ = time_alone(message, topology.network()) + boundary.gather;
}

PassProfiles::ContentKey PassProfiles::key(const StageContent& c) {
  return {c.dense_layers, c.moe_layers, c.embedding, c.head, c.mtp_modules};
}

const PassProfile& PassProfiles::profile(PassKind kind, At at, const StageContent& forward,
                                         const StageContent& backward) {
  static const StageContent kNothing;
  const StageContent& f = has_forward(kind) ? forward : kNothing;
  const StageContent& b = kind == PassKind::forward ? kNothing : backward;
  const bool alone = at == At::midst && !beside_.gather_always && !beside_.reduce_always;
  const auto [found, fresh] = (alone ? plain_ : known_).try_emplace({kind, at, key(f), key(b)});
  if (!fresh) return found->second;

  // Of many layers of a kind a few are built. Both halves lose the same number, so that they stay beside each other.
  const double built = std::max<double>(kLayersBuilt, config_.recompute.full_layers + 1);
  const auto spare = [&](double StageContent::*layers) {
    double most = std::numeric_limits<double>::infinity();
    if (has_forward(kind)) most = std::min(most, f.*layers - built);
    if (kind != PassKind::forward) most = std::min(most, b.*layers - built);
    return most > 1 ? std::floor(most) : 0.0;
  };
  PassProfile result;
  const auto reduced = [&](double StageContent::*layers, double by) {
    StageContent less_f = f, less_b = b;
    if (has_forward(kind)) less_f.*layers -= by;
    if (kind != PassKind::forward) less_b.*layers -= by;
    return profile(kind, at, less_f, less_b);
  };
  if (const double by = spare(&StageContent::moe_layers); by > 0) {
    result = extrapolated(reduced(&StageContent::moe_layers, by), reduced(&StageContent::moe_layers, by - 1), by);
  } else if (const double less = spare(&StageContent::dense_layers); less > 0) {
    result =
        extrapolated(reduced(&StageContent::dense_layers, less), reduced(&StageContent::dense_layers, less - 1), less);
  } else {
    result = emitted(kind, at, f, b);
  }
  return found->second = result;
}

/// Tokens, parameters and gradients take the same ports. While a collective of data parallelism is under way, tokens
/// travel at half the rate that they have alone; and nothing is faster than its port.
void PassProfiles::share_ports(const OperationGraph& built, std::size_t first, const RankProgram& program,
                               PassProfile& result) const {
  struct Load {
    LinkId link;
    Seconds tokens, shards, all;
  };
  std::vector<Load> loads;  // of a handful of links
  const auto load_of = [&](LinkId link) -> Load& {
    const auto known = std::find_if(loads.begin(), loads.end(), [&](const Load& load) { return load.link == link; });
    return known != loads.end() ? *known : loads.emplace_back(Load{link, {}, {}, {}});
  };
  const Network& network = topology_.network();
  for (std::size_t i = first; i < built.size(); ++i) {
    const LaneId lane = built.lane(OpId::at(i));
    for (const Flow& flow : built.flows(OpId::at(i))) {
      for (const LinkId link : network.route(flow.route)) {
        if (!network.link(link).shared) continue;
        const Seconds time = flow.bytes / network.link(link).bandwidth;
        Load& load = load_of(link);
        load.all += time;
        if (lane == program.rank.communication) load.tokens += time;
        if (lane == program.rank.gradients || lane == program.rank.parameters) load.shards += time;
      }
    }
  }
  Seconds slower;
  for (const Load& load : loads) {
    result.port = std::max(result.port, load.all);
    if (result.compute_end <= Seconds(0)) continue;
    slower = std::max(slower, load.tokens * std::min(1.0, load.shards / result.compute_end));
  }
  // Where forward and backward overlap, compute hides tokens: what is hidden may take longer.
  const Seconds hidden = std::max(Seconds(), result.busy + result.exchanged - result.port);
  slower = result.forward_ready > Seconds(0) && result.backward_ready > Seconds(0)
               ? std::max(Seconds(), slower - hidden)
               : slower;
  // Parameters come at most two layers ahead, so that what passes through the port for a pass does so during it.
  if (beside_.gather_always) {
    slower = std::max(slower, result.port - result.compute_end);
    const Seconds late = std::max(Seconds(), result.compute_end + slower - result.busy - result.exchanged);
    result.ahead = std::min(2 * result.gather_first, late);
  }
  for (Seconds PassProfile::*end : {&PassProfile::compute_end, &PassProfile::communication_end,
                                    &PassProfile::forward_ready, &PassProfile::backward_ready}) {
    if (result.*end > Seconds(0)) result.*end += slower;
  }
}

PassProfile PassProfiles::emitted(PassKind kind, At at, const StageContent& forward, const StageContent& backward) {
  // How long the lane of the parameters holds the first pass up depends on when the pass comes: the walk knows.
  const bool as_plain = at == At::edge && has_forward(kind) && beside_.gather_first && !beside_.gather_always;
  const PassProfile plain = as_plain ? profile(kind, At::midst, forward, backward) : PassProfile();

  if (!bench_) bench_ = std::make_unique<Bench>(*this);
  Bench& bench = *bench_;
  // Passes that no collective accompanies are kept for plans of every shard group.
  const bool alone = at == At::midst && !beside_.gather_always && !beside_.reduce_always;
  bench.start_again(alone ? prices_.position() : position_, grid_);
  bench.set_stages(forward, backward);
  GraphBuilder& graph = bench.graph;
  PipelineMail& mail = bench.mail;
  RankProgram& program = bench.program;

  // Where the inputs of a pass come from, each on a lane of its own; those of a pass before it are always there.
  const OpId activations = graph.compute(bench.sources[0], Seconds(0)),
             gradients = graph.compute(bench.sources[1], Seconds(0)),
             there = graph.compute(bench.sources[2], Seconds(0));
  const OpId free = graph.compute(program.rank.compute, Seconds(0));
  const OpId communication_free = graph.compute(program.rank.communication, Seconds(0));

  const CopyId copy = CopyId::at(0);
  const auto emit = [&](int micro_batch, bool at_edge) {
    mail.sent(copy, StageId::at(kForwardStage - 1), MicroBatchId::at(micro_batch), PipelineMail::Kind::activation,
              micro_batch == 1 ? activations : there);
    mail.sent(copy, StageId::at(kBackwardStage + 1), MicroBatchId::at(micro_batch), PipelineMail::Kind::gradient,
              micro_batch == 1 ? gradients : there);
    program.forwards.assign(2, at_edge ? 0 : 1);
    program.weight_gradients.assign(2, at_edge ? kMicroBatches - 1 : 0);
    Pass pass;
    pass.kind = kind;
    pass.chunk = has_forward(kind) ? 0 : 1;
    pass.micro_batch = static_cast<std::uint16_t>(micro_batch);
    pass.backward_chunk = 1;
    pass.backward_micro_batch = static_cast<std::uint16_t>(micro_batch);
    bench.emitter.emit(program, pass, copy, bench.peer);
  };
  // Parameters that come before every layer come during the pass before, for the first layers of this one.
  OpId begin = free;
  std::size_t first = graph.size();
  if (beside_.gather_always) {
    emit(0, false);
    begin = graph.last_on(program.rank.compute);
    first = graph.size();
  }
  emit(1, at == At::edge);
  const OpId compute_last = graph.last_on(program.rank.compute);
  const OpId communication_last = graph.last_on(program.rank.communication);
  const OpId gradients_last = graph.last_on(program.rank.gradients);
  OpId forward_out, backward_out;
  const auto receive = [&](int stage, PipelineMail::Kind of) {
    const OpId op = graph.join();
    mail.awaited(copy, StageId::at(stage), MicroBatchId::at(1), of, op);
    return op;
  };
  if (has_forward(kind)) forward_out = receive(kForwardStage, PipelineMail::Kind::activation);
  if (has_backward(kind)) backward_out = receive(kBackwardStage, PipelineMail::Kind::gradient);
  mail.connect(graph);
  const OperationGraph& built = graph.frozen();

  LongestPaths& paths = bench.paths;
  paths.take(built, topology_.network(), stretch_);
  paths.run();
  const Seconds start = paths.end(begin);
  const auto since_start = [&](OpId op) { return op.valid() ? std::max(Seconds(), paths.end(op) - start) : Seconds(); };
  PassProfile result;
  result.compute_end = since_start(compute_last);
  result.communication_end = since_start(communication_last);
  result.forward_ready = since_start(forward_out);
  result.backward_ready = since_start(backward_out);
  result.gradients_end = since_start(gradients_last);
  int gathered = 0;
  Seconds message;
  for (std::size_t i = first; i < built.size(); ++i) {
    const OpId op = OpId::at(i);
    const auto name = static_cast<OpName>(built.label(op).kind);
    const LaneId lane = built.lane(op);
    const Seconds time = paths.duration(op);
    if (lane == program.rank.compute) {
      (name == OpName::layer_exchange ? result.exchanged : result.busy) += time;
    } else if (lane == program.rank.gradients) {
      result.gradients += time;
    } else if (lane == program.rank.parameters) {
      result.gather += time;
      ++gathered;
    } else if (lane == program.rank.pipeline) {
      message = time;
    }
  }
  if (forward_out.valid()) result.forward_ready -= std::min(message, result.forward_ready);
  if (backward_out.valid()) result.backward_ready -= std::min(message, result.backward_ready);
  if (gathered > 0) {
    const double layers = std::max(1.0, std::max(forward.layers(), backward.layers()));
    result.gather_first = result.gather / layers;
    result.gather_tail = (result.busy + result.exchanged) / layers;
  }
  if (as_plain) {
    result.compute_end = plain.compute_end;
    result.communication_end = plain.communication_end;
    result.forward_ready = plain.forward_ready;
    result.backward_ready = plain.backward_ready;
  }

  share_ports(built, first, program, result);

  // An input that comes late by more than everything takes holds the pass up by its whole lateness less its slack.
  const Seconds late(1e3);
  const auto slack = [&](OpId input) {
    const std::pair<OpId, Seconds> by[] = {{input, late}};
    paths.run(by);
    const Seconds from_input = paths.end(compute_last) - late;  // the longest path from it, where there is one
    return from_input < Seconds(0) ? kAnyTime : std::max(Seconds(), result.compute_end - from_input);
  };
  result.communication_slack = result.communication_end > Seconds(0) ? slack(communication_free) : kAnyTime;
  result.forward_slack = has_forward(kind) ? slack(activations) : kAnyTime;
  result.backward_slack = has_backward(kind) ? slack(gradients) : kAnyTime;
  return result;
}

}  // namespace flopcast
