#include "workloads/training/prices/exchange_times.h"

#include <algorithm>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/collectives/expert_collective.h"

namespace flopcast {
namespace {

const ExchangeTimes::PortSpeed& speed_of(LayerExchange::Kind kind, const ExchangeTimes::GroupSpeeds& speeds) {
  switch (kind) {
    case LayerExchange::Kind::tensor_gather:
    case LayerExchange::Kind::tensor_scatter:
    case LayerExchange::Kind::tensor_all_reduce:
      return speeds.tensor;
    case LayerExchange::Kind::expert_gather:
    case LayerExchange::Kind::expert_scatter:
    case LayerExchange::Kind::expert_all_reduce:
      return speeds.expert_tensor;
    case LayerExchange::Kind::context_hop:
    case LayerExchange::Kind::context_gather:
    case LayerExchange::Kind::context_scatter:
    case LayerExchange::Kind::context_all_to_all:
      break;
  }
  return speeds.context;
}

}  // namespace

ExchangeTimes::ExchangeTimes(const TrainingConfig& config, const ClusterSpec& cluster, const LinkCalibration& links)
    : config_(config), cluster_(cluster), links_(links) {}

ExchangeTimes::Group ExchangeTimes::group_of(LayerExchange::Kind kind) const {
  switch (kind) {
    case LayerExchange::Kind::tensor_gather:
    case LayerExchange::Kind::tensor_scatter:
    case LayerExchange::Kind::tensor_all_reduce:
      return {config_.plan.tensor, 1};
    case LayerExchange::Kind::expert_gather:
    case LayerExchange::Kind::expert_scatter:
    case LayerExchange::Kind::expert_all_reduce:
      return {config_.plan.expert_tensor, 1};
    case LayerExchange::Kind::context_hop:
    case LayerExchange::Kind::context_gather:
    case LayerExchange::Kind::context_scatter:
    case LayerExchange::Kind::context_all_to_all:
      break;
  }
  return {config_.plan.context, config_.plan.tensor};
}

NcclGroup ExchangeTimes::lie_of(const Group& group) const {
  const int local = std::clamp(cluster_.node.gpus / group.stride, 1, group.ranks);
  return even_group((group.ranks + local - 1) / local, local, cluster_.fabric.cross_leaf_latency);
}

Seconds ExchangeTimes::time(const LayerExchange& exchange, const GroupSpeeds& speeds) const {
  const Group group = group_of(exchange.kind);
  if (group.ranks < 2) return Seconds(0);
  NcclGroup lie = lie_of(group);
  NcclOp op = NcclOp::all_gather;
  switch (exchange.kind) {
    case LayerExchange::Kind::tensor_gather:
    case LayerExchange::Kind::expert_gather:
    case LayerExchange::Kind::context_gather:
      break;
    case LayerExchange::Kind::tensor_scatter:
    case LayerExchange::Kind::expert_scatter:
    case LayerExchange::Kind::context_scatter:
      op = NcclOp::reduce_scatter;
      break;
    case LayerExchange::Kind::tensor_all_reduce:
    case LayerExchange::Kind::expert_all_reduce:
      op = NcclOp::all_reduce;
      break;
    case LayerExchange::Kind::context_all_to_all:
      op = NcclOp::all_to_all;
      break;
    case LayerExchange::Kind::context_hop:
      // Where a ring leaves the node, everybody waits for the hop between nodes.
      op = NcclOp::send_recv;
      lie = lie.nodes > 1 ? even_group(2, 1, lie.hop) : even_group(1, 2, lie.hop);
      break;
  }
  // The choice does not know of slow ports, as NCCL's does not.
  NcclTime time = choose_nccl(op, lie, exchange.bytes, cluster_, links_);
  const PortSpeed& speed = speed_of(exchange.kind, speeds);
  time.nvlink /= speed.nvlink;
  time.nic /= speed.nic;
  return time.total();
}

Seconds ExchangeTimes::expert_exchange(std::int64_t tokens) const {
  const MoeConfig& moe = config_.model.moe;
  const ParallelPlan& plan = config_.plan;
  if (moe.experts == 0 || plan.expert < 2 || !config_.mechanisms.expert_communication) return Seconds(0);
  const int local = std::clamp(cluster_.node.gpus / plan.expert_tensor, 1, plan.expert);
  if (!sends_tokens_once(plan.dispatcher)) {
    const Bytes bytes(static_cast<double>(tokens) * moe.experts_per_token * config_.model.hidden *
                      bytes_per_element(config_.precision.dispatch));
    return choose_nccl(NcclOp::all_to_all, lie_of({plan.expert, plan.expert_tensor}), bytes, cluster_, links_).total();
  }
  RoutingRequest routing;
  routing.ranks = plan.expert;
  routing.ranks_per_node = local;
  routing.experts = moe.experts;
  routing.experts_per_token = moe.experts_per_token;
  routing.groups = moe.groups;
  routing.groups_per_token = moe.groups_per_token;
  routing.tokens_per_rank = tokens;
  routing.bytes_per_token = Bytes(config_.model.hidden * bytes_per_element(config_.precision.dispatch));
  routing.rank_load.assign(static_cast<std::size_t>(plan.expert), 1.0);
  ExpertSetting setting;
  setting.nic = nic_pace(cluster_);
  setting.nvlink = node_link_pace(cluster_.node);
  setting.nodes = (plan.expert + local - 1) / local;
  setting.sms = plan.dispatcher == ExpertDispatcher::hybrid_ep ? cluster_.node.gpu.sms : config_.communication_sms;
  return expert_time(setting, expert_traffic(routing).front(), links_).total();
}

ExchangeTimes::Split ExchangeTimes::split(const PhaseExchange& phase, const GroupSpeeds& speeds) const {
  const LayerExchange& exchange = phase.exchange;
  const bool hop = exchange.kind == LayerExchange::Kind::context_hop;
  const double share = hop ? config_.overheads.context_exposed : config_.overheads.tensor_exposed;
  const Seconds all = time(exchange, speeds);
  const Seconds hidden = std::min(all, phase.beside) * (1 - share);
  return {(all - hidden) * exchange.times, hidden * exchange.times};
}

}  // namespace flopcast
