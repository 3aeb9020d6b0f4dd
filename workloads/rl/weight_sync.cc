#include "workloads/rl/weight_sync.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "workloads/collectives/collectives.h"
#include "workloads/model/weights.h"

namespace flopcast {
namespace {

/// GPUs of the trainer that hold one copy of the parameters between them.
int holders_of_a_copy(const ParallelPlan& plan) {
  const auto all = static_cast<int>(plan.gpus());
  if (plan.zero_stage >= 3) return plan.shards() * plan.tensor * plan.pipeline;
  return std::min(all, std::max(plan.tensor, plan.expert * plan.expert_tensor) * plan.pipeline);
}

Seconds collective_time(const char* name, int ranks, int first, Bytes bytes, Topology& topology,
                        const LinkCalibration& links, const ReplayOptions& options, int root = -1) {
  std::vector<RankId> group;
  if (root >= 0) group.push_back(RankId::at(root));
  for (int i = 0; i < ranks; ++i) group.push_back(RankId::at(first + i));
  if (group.size() < 2 || bytes <= Bytes(0)) return Seconds(0);
  const std::vector<CollectivePhase> phases = find_collective(name)->lower(topology, {group, bytes, &links});
  GraphBuilder graph;
  std::vector<LaneId> lanes;
  for (const RankId rank : group) lanes.push_back(graph.add_lane(rank, "sync"));
  append_collective(graph, lanes, phases);
  return replay(std::move(graph).build(), topology.network(), {}, options).makespan;
}

/// Every engine GPU gets its own part from trainers that hold it: of equal copies each serves another replica.
void send_parts(const SyncRequest& request, Bytes part, Topology& topology, const LinkCalibration& links,
                const ReplayOptions& options, SyncCost& cost) {
  const int trainers = static_cast<int>(request.trainer.plan.gpus());
  const int per_replica = request.engine.plan.gpus(), engines = per_replica * request.replicas;
  const bool apart = request.placement == RlPlacement::separate;
  const int holders = std::clamp(holders_of_a_copy(request.trainer.plan), 1, trainers);
  GraphBuilder graph;
  std::vector<LaneId> out;
  for (int t = 0; t < trainers; ++t) out.push_back(graph.add_lane(RankId::at(t), "sync"));
  bool any = false;
  for (int e = 0; e < engines; ++e) {
    const int to = request.first_engine_gpu + e, replica = e / per_replica, place = e % per_replica;
    // A GPU's part lies with `pieces` holders of a copy; copies take turns, so that no sender serves more than others.
    const int pieces = std::max(1, holders / per_replica), copies = std::max(1, trainers / holders);
    for (int piece = 0; piece < pieces; ++piece) {
      const int holder = holders >= per_replica ? place * pieces + piece : place * holders / per_replica;
      const int turn = holders >= per_replica ? replica : e;
      const int from = (holder % holders + (turn % copies) * holders) % trainers;
      if (!apart && from == to) continue;  // it has this piece already
      PortTransfer message =
          point_to_point(topology, RankId::at(from), RankId::at(to), part / static_cast<double>(pieces), &links);
      if (request.engine_port > BytesPerSecond(0)) {
        for (Flow& flow : message.flows) flow.route = topology.capped(flow.route, request.engine_port);
      }
      graph.detached_transfer(RankId::at(from), message.latency, message.flows);
      cost.sent += part / static_cast<double>(pieces);
      any = true;
    }
  }
  if (!any) return;
  const ReplayResult result = replay(std::move(graph).build(), topology.network(), {}, options);
  cost.network = result.makespan;
  cost.contended = result.contended_flows;
}

}  // namespace

SyncCost weight_sync_cost(const SyncRequest& request, Topology& topology, const LinkCalibration& links,
                          const ReplayOptions& options) {
  const SyncConfig& sync = request.sync;
  const WeightBytes weights = weight_bytes(request.trainer.model, formats_of(request.engine.precision.linear));
  const auto trainers = static_cast<int>(request.trainer.plan.gpus());
  const ServingPlan& plan = request.engine.plan;
  const int engines = plan.gpus() * request.replicas;
  SyncCost cost;
  cost.fixed = sync.fixed;
  cost.overlapped = sync.overlapped;
  cost.payload = weights.total();
  // Of the weights, that an engine GPU takes in: attention groups each have all that is not experts.
  double share = (weights.others / (plan.tensor * plan.pipeline) +
                  weights.experts / (std::max(1, plan.expert) * plan.expert_slices() * plan.pipeline)) /
                 cost.payload;
  switch (sync.form) {
    case SyncForm::broadcast: {
      // Whole tensors pass through every engine GPU, which keeps its slice.
      share = 1;
      cost.gather = collective_time("nccl_all_gather", std::min(trainers, holders_of_a_copy(request.trainer.plan)), 0,
                                    cost.payload, topology, links, options);
      if (request.placement == RlPlacement::separate) {
        cost.network = collective_time("nccl_broadcast", engines, request.first_engine_gpu, cost.payload, topology,
                                       links, options, 0);
        cost.sent = cost.payload * static_cast<double>(engines);
      }
      break;
    }
    case SyncForm::delta:
      cost.gather = cost.payload / static_cast<double>(trainers) / sync.delta_rate;
      share *= sync.delta_share;
      send_parts(request, cost.payload * share, topology, links, options, cost);
      break;
    case SyncForm::host:
      cost.host = cost.payload / holders_of_a_copy(request.trainer.plan) / topology.cluster().node.gpu.pcie_bandwidth +
                  cost.payload * share / topology.cluster().node.gpu.pcie_bandwidth;
      send_parts(request, cost.payload * share, topology, links, options, cost);
      break;
    case SyncForm::storage:
      cost.sent = cost.payload * (1.0 + request.replicas);
      cost.network = cost.sent / sync.storage_bandwidth;  // written once, then read by every replica
      break;
    case SyncForm::sharded:
      send_parts(request, cost.payload * share, topology, links, options, cost);
      break;
  }
  cost.received = cost.payload * share;
  cost.load = weights.others * share / sync.load_rate + weights.experts * share / sync.expert_load_rate;
  if (sync.per_tensor > Seconds(0))
    cost.load += static_cast<double>(weight_tensors(request.trainer.model)) * sync.per_tensor;
  return cost;
}

}  // namespace flopcast
