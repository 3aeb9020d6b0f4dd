#include "workloads/training/passes/end_of_step.h"

#include <algorithm>
#include <cmath>

#include "workloads/collectives/collectives.h"

namespace flopcast {

namespace {

Label plain(OpName name) { return {static_cast<std::uint16_t>(name), 0, 0, 0}; }

StepCollective::What what_of(std::string_view row) {
  return row == "nccl_all_gather"       ? StepCollective::What::all_gather
         : row == "nccl_reduce_scatter" ? StepCollective::What::reduce_scatter
                                        : StepCollective::What::all_reduce;
}

}  // namespace

std::vector<int> holders_of_same_stages(const Schedule& schedule, int pipeline_rank) {
  const auto key = [&](int rank) {
    std::vector<int> stages = schedule.stage_of[rank];
    std::sort(stages.begin(), stages.end());
    return stages;
  };
  std::vector<int> same;
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    if (key(rank) == key(pipeline_rank)) same.push_back(rank);
  }
  return same;
}

EndOfStep::EndOfStep(const TrainingConfig& config, const JobGrid& grid, const Schedule& schedule,
                     const std::vector<StageContent>& stages, const StepPrices& prices, Topology& topology,
                     const LinkCalibration& links, GraphBuilder& graph, std::vector<RankProgram>& programs,
                     std::vector<StepCollective>& collectives)
    : config_(config),
      grid_(grid),
      schedule_(schedule),
      stages_(stages),
      prices_(prices),
      topology_(topology),
      links_(links),
      graph_(graph),
      programs_(programs),
      collectives_(collectives),
      groups_(config.plan, grid),
      program_of_(static_cast<std::size_t>(grid.pipeline) * static_cast<std::size_t>(grid.per_stage()), kNotReplayed) {
  for (std::size_t i = 0; i < programs.size(); ++i)
    program_of_[programs[i].rank.gpu.index()] = static_cast<std::uint32_t>(i);
}

OpId EndOfStep::barrier(std::span<const std::size_t> members) {
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
void EndOfStep::add_collective(std::string_view name, OpName op, StepCollective::Among among,
                               std::span<const RankId> group, std::span<const std::size_t> members, double bytes) {
  if (group.size() < 2 || bytes <= 0) return;
  std::vector<std::size_t> at;  // positions of `members` in the group
  for (const std::size_t i : members)
    at.push_back(
        static_cast<std::size_t>(std::find(group.begin(), group.end(), programs_[i].rank.gpu) - group.begin()));
  const auto phases = find_collective(name)->lower(topology_, {group, Bytes(bytes), &links_, at});
  for (const CollectivePhase& phase : phases) {
    const OpId gate = barrier(members);
    for (std::size_t m = 0; m < members.size(); ++m) {
      const PortTransfer& own = phase[at[m]];
      const OpId transfer =
          graph_.transfer(programs_[members[m]].rank.communication, own.latency, own.flows, plain(op));
      graph_.after(transfer, gate);
      collectives_.push_back({transfer, what_of(name), among, Bytes(bytes)});
    }
  }
}

/// GPUs of all holders that share a slice of what a GPU holds: of its dense parameters, or of its experts.
std::vector<RankId> EndOfStep::sharers(const std::vector<int>& pipeline_ranks, int position, bool experts) const {
  std::vector<RankId> result;
  for (int p : pipeline_ranks) {
    const auto more = experts ? groups_.experts(p, position) : groups_.dense(p, position, !config_.plan.hybrid());
    result.insert(result.end(), more.begin(), more.end());
  }
  return result;
}

std::vector<std::size_t> EndOfStep::replayed_among(const std::vector<RankId>& gpus) const {
  std::vector<std::size_t> result;
  for (const RankId gpu : gpus)
    if (const std::uint32_t program = program_of_[gpu.index()]; program != kNotReplayed) result.push_back(program);
  std::sort(result.begin(), result.end());
  return result;
}

StageParameters EndOfStep::parameters_of(int pipeline_rank) const {
  StageParameters sum;
  for (int stage : schedule_.stage_of[pipeline_rank]) sum += trained_parameters(config_, stages_[stage]);
  return sum;
}

/// The same collective for what every replica holds, then for the experts, among those that share them.
void EndOfStep::reduce_or_gather(std::string_view name, OpName op, double bytes_per_element) {
  for (bool experts : {false, true}) {
    std::set<std::pair<int, int>> done;  // first holder, slice
    for (const RankProgram& program : programs_) {
      const std::vector<int> same = holders_of_same_stages(schedule_, program.rank.pipeline_rank);
      const int slice = experts ? program.position % grid_.expert_group() : program.rank.tensor_rank;
      if (!done.insert({same.front(), slice}).second) continue;
      const StageParameters held = parameters_of(program.rank.pipeline_rank);
      const std::vector<RankId> group = sharers(same, program.position, experts);
      add_collective(name, op, experts ? StepCollective::Among::experts : StepCollective::Among::replicas, group,
                     replayed_among(group), (experts ? held.expert : held.replicated) * bytes_per_element);
    }
  }
}

/// Hybrid sharding: what a shard group has reduced is summed over the shard groups.
void EndOfStep::reduce_across_shard_groups() {
  const int shards = config_.plan.shards();
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    const RankProgram& program = programs_[i];
    const std::vector<RankId> group = groups_.across(program.rank.pipeline_rank, program.position);
    const double elements = parameters_of(program.rank.pipeline_rank).replicated / shards;
    const std::vector<std::size_t> members = replayed_among(group);
    if (members.front() != i) continue;
    add_collective("nccl_all_reduce", OpName::gradient_reduce_scatter, StepCollective::Among::across_shard_groups,
                   group, members, elements * bytes_per_element(config_.precision.gradients));
  }
}

/// Parameters that a GPU's optimiser updates.
double EndOfStep::updated_by(const RankProgram& program) const {
  const double same = static_cast<double>(holders_of_same_stages(schedule_, program.rank.pipeline_rank).size());
  const StageParameters held = parameters_of(program.rank.pipeline_rank);
  if (config_.plan.zero_stage == 0) return held.replicated + held.expert;
  const double expert_sharers = same * grid_.per_stage() / grid_.expert_group();
  return held.replicated / (same * config_.plan.shards()) + held.expert / std::max(1.0, expert_sharers);
}

void EndOfStep::add(const ShardPlan& beside) {
  const PrecisionPlan& p = config_.precision;
  const bool sharded = config_.plan.zero_stage >= 1;
  const bool collectives = config_.mechanisms.gradient_collectives;
  if (collectives && !beside.reduce_last && !beside.reduce_always) {
    reduce_or_gather(sharded ? "nccl_reduce_scatter" : "nccl_all_reduce", OpName::gradient_reduce_scatter,
                     bytes_per_element(p.gradients));
  }
  if (collectives && config_.plan.hybrid() && !beside.sum_groups) reduce_across_shard_groups();
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
    const OpId update = graph_.compute(program.rank.compute, price.time / program.rank.speed, plain(OpName::optimizer));
    graph_.after(update, reduced);
    // A lone GPU waits for nobody at the end of a step, so that its host works ahead of it. So does the host of a graph
    // that is the whole step.
    if (config_.overheads.step > Seconds(0) && gpus > 1 && !config_.iteration_graph && config_.mechanisms.host) {
      graph_.compute(program.rank.compute, config_.overheads.step, plain(OpName::host));
    }
  }
  if (collectives && sharded && !beside.gather_first && !beside.gather_always) {
    reduce_or_gather("nccl_all_gather", OpName::parameter_all_gather, bytes_per_element(p.parameters));
  }
}

}  // namespace flopcast
