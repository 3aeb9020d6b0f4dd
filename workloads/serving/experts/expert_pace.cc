#include "workloads/serving/experts/expert_pace.h"

#include <algorithm>
#include <cmath>

#include "sim/base/random.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/eplb.h"
#include "workloads/serving/experts/steady_load.h"

namespace flopcast {

std::vector<double> busiest_rank_loads(const ExpertPaceConfig& config, const ExpertGroup& group, int steps,
                                       std::uint64_t seed) {
  std::vector<double> busiest;
  if (config.variation <= 0 || group.ranks <= 1) return std::vector<double>(static_cast<std::size_t>(steps), 1.0);
  const double sigma = std::sqrt(std::log1p(config.variation * config.variation));
  const double fresh = std::sqrt(1 - config.memory * config.memory);
  const int every = std::max(1, static_cast<int>(std::lround(config.rebalance_period / config.drift_period)));
  RandomStream random(seed, 23);
  std::vector<double> logs(static_cast<std::size_t>(group.experts)), loads(logs.size());
  for (double& value : logs) value = random.normal();
  // EPLB takes copies that divide over the GPUs; those that are over hold what their GPU has already.
  const int replicas = std::max(group.ranks, (group.experts + group.redundant) / group.ranks * group.ranks);
  const double most = most_of_mean(group.experts, group.experts_per_token);
  std::vector<int> placement;
  for (int step = 0; step < steps; ++step) {
    if (step > 0)
      for (double& value : logs) value = config.memory * value + fresh * random.normal();
    for (std::size_t i = 0; i < logs.size(); ++i) loads[i] = std::exp(sigma * logs[i]);
    loads = cut_loads(std::move(loads), most);
    if (step % every == 0) {
      if (config.eplb && replicas >= group.experts) {
        EplbRequest request;
        request.expert_loads = loads;
        request.replicas = replicas;
        request.groups = group.groups;
        request.nodes = std::max(1, group.ranks / group.ranks_per_node);
        request.gpus = group.ranks;
        placement = place_experts(request);
      } else {
        placement.clear();
        for (int i = 0; i < group.experts; ++i) placement.push_back(i);
      }
    }
    const std::vector<double> ranks = placed_loads(loads, placement, group.ranks);
    busiest.push_back(*std::max_element(ranks.begin(), ranks.end()));
  }
  return busiest;
}

double steady_busiest_load(double variation, double alike, const ExpertGroup& group, int layers, std::uint64_t seed) {
  if (layers < 1) return 1;
  // Two periods: experts are placed by the first, the second is what iterations get.
  ExpertPaceConfig pace;
  pace.variation = variation;
  pace.memory = alike;
  pace.eplb = group.redundant > 0;
  pace.rebalance_period = pace.drift_period * 2.0;
  double sum = 0;
  for (int layer = 0; layer < layers; ++layer)
    sum += busiest_rank_loads(pace, group, 2, seed + static_cast<std::uint64_t>(layer)).back();
  return sum / layers;
}

}  // namespace flopcast
