#include "workloads/training/passes/expert_groups.h"

#include <algorithm>
#include <map>

#include "workloads/collectives/nccl.h"

namespace flopcast {

namespace {

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

}  // namespace

ExpertGroups::ExpertGroups(const TrainingConfig& config, const JobGrid& grid, std::span<const double> loads,
                           std::int64_t own_tokens, Topology& topology, const LinkCalibration& links)
    : config_(config), grid_(grid), loads_(loads), own_tokens_(own_tokens), topology_(topology), links_(links) {}

/// Dispatch traffic of an expert-parallel group: a token's FP8 payload carries its scales.
std::vector<ExpertTraffic> ExpertGroups::traffic(Precision precision) const {
  const MoeConfig& moe = config_.model.moe;
  RoutingRequest request;
  request.ranks = config_.plan.expert;
  request.ranks_per_node = std::min(topology_.cluster().node.gpus, config_.plan.expert);
  request.experts = moe.experts;
  request.experts_per_token = moe.experts_per_token;
  request.groups = moe.groups;
  request.groups_per_token = moe.groups_per_token;
  request.tokens_per_rank = own_tokens_;
  const double element = precision == Precision::fp8 ? 1 + kScaleBytesPerElement : bytes_per_element(precision);
  request.bytes_per_token = Bytes(config_.model.hidden * element);
  request.rank_load.assign(loads_.begin(), loads_.end());
  return expert_traffic(request);
}

void ExpertGroups::connect(std::vector<RankProgram>& programs, bool folded) {
  const auto dispatch = traffic(config_.precision.dispatch);
  const auto combine = traffic(config_.precision.combine);
  std::map<std::pair<int, int>, std::vector<std::size_t>> groups;  // (pipeline rank, first position) -> programs
  for (std::size_t i = 0; i < programs.size(); ++i) groups[group_of(programs[i])].push_back(i);
  const bool beside = config_.mechanisms.communication_sms;
  for (const auto& [where, members] : groups) {
    std::vector<RankId> gpus;
    for (int e = 0; e < grid_.expert; ++e) {
      gpus.push_back(grid_.gpu(where.first, where.second + e * grid_.expert_tensor));
    }
    const bool alone_for_all = members.size() == 1;
    const std::size_t first = members.front();  // clang 14 captures no structured binding
    const auto lower = [&](ExpertOp op, bool overlapped) {
      std::vector<ExpertTraffic> traffic = op == ExpertOp::dispatch ? dispatch : combine;
      // The group leaves an exchange together, so who stands for it moves what the busiest port of each
      // kind moves.
      if (alone_for_all) traffic[programs[first].expert_rank] = busiest_ports(traffic);
      return exchange(gpus, traffic, op, overlapped, folded);
    };
    const CollectivePhase alone[2] = {lower(ExpertOp::dispatch, false), lower(ExpertOp::combine, false)};
    const CollectivePhase busy[2] = {lower(ExpertOp::dispatch, beside), lower(ExpertOp::combine, beside)};
    if (members.size() > 1) barriers_.push_back(std::make_unique<ExchangeBarriers>());
    for (std::size_t i : members) {
      const std::size_t e = static_cast<std::size_t>(programs[i].expert_rank);
      programs[i].expert = {alone[0][e], alone[1][e], busy[0][e], busy[1][e]};
      if (members.size() > 1) programs[i].barriers = barriers_.back().get();
    }
  }
}

/// Pipeline rank and lowest position of the GPUs that a rank swaps tokens with.
std::pair<int, int> ExpertGroups::group_of(const RankProgram& program) const {
  const int group = program.position / grid_.expert_group() * grid_.expert_group();
  return {program.rank.pipeline_rank, group + program.position % grid_.expert_tensor};
}

CollectivePhase ExpertGroups::exchange(const std::vector<RankId>& gpus, const std::vector<ExpertTraffic>& traffic,
                                       ExpertOp op, bool overlapped, bool folded) {
  if (sends_tokens_once(config_.plan.dispatcher)) {
    // Copy engines of Hybrid-EP fill the links whatever SMs they are on.
    const bool engines = config_.plan.dispatcher == ExpertDispatcher::hybrid_ep;
    const int sms = engines ? topology_.cluster().node.gpu.sms : config_.communication_sms;
    return expert_collective(topology_, links_, {gpus, traffic, op, overlapped, sms});
  }
  // Every copy of a token travels on its own: as much as the experts compute on. A rank with busy experts
  // receives more.
  const Precision precision = op == ExpertOp::dispatch ? config_.precision.dispatch : config_.precision.combine;
  const double copies = static_cast<double>(own_tokens_) * config_.model.moe.experts_per_token;
  const Bytes bytes(copies * config_.model.hidden * bytes_per_element(precision));
  const NcclTime time =
      choose_nccl(NcclOp::all_to_all, flopcast::group_of(topology_, gpus), bytes, topology_.cluster(), links_);
  CollectivePhase phase = lower_nccl(topology_, NcclOp::all_to_all, gpus, bytes, time);
  const double busiest = *std::max_element(loads_.begin(), loads_.end());
  for (std::size_t rank = 0; rank < phase.size(); ++rank) {
    for (Flow& flow : phase[rank].flows) flow.bytes *= folded ? busiest : std::max(1.0, loads_[rank]);
  }
  return phase;
}

}  // namespace flopcast
