#include "workloads/training/passes/shard_traffic.h"

#include <algorithm>
#include <cassert>

#include "workloads/collectives/nccl.h"

namespace flopcast {

std::vector<RankId> ShardGroups::dense(int pipeline_rank, int position, bool whole) const {
  const int size = whole ? grid_.replicas : plan_.shards();
  const int first = grid_.replica(position) / size * size;
  std::vector<RankId> ranks;
  for (int replica = first; replica < first + size; ++replica) {
    ranks.push_back(grid_.gpu(pipeline_rank, replica * grid_.tensor + grid_.tensor_rank(position)));
  }
  return ranks;
}

std::vector<RankId> ShardGroups::across(int pipeline_rank, int position) const {
  const int size = plan_.shards();
  std::vector<RankId> ranks;
  for (int replica = grid_.replica(position) % size; replica < grid_.replicas; replica += size)
    ranks.push_back(grid_.gpu(pipeline_rank, replica * grid_.tensor + grid_.tensor_rank(position)));
  return ranks;
}

std::vector<RankId> ShardGroups::experts(int pipeline_rank, int position) const {
  std::vector<RankId> ranks;
  for (int other = position % grid_.expert_group(); other < grid_.per_stage(); other += grid_.expert_group()) {
    ranks.push_back(grid_.gpu(pipeline_rank, other));
  }
  return ranks;
}

ShardTraffic::ShardTraffic(const TrainingConfig& config, const JobGrid& grid, Topology& topology,
                           const LinkCalibration& links, GraphBuilder& graph, Shares* shares)
    : config_(config),
      grid_(grid),
      topology_(topology),
      links_(links),
      graph_(graph),
      groups_of_(config.plan, grid),
      shares_(shares != nullptr ? *shares : own_shares_) {}

void ShardTraffic::connect(std::vector<RankProgram>& programs) {
  std::vector<bool> replayed(static_cast<std::size_t>(grid_.pipeline) * static_cast<std::size_t>(grid_.per_stage()));
  for (const RankProgram& program : programs) replayed[program.rank.gpu.index()] = true;
  const auto barriers_among = [&](Shared shared, const std::vector<RankId>& ranks) -> ExchangeBarriers* {
    std::vector<std::uint32_t> members;
    for (const RankId rank : ranks)
      if (replayed[rank.index()]) members.push_back(static_cast<std::uint32_t>(rank.index()));
    if (members.size() < 2) return nullptr;
    auto& barriers = barriers_[{shared, std::move(members)}];
    if (!barriers) barriers = std::make_unique<ExchangeBarriers>();
    return barriers.get();
  };
  if (programs.size() <= static_cast<std::size_t>(grid_.pipeline)) return;  // one stands for all of a stage
  for (RankProgram& program : programs) {
    const int stage = program.rank.pipeline_rank;
    program.dense_barriers = barriers_among(Shared::dense, groups_of_.dense(stage, program.position, false));
    if (grid_.expert_group() > 1) {
      program.expert_barriers = barriers_among(Shared::experts, groups_of_.experts(stage, program.position));
    }
    std::vector<RankId> siblings;
    const int first = program.position / grid_.tensor * grid_.tensor;
    for (int t = 0; t < grid_.tensor; ++t) siblings.push_back(grid_.gpu(stage, first + t));
    program.tensor_barriers = barriers_among(Shared::matrices, siblings);
  }
}

const ShardTraffic::Share& ShardTraffic::share(const RankProgram& program, ShardOp op, Among among, double bytes) {
  const auto gpu = static_cast<std::uint32_t>(program.rank.gpu.index());
  const auto [found, fresh] = shares_.try_emplace({gpu, op, among, bytes});
  Share& share = found->second;
  if (!fresh) return share;
  const int stage = program.rank.pipeline_rank;
  const std::vector<RankId> ranks = among == Among::experts ? groups_of_.experts(stage, program.position)
                                    : among == Among::across_shard_groups
                                        ? groups_of_.across(stage, program.position)
                                        : groups_of_.dense(stage, program.position, among == Among::replicas);
  if (ranks.size() < 2) return share;
  const NcclOp nccl = op == ShardOp::gather    ? NcclOp::all_gather
                      : op == ShardOp::scatter ? NcclOp::reduce_scatter
                                               : NcclOp::all_reduce;
  const NcclTime time = choose_nccl(nccl, group_of(topology_, ranks), Bytes(bytes), topology_.cluster(), links_);
  const auto self = static_cast<std::size_t>(std::find(ranks.begin(), ranks.end(), program.rank.gpu) - ranks.begin());
  share.transfer = lower_nccl(topology_, nccl, ranks, Bytes(bytes), time, std::span(&self, 1))[self];
  // Shards that lie in the host's memory come from it, and go there.
  const Seconds copy =
      config_.offload.parameters && op != ShardOp::all_reduce
          ? Bytes(bytes / static_cast<double>(ranks.size())) / topology_.cluster().node.host_copy_rate()
          : Seconds(0);
  share.transfer.latency += copy;
  share.alone = time.total() + copy;
  return share;
}

ShardTraffic::Sent ShardTraffic::send(RankProgram& program, ShardOp op, Among among, double bytes, OpId after) {
  if (bytes <= 0 || !config_.mechanisms.gradient_collectives) return {};
  const Share& mine = share(program, op, among, bytes);
  if (mine.alone <= Seconds(0)) return {};
  const bool experts = among == Among::experts;
  const LaneId lane = op == ShardOp::gather ? program.rank.parameters : program.rank.gradients;
  const OpName name = op == ShardOp::gather ? OpName::parameter_all_gather : OpName::gradient_reduce_scatter;

  ExchangeBarriers* const barriers = experts ? program.expert_barriers : program.dense_barriers;
  ExchangeBarriers::Exchange gate;
  if (barriers != nullptr) {
    gate = next_exchange(graph_, *barriers, experts ? program.next_expert : program.next_dense);
    if (after.valid()) graph_.after(gate.entered, after);
    if (const OpId last = graph_.last_on(lane); last.valid()) graph_.after(gate.entered, last);
  }
  Sent sent;
  sent.alone = mine.alone;
  sent.done =
      graph_.transfer(lane, mine.transfer.latency, mine.transfer.flows, {static_cast<std::uint16_t>(name), 0, 0, 0});
  if (collectives_ != nullptr) {
    using What = StepCollective::What;
    const What what = op == ShardOp::gather    ? What::all_gather
                      : op == ShardOp::scatter ? What::reduce_scatter
                                               : What::all_reduce;
    collectives_->push_back({sent.done, what, among, Bytes(bytes)});
  }
  if (gate.entered.valid()) {
    graph_.after(sent.done, gate.entered);
    graph_.after(gate.left, sent.done);
    sent.done = gate.left;
  } else if (after.valid()) {
    graph_.after(sent.done, after);
  }
  return sent;
}

ShardTraffic::Sent ShardTraffic::gather(RankProgram& program, const StageParameters& unit, OpId after) {
  const double bytes = bytes_per_element(config_.precision.parameters);
  const Sent dense = send(program, ShardOp::gather, Among::shard_group, unit.replicated * bytes, after);
  const Sent experts = send(program, ShardOp::gather, Among::experts, unit.expert * bytes, after);
  return {experts.done.valid() ? experts.done : dense.done, dense.alone + experts.alone};
}

ShardTraffic::Sent ShardTraffic::scatter(RankProgram& program, const StageParameters& unit, OpId after,
                                         bool sum_groups) {
  const double bytes = bytes_per_element(config_.precision.gradients);
  const ShardOp op = config_.plan.zero_stage >= 1 ? ShardOp::scatter : ShardOp::all_reduce;
  const bool hybrid = config_.plan.hybrid();
  Sent dense = send(program, op, hybrid ? Among::shard_group : Among::replicas, unit.replicated * bytes, after);
  if (hybrid && sum_groups) {
    const Sent summed = send(program, ShardOp::all_reduce, Among::across_shard_groups,
                             unit.replicated / config_.plan.shards() * bytes, dense.done.valid() ? dense.done : after);
    dense = {summed.done.valid() ? summed.done : dense.done, dense.alone + summed.alone};
  }
  const Sent experts = send(program, op, Among::experts, unit.expert * bytes, after);
  return {experts.done.valid() ? experts.done : dense.done, dense.alone + experts.alone};
}

}  // namespace flopcast
