#include "analysis/runs/serving/serving_pools.h"

#include <algorithm>
#include <map>
#include <memory>

#include "workloads/serving/experts/steady_load.h"
#include "workloads/serving/pricing/engine_constants.h"

namespace flopcast {
namespace {

/// Periods for which a drift of expert load is drawn; then it repeats.
constexpr int kDriftPeriods = 256;

std::vector<double> busiest_loads(const ServingScenario& serving, const PoolSpec& spec, const ClusterSpec& cluster) {
  const EngineConfig& engine = spec.engine;
  const ExpertPaceConfig pace = expert_pace_of(serving, spec);
  if (pace.variation <= 0 || engine.plan.expert <= 1) return {};
  ExpertGroup group;
  group.experts = engine.model.moe.experts;
  group.experts_per_token = engine.model.moe.experts_per_token;
  group.redundant = engine.redundant_experts;
  group.groups = engine.model.moe.groups;
  group.ranks = engine.plan.expert;
  group.ranks_per_node = std::min(engine.plan.expert, cluster.node.gpus);
  if (group.groups % std::max(1, group.ranks / group.ranks_per_node) != 0) group.groups = 1;
  if (!serving.expert_pace_stated && group.redundant > 0) {
    const Fitted& alike = hands_on(spec.role) ? serving.constants->prompts_alike : serving.constants->answers_alike;
    return {steady_busiest_load(pace.variation, alike.value, group, engine.model.moe_layers(), serving.seed)};
  }
  return busiest_rank_loads(pace, group, kDriftPeriods, serving.seed + (spec.role == ReplicaRole::decode));
}

/// A replica whose GPUs go at a share of their speed, other parts being as they are.
ReplicaSpeed slowed(const PoolSpec& spec, std::size_t replica, double speed) {
  ReplicaSpeed out = replica < spec.slow.size() ? spec.slow[replica] : ReplicaSpeed{};
  out.gpu = std::min(out.gpu, speed);
  return out;
}

}  // namespace

ExpertPaceConfig expert_pace_of(const ServingScenario& serving, const PoolSpec& spec) {
  ExpertPaceConfig pace = serving.expert_pace;
  if (serving.expert_pace_stated || spec.engine.name.empty() || spec.engine.model.moe.experts == 0) return pace;
  pace.variation = router_variation(spec.engine.model, *serving.constants);
  pace.eplb = spec.engine.redundant_experts > 0;
  return pace;
}

void find_slow_kinds(const ServingScenario& serving, const std::vector<BuiltPool>& pools, FailureConfig& failures) {
  for (StatedFault& fault : failures.stated) {
    if (!fault.speed) continue;
    for (std::size_t replica : fault.replicas) {
      std::size_t pool = 0;
      for (; replica >= static_cast<std::size_t>(serving.pools[pool].replicas); ++pool)
        replica -= static_cast<std::size_t>(serving.pools[pool].replicas);
      const std::vector<ReplicaSpeed>& speeds = pools[pool].speeds;
      const auto kind = std::find(speeds.begin(), speeds.end(), slowed(serving.pools[pool], replica, *fault.speed));
      fault.slow.push_back(static_cast<int>(kind - speeds.begin()));
    }
  }
}

void KeptPrices::share(std::size_t number, BuiltPool& pool) {
  const auto [found, fresh] = pools_.try_emplace(number);
  Kept& kept = found->second;
  if (fresh || kept.levels != pool.levels || !(kept.speeds == pool.speeds)) {
    kept = {pool.levels, pool.speeds, pool.pricers, pool.slow};
    return;
  }
  pool.pricers = kept.pricers;
  pool.slow = kept.slow;
}

std::vector<BuiltPool> build_pools(const Scenario& scenario, KeptPrices* kept) {
  const ServingScenario& serving = *scenario.serving;
  PriceSources sources;
  sources.cluster = scenario.cluster;
  sources.links = scenario.links;
  sources.constants = serving.constants;
  std::map<KernelLibrary, std::shared_ptr<const KernelModel>> kernels_of;  // one for all pools that share them
  std::vector<BuiltPool> pools;
  int first_gpu = 0;
  std::size_t first_replica = 0;
  for (PoolSpec spec : serving.pools) {
    spec.replicas /= serving.replicas_per_replica();
    spec.autoscale.minimum = std::max(1, spec.autoscale.minimum / serving.replicas_per_replica());
    AutoscaleConfig& scaling = spec.autoscale;
    scaling.interval /= serving.haste();
    scaling.startup /= serving.haste();
    scaling.hold /= serving.haste();
    scaling.day /= serving.haste();
    for (ScaleStep& step : scaling.steps) {
      step.at /= serving.haste();
      step.replicas = std::max(1, step.replicas / serving.replicas_per_replica());
    }
    for (const StatedFault& fault : serving.failures.stated)
      for (const std::size_t replica : fault.replicas)
        if (fault.speed && replica >= first_replica &&
            replica < first_replica + static_cast<std::size_t>(spec.replicas))
          spec.slow_later.push_back(slowed(spec, replica - first_replica, *fault.speed));
    first_replica += static_cast<std::size_t>(spec.replicas);
    spec.expert_variation = expert_pace_of(serving, spec).variation;
    std::shared_ptr<const KernelModel>& kernels = kernels_of[spec.engine.kernels];
    if (!kernels) kernels = engine_kernels(spec.engine, scenario.cluster.node.gpu, scenario.kernels);
    sources.kernels = kernels;
    pools.push_back(build_pool(spec, sources, first_gpu, busiest_loads(serving, spec, scenario.cluster),
                               serving.expert_pace.drift_period / serving.haste()));
    if (kept != nullptr) kept->share(pools.size() - 1, pools.back());
    pools.back().config.replica.jump = serving.jump;
    first_gpu += spec.replicas * spec.engine.plan.gpus();
  }
  return pools;
}

}  // namespace flopcast
