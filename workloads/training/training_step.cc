#include "workloads/training/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "workloads/collectives/collectives.h"
#include "workloads/collectives/expert_collective.h"
#include "workloads/collectives/nccl.h"
#include "workloads/training/pass_emitter.h"
#include "workloads/training/step_layout.h"
#include "workloads/training/step_prices.h"

namespace flopcast {

namespace {

Schedule make_schedule(const TrainingConfig& config) {
  const ScheduleRequest request{config.plan.pipeline, config.micro_batches(), config.plan.chunks};
  if (!config.schedule_text.empty()) return parse_schedule(config.schedule_text, config.schedule_file, request);
  const ScheduleRow* row = find_schedule(config.schedule);
  if (row == nullptr) {
    std::vector<std::string> names;
    for (const ScheduleRow& known : schedules()) names.emplace_back(known.name);
    throw InputError(Diagnostic{"", 0, 0, "training.schedule", config.schedule, "the name of a schedule",
                                nearest_name(config.schedule, names)});
  }
  if (auto faults = row->check(request); !faults.empty()) throw InputError(std::move(faults));
  return row->build(request);
}

/// Two stages on each rank, one from either end: what they cost together is what has to be balanced.
bool stages_in_pairs(const Schedule& schedule) {
  return std::all_of(schedule.stage_of.begin(), schedule.stage_of.end(), [&](const std::vector<int>& stages) {
    return stages.size() == 2 && stages[0] + stages[1] == schedule.stages - 1;
  });
}

void check_stage_layers(const TrainingConfig& config, const Schedule& schedule) {
  const std::vector<int>& given = config.plan.stage_layers;
  if (given.empty()) return;
  int sum = 0;
  for (int layers : given) sum += layers;
  if (static_cast<int>(given.size()) == schedule.stages && sum == config.model.layers) return;
  throw InputError(Diagnostic{"", 0, 0, "training.plan.stage_layers",
                              fmt::format("{} numbers that add up to {}", given.size(), sum),
                              fmt::format("{} numbers, one per stage, that add up to the model's {} layers",
                                          schedule.stages, config.model.layers),
                              ""});
}

/// Dispatch traffic of an expert-parallel group: a token's FP8 payload carries its scales.
std::vector<ExpertTraffic> dispatch_traffic(const TrainingConfig& config, std::int64_t tokens, int gpus_per_node,
                                            Precision precision, std::span<const double> loads) {
  const MoeConfig& moe = config.model.moe;
  RoutingRequest request;
  request.ranks = config.plan.expert;
  request.ranks_per_node = std::min(gpus_per_node, config.plan.expert);
  request.experts = moe.experts;
  request.experts_per_token = moe.experts_per_token;
  request.groups = moe.groups;
  request.groups_per_token = moe.groups_per_token;
  request.tokens_per_rank = tokens;
  const double element = precision == Precision::fp8 ? 1 + kScaleBytesPerElement : bytes_per_element(precision);
  request.bytes_per_token = Bytes(config.model.hidden * element);
  request.rank_load.assign(loads.begin(), loads.end());
  return expert_traffic(request);
}

ExpertTraffic busiest_ports(std::span<const ExpertTraffic> traffic) {
  ExpertTraffic most;
  for (const ExpertTraffic& rank : traffic) {
    most.nic_out = std::max(most.nic_out, rank.nic_out);
    most.nic_in = std::max(most.nic_in, rank.nic_in);
    most.nvlink_out = std::max(most.nvlink_out, rank.nvlink_out);
    most.nvlink_in = std::max(most.nvlink_in, rank.nvlink_in);
  }
  return most;
}

/// Builds one step: layout, lanes, passes, what follows the last pass.
class StepBuilder {
 public:
  StepBuilder(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
              const LinkCalibration& links, Schedule schedule)
      : config_(config),
        topology_(topology),
        links_(links),
        grid_(config.plan),
        loads_(expert_rank_loads(config, topology.cluster().node.gpus)),
        exchanges_(config, topology.cluster(), links),
        prices_(config, kernels, exchanges_, loads_),
        replay_(choose_replayed(config, topology.cluster(), loads_)),
        graph_(training_op_names()),
        groups_(config.plan, grid_),
        shards_(config, grid_, topology, links, graph_) {
    step_.schedule = std::move(schedule);
    choose_overlap();
    check_stage_layers(config, step_.schedule);
    step_.hottest_load = *std::max_element(loads_.begin(), loads_.end());
    step_.stages = split_within_memory(topology.cluster().node.gpu.hbm_capacity);
    step_.notes = replay_.notes;
    step_.folded = replay_.folded;
  }

  /// The split that the plan asks for. A balanced one keeps layers off ranks whose memory they would
  /// overflow, as long as others have room; where nothing fits it is the one that needs least memory.
  std::vector<StageContent> split_within_memory(Bytes capacity) {
    const int stages = step_.schedule.stages;
    const bool pairs = stages_in_pairs(step_.schedule);
    const LayerCosts costs = prices_.layer_costs();
    const std::vector<StageContent> unlimited = split_layers(config_, stages, pairs, costs);
    if (config_.plan.layer_split != "balanced" || !config_.plan.stage_layers.empty()) return unlimited;

    std::vector<int> most(stages, config_.model.layers);
    std::vector<StageContent> leanest = unlimited;
    Bytes least(std::numeric_limits<double>::infinity());
    for (bool changed = true; changed;) {
      const std::vector<StageContent> split = split_layers(config_, stages, pairs, costs, most);
      Bytes fullest;
      changed = false;
      for (const MemoryTable& table : memory_per_rank(config_, split, step_.schedule, step_.hottest_load)) {
        fullest = std::max(fullest, table.total());
        if (table.total() <= capacity) continue;
        const std::vector<int>& held = step_.schedule.stage_of[table.pipeline_rank];
        const int longest = *std::max_element(held.begin(), held.end(),
                                              [&](int a, int b) { return split[a].layers() < split[b].layers(); });
        const int limit = std::max(0, static_cast<int>(split[longest].layers()) - 1);
        changed |= limit < most[longest];
        most[longest] = std::min(most[longest], limit);
      }
      if (fullest < least) {
        least = fullest;
        leanest = split;
        moved_for_memory_ = fullest <= capacity && most != std::vector<int>(stages, config_.model.layers);
      }
      if (std::accumulate(most.begin(), most.end(), 0) < config_.model.layers) break;  // no room anywhere
    }
    return leanest;
  }

  /// For a single pass pair: the stages are given, not cut from the model.
  void set_stages(std::vector<StageContent> stages) { step_.stages = std::move(stages); }

  enum class Ending { optimizer, none };
  TrainingStep build(Ending ending) && {
    add_ranks();
    add_passes();
    if (ending == Ending::optimizer) add_end_of_step();
    finish();
    return std::move(step_);
  }

 private:
  /// Collectives run beside the passes where the plan says so and every stage is held by one pipeline rank:
  /// of two ranks that hold a stage, either is done with it at another time.
  void choose_overlap() {
    const int zero = config_.plan.zero_stage;
    for (int p = 0; p < grid_.pipeline; ++p) {
      if (holders(p).size() > 1) return;
    }
    if (!config_.mechanisms.gradient_collectives || (grid_.replicas < 2 && grid_.blocks() < 2)) return;
    overlap_.gather_always = zero >= 3;
    overlap_.reduce_always = zero >= 2;
    overlap_.gather_first = zero >= 1 && config_.plan.overlap_parameters;
    overlap_.reduce_last = config_.plan.overlap_gradients;
  }

  /// Pipeline ranks that hold the same stages (DualPipe holds each twice) reduce their gradients together.
  std::vector<int> holders(int pipeline_rank) const {
    const auto key = [&](int rank) {
      std::vector<int> stages = step_.schedule.stage_of[rank];
      std::sort(stages.begin(), stages.end());
      return stages;
    };
    std::vector<int> same;
    for (int rank = 0; rank < grid_.pipeline; ++rank) {
      if (key(rank) == key(pipeline_rank)) same.push_back(rank);
    }
    return same;
  }

  void add_ranks() {
    for (const ReplayChoice& choice : replay_.gpus) {
      RankProgram program;
      ReplayedRank& rank = program.rank;
      rank.gpu = choice.gpu;
      rank.pipeline_rank = grid_.pipeline_rank(choice.gpu);
      program.position = grid_.position(choice.gpu);
      rank.replica = grid_.replica(program.position);
      rank.tensor_rank = grid_.tensor_rank(program.position);
      rank.weight = choice.weight;
      rank.speed = choice.speed;
      rank.compute = graph_.add_lane(choice.gpu, "compute");
      rank.communication = graph_.add_lane(choice.gpu, "communication");
      rank.pipeline = graph_.add_lane(choice.gpu, "pipeline");
      if (overlap_.reduce_last || overlap_.reduce_always) rank.gradients = graph_.add_lane(choice.gpu, "gradients");
      if (overlap_.gather_first || overlap_.gather_always) rank.parameters = graph_.add_lane(choice.gpu, "parameters");
      program.expert_rank = grid_.expert_rank(program.position);
      programs_.push_back(std::move(program));
      step_.ranks.push_back(programs_.back().rank);
    }
    shards_.connect(programs_);
    if (config_.model.moe.experts > 0 && grid_.expert > 1) add_expert_transfers();
  }

  void add_expert_transfers() {
    const int per_node = topology_.cluster().node.gpus;
    const auto dispatch = dispatch_traffic(config_, prices_.own_tokens(), per_node, config_.precision.dispatch, loads_);
    const auto combine = dispatch_traffic(config_, prices_.own_tokens(), per_node, config_.precision.combine, loads_);
    std::map<std::pair<int, int>, std::vector<std::size_t>> groups;  // (pipeline rank, first position) -> programs
    for (std::size_t i = 0; i < programs_.size(); ++i) groups[expert_group_of(programs_[i])].push_back(i);
    const bool beside = config_.mechanisms.communication_sms;
    for (const auto& [where, members] : groups) {
      std::vector<RankId> gpus;
      for (int e = 0; e < grid_.expert; ++e) {
        gpus.push_back(grid_.gpu(where.first, where.second + e * grid_.expert_tensor));
      }
      const bool alone_for_all = members.size() == 1;
      const auto lower = [&](ExpertOp op, bool overlapped) {
        std::vector<ExpertTraffic> traffic = op == ExpertOp::dispatch ? dispatch : combine;
        // The group leaves an exchange together, so who stands for it moves what the busiest port of each
        // kind moves.
        if (alone_for_all) traffic[programs_[members.front()].expert_rank] = busiest_ports(traffic);
        return exchange_of(gpus, traffic, op, overlapped);
      };
      const CollectivePhase alone[2] = {lower(ExpertOp::dispatch, false), lower(ExpertOp::combine, false)};
      const CollectivePhase busy[2] = {lower(ExpertOp::dispatch, beside), lower(ExpertOp::combine, beside)};
      if (members.size() > 1) barriers_.push_back(std::make_unique<ExchangeBarriers>());
      for (std::size_t i : members) {
        const std::size_t e = static_cast<std::size_t>(programs_[i].expert_rank);
        programs_[i].expert = {alone[0][e], alone[1][e], busy[0][e], busy[1][e]};
        if (members.size() > 1) programs_[i].barriers = barriers_.back().get();
      }
    }
  }

  /// Pipeline rank and lowest position of the GPUs that a rank swaps tokens with.
  std::pair<int, int> expert_group_of(const RankProgram& program) const {
    const int group = program.position / grid_.expert_group() * grid_.expert_group();
    return {program.rank.pipeline_rank, group + program.position % grid_.expert_tensor};
  }

  CollectivePhase exchange_of(const std::vector<RankId>& gpus, const std::vector<ExpertTraffic>& traffic, ExpertOp op,
                              bool overlapped) {
    if (config_.plan.dispatcher == ExpertDispatcher::deep_ep) {
      return expert_collective(topology_, links_, {gpus, traffic, op, overlapped, config_.communication_sms});
    }
    // Every copy of a token travels on its own: as much as the experts compute on. A rank with busy experts
    // receives more.
    const Precision precision = op == ExpertOp::dispatch ? config_.precision.dispatch : config_.precision.combine;
    const double copies = static_cast<double>(prices_.own_tokens()) * config_.model.moe.experts_per_token;
    const Bytes bytes(copies * config_.model.hidden * bytes_per_element(precision));
    const NcclTime time =
        choose_nccl(NcclOp::all_to_all, group_of(topology_, gpus), bytes, topology_.cluster(), links_);
    CollectivePhase phase = lower_nccl(topology_, NcclOp::all_to_all, gpus, bytes, time);
    const double busiest = *std::max_element(loads_.begin(), loads_.end());
    for (std::size_t rank = 0; rank < phase.size(); ++rank) {
      for (Flow& flow : phase[rank].flows) flow.bytes *= replay_.folded ? busiest : std::max(1.0, loads_[rank]);
    }
    return phase;
  }

  void add_passes() {
    // Copies of the pipeline: the replayed ranks of one replica index, or of the one that stands for it.
    const int copies = static_cast<int>(programs_.size()) / grid_.pipeline;
    PipelineMail mail(copies, step_.schedule.stages, step_.schedule.micro_batches);
    PassEmitter emitter(config_, step_.schedule, step_.stages, prices_, topology_, links_, graph_, mail, shards_,
                        overlap_);
    std::vector<std::vector<RankId>> peers(copies, std::vector<RankId>(grid_.pipeline));
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      peers[i % copies][programs_[i].rank.pipeline_rank] = programs_[i].rank.gpu;  // programs_ go by pipeline rank
    }
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const int copy = static_cast<int>(i) % copies;
      for (const Pass& pass : step_.schedule.order[programs_[i].rank.pipeline_rank]) {
        const OpId first = OpId::at(graph_.size());
        emitter.emit(programs_[i], pass, copy, peers[copy]);
        step_.passes.push_back({static_cast<std::uint32_t>(i), pass, first, OpId::at(graph_.size())});
      }
    }
    mail.connect(graph_);
    step_.evidence = emitter.evidence();
  }

  Label plain(OpName name) const { return {static_cast<std::uint16_t>(name), 0, 0, 0}; }

  OpId barrier(std::span<const std::size_t> members) {
    const OpId join = graph_.join(plain(OpName::barrier));
    for (std::size_t i : members) {
      const ReplayedRank& rank = programs_[i].rank;
      for (LaneId lane : {rank.compute, rank.communication, rank.pipeline, rank.gradients, rank.parameters}) {
        if (!lane.valid()) continue;
        if (const OpId last = graph_.last_on(lane); last.valid()) graph_.after(join, last);
      }
    }
    return join;
  }

  /// One collective over `group`, replayed for those of `members` that are in it.
  void add_collective(std::string_view name, OpName op, std::span<const RankId> group,
                      std::span<const std::size_t> members, double bytes) {
    if (group.size() < 2 || bytes <= 0) return;
    const auto phases = find_collective(name)->lower(topology_, {group, Bytes(bytes), &links_});
    for (const CollectivePhase& phase : phases) {
      const OpId gate = barrier(members);
      for (std::size_t i : members) {
        const auto at = std::find(group.begin(), group.end(), programs_[i].rank.gpu) - group.begin();
        const OpId transfer =
            graph_.transfer(programs_[i].rank.communication, phase[at].latency, phase[at].flows, plain(op));
        graph_.after(transfer, gate);
      }
    }
  }

  /// GPUs of all holders that share a slice of what a GPU holds: of its dense parameters, or of its experts.
  std::vector<RankId> sharers(const std::vector<int>& pipeline_ranks, int position, bool experts) const {
    std::vector<RankId> result;
    for (int p : pipeline_ranks) {
      const auto more = experts ? groups_.experts(p, position) : groups_.dense(p, position, true);
      result.insert(result.end(), more.begin(), more.end());
    }
    return result;
  }
  std::vector<std::size_t> replayed_among(const std::vector<RankId>& gpus) const {
    std::vector<std::size_t> result;
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      if (std::find(gpus.begin(), gpus.end(), programs_[i].rank.gpu) != gpus.end()) result.push_back(i);
    }
    return result;
  }

  StageParameters parameters_of(int pipeline_rank) const {
    StageParameters sum;
    for (int stage : step_.schedule.stage_of[pipeline_rank]) sum += stage_parameters(config_, step_.stages[stage]);
    return sum;
  }

  /// The same collective for what every replica holds, then for the experts, among those that share them.
  void reduce_or_gather(std::string_view name, OpName op, double bytes_per_element) {
    for (bool experts : {false, true}) {
      std::set<std::pair<int, int>> done;  // first holder, slice
      for (const RankProgram& program : programs_) {
        const std::vector<int> same = holders(program.rank.pipeline_rank);
        const int slice = experts ? program.position % grid_.expert_group() : program.rank.tensor_rank;
        if (!done.insert({same.front(), slice}).second) continue;
        const StageParameters held = parameters_of(program.rank.pipeline_rank);
        const std::vector<RankId> group = sharers(same, program.position, experts);
        add_collective(name, op, group, replayed_among(group),
                       (experts ? held.expert : held.replicated) * bytes_per_element);
      }
    }
  }

  /// Hybrid sharding: what a shard group has reduced is summed over the shard groups.
  void reduce_across_shard_groups() {
    const int shards = config_.plan.shards();
    for (std::size_t i = 0; i < programs_.size(); ++i) {
      const RankProgram& program = programs_[i];
      std::vector<RankId> group;
      for (int replica = program.rank.replica % shards; replica < grid_.replicas; replica += shards) {
        group.push_back(grid_.gpu(program.rank.pipeline_rank, replica * grid_.tensor + program.rank.tensor_rank));
      }
      const double elements = parameters_of(program.rank.pipeline_rank).replicated / shards;
      const std::vector<std::size_t> members = replayed_among(group);
      if (members.front() != i) continue;
      add_collective("nccl_all_reduce", OpName::gradient_reduce_scatter, group, members,
                     elements * bytes_per_element(config_.precision.gradients));
    }
  }

  /// Parameters that a GPU's optimiser updates.
  double updated_by(const RankProgram& program) const {
    const double same = static_cast<double>(holders(program.rank.pipeline_rank).size());
    const StageParameters held = parameters_of(program.rank.pipeline_rank);
    if (config_.plan.zero_stage == 0) return held.replicated + held.expert;
    const double expert_sharers = same * grid_.per_stage() / grid_.expert_group();
    return held.replicated / (same * config_.plan.shards()) + held.expert / std::max(1.0, expert_sharers);
  }

  void add_end_of_step() {
    const PrecisionPlan& p = config_.precision;
    const bool sharded = config_.plan.zero_stage >= 1;
    const bool collectives = config_.mechanisms.gradient_collectives;
    if (collectives && !overlap_.reduce_last && !overlap_.reduce_always) {
      reduce_or_gather(sharded ? "nccl_reduce_scatter" : "nccl_all_reduce", OpName::gradient_reduce_scatter,
                       bytes_per_element(p.gradients));
    }
    if (collectives && sharded && config_.plan.shards() < grid_.replicas) reduce_across_shard_groups();
    // Clipping needs the norm over all gradients: everybody waits for everybody.
    std::vector<std::size_t> everybody;
    for (std::size_t i = 0; i < programs_.size(); ++i) everybody.push_back(i);
    const OpId gate = barrier(everybody);
    const int gpus = grid_.pipeline * grid_.per_stage();
    const Seconds norm = gpus < 2 || !collectives
                             ? Seconds(0)
                             : 2 * std::ceil(std::log2(gpus)) * topology_.cluster().fabric.cross_leaf_latency;
    for (RankProgram& program : programs_) {
      const OpId reduced = graph_.transfer(program.rank.communication, norm, {}, plain(OpName::gradient_norm));
      graph_.after(reduced, gate);
      const Price price = prices_.optimizer(updated_by(program));
      const OpId update =
          graph_.compute(program.rank.compute, price.time / program.rank.speed, plain(OpName::optimizer));
      graph_.after(update, reduced);
      if (config_.overheads.step_ms > 0) {
        graph_.compute(program.rank.compute, Seconds(config_.overheads.step_ms * 1e-3), plain(OpName::host));
      }
    }
    if (collectives && sharded && !overlap_.gather_first && !overlap_.gather_always) {
      reduce_or_gather("nccl_all_gather", OpName::parameter_all_gather, bytes_per_element(p.parameters));
    }
  }

  void finish() {
    step_.memory = memory_per_rank(config_, step_.stages, step_.schedule, step_.hottest_load);
    step_.tokens = static_cast<double>(config_.batch.tokens());
    // As DeepSeek counts (arXiv 2505.09343, table 2 and 4): MTP, like recomputation, is work but not the
    // model's.
    const auto flop = [&](bool causal) {
      return Flop(step_.tokens * training_flop_per_token(config_.model, config_.batch.sequence_length, causal, false));
    };
    step_.model_flop_causal = flop(true);
    step_.model_flop = flop(false);
    if (config_.efficiency != 1) {
      step_.notes.push_back(fmt::format(
          "WHAT-IF: all compute runs at {:g} of its predicted speed (training.efficiency)", config_.efficiency));
    }
    add_notes();
    step_.graph = std::move(graph_).build();
  }

  void add_notes() {
    if (config_.plan.stage_layers.empty()) {
      std::string counts;
      for (const StageContent& stage : step_.stages) counts += fmt::format(" {:.4g}", stage.layers());
      step_.notes.push_back(fmt::format("layers per stage ({}{}):{}", config_.plan.layer_split,
                                        moved_for_memory_ ? ", within memory" : "", counts));
    }
    if (const double stretch = spread_factor(config_); stretch > 1) {
      step_.notes.push_back(fmt::format(
          "GPU speeds spread by {:.2g} %: the slowest of {} that wait for each other stretches "
          "compute by {:.2f} %",
          100 * config_.gpu_speed_spread(), config_.plan.replicas() * config_.plan.tensor, 100 * (stretch - 1)));
    }
    if (step_.hottest_load > 1) {
      step_.notes.push_back(fmt::format("the busiest expert rank gets {:.1f} % more tokens than the mean",
                                        100 * (step_.hottest_load - 1)));
    }
  }

  const TrainingConfig& config_;
  Topology& topology_;
  const LinkCalibration& links_;
  JobGrid grid_;
  std::vector<double> loads_;
  ExchangeTimes exchanges_;
  StepPrices prices_;
  ReplayPlan replay_;
  GraphBuilder graph_;
  ShardGroups groups_;
  ShardTraffic shards_;
  ShardPlan overlap_;
  bool moved_for_memory_ = false;  // a faster split would not have fitted
  std::vector<RankProgram> programs_;
  std::vector<std::unique_ptr<ExchangeBarriers>> barriers_;
  TrainingStep step_;
};

}  // namespace

const std::vector<std::string>& training_op_names() {
  static const std::vector<std::string> names{"ATTN(F)",     "MLP(F)",       "MLP(B)",     "MLP(W)",     "ATTN(B)",
                                              "ATTN(W)",     "DISPATCH(F)",  "COMBINE(F)", "COMBINE(B)", "DISPATCH(B)",
                                              "EMBED(F)",    "HEAD(F)",      "HEAD(B)",    "HEAD(W)",    "MTP-PROJ(F)",
                                              "MTP-PROJ(B)", "MTP-PROJ(W)",  "EMBED(B)",   "SEND(F)",    "SEND(B)",
                                              "GRAD-REDUCE", "PARAM-GATHER", "GRAD-NORM",  "OPTIMIZER",  "BARRIER",
                                              "SHARED(F)",   "SHARED(B)",    "EXCHANGE",   "SM-SHARE",   "HOST"};
  return names;
}

TrainingStep build_training_step(const TrainingConfig& config, Topology& topology, const KernelModel& kernels,
                                 const LinkCalibration& links) {
  return StepBuilder(config, topology, kernels, links, make_schedule(config)).build(StepBuilder::Ending::optimizer);
}

TrainingStep build_overlapped_pair(const TrainingConfig& base, int layers, Topology& topology,
                                   const KernelModel& kernels, const LinkCalibration& links) {
  TrainingConfig config = base;
  config.plan.pipeline = 1;
  config.plan.data = base.plan.expert;
  config.plan.context = 1;
  config.plan.tensor = 1;
  config.plan.stage_layers.clear();
  config.expert_load = {};
  config.mechanisms.embedding_head_mtp = false;
  config.mechanisms.pipeline_transfers = false;
  config.mechanisms.gradient_collectives = false;
  config.mechanisms.gpu_speed_spread = 0;
  config.batch.sequences = static_cast<std::int64_t>(config.plan.data) * config.batch.micro_batch_sequences * 2;

  Schedule schedule;
  schedule.name = "overlapped pair";
  schedule.ranks = 1;
  schedule.micro_batches = 2;
  schedule.stages = 1;
  schedule.stage_of = {{0}};
  schedule.direction_of = {0, 0};
  schedule.order = {{Pass{PassKind::overlapped, 0, 1, 0, 0}}};
  schedule.declared_peak_activations = {2};
  schedule.overlaps = true;
  StageContent stage;
  stage.first_layer = base.model.moe.first_dense_layers;
  stage.moe_layers = layers;
  StepBuilder builder(config, topology, kernels, links, std::move(schedule));
  builder.set_stages({stage});
  return std::move(builder).build(StepBuilder::Ending::none);
}

}  // namespace flopcast
