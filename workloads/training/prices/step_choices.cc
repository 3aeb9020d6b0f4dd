#include "workloads/training/prices/step_choices.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace flopcast {

ShardPlan collectives_beside_passes(const TrainingConfig& config, const JobGrid& grid, bool held_twice) {
  ShardPlan beside;
  const int zero = config.plan.zero_stage;
  if (held_twice || !config.mechanisms.gradient_collectives || (grid.replicas < 2 && grid.blocks() < 2)) return beside;
  beside.gather_always = zero >= 3 && !stays_gathered(config);
  beside.reduce_always = zero >= 2 && !reduces_last(config);
  beside.gather_first = zero >= 1 && config.plan.overlap_parameters;
  beside.reduce_last = config.plan.overlap_gradients || zero >= 2;
  beside.sum_groups = config.plan.overlap_gradients && config.plan.hybrid();
  return beside;
}

FittedSplit split_within_memory(const TrainingConfig& config, std::span<const std::vector<int>> stage_of,
                                const StageGroups& groups, const LayerCosts& costs, Bytes capacity,
                                const MemoryOfSplit& memory) {
  int stages = 0;
  for (const std::vector<int>& group : groups) stages += static_cast<int>(group.size());
  const std::vector<StageContent> unlimited = split_layers(config, stages, groups, costs);
  if (config.plan.layer_split != "balanced" || !config.plan.stage_layers.empty()) return {unlimited, false};

  std::vector<int> most(static_cast<std::size_t>(stages), config.model.layers);
  FittedSplit leanest{unlimited, false};
  Bytes least(std::numeric_limits<double>::infinity());
  std::vector<StageContent> split = unlimited;
  for (bool changed = true, first = true; changed; first = false) {
    if (!first) split = split_layers(config, stages, groups, costs, most);
    const std::vector<Bytes> of_rank = memory(split);
    Bytes fullest;
    changed = false;
    for (std::size_t rank = 0; rank < of_rank.size(); ++rank) {
      fullest = std::max(fullest, of_rank[rank]);
      if (of_rank[rank] <= capacity) continue;
      const std::vector<int>& held = stage_of[rank];
      const int longest = *std::max_element(held.begin(), held.end(),
                                            [&](int a, int b) { return split[a].layers() < split[b].layers(); });
      const int limit = std::max(0, static_cast<int>(split[longest].layers()) - 1);
      changed |= limit < most[longest];
      most[longest] = std::min(most[longest], limit);
    }
    if (fullest < least) {
      least = fullest;
      leanest.stages = split;
      leanest.moved_for_memory =
          fullest <= capacity && most != std::vector<int>(static_cast<std::size_t>(stages), config.model.layers);
    }
    if (std::accumulate(most.begin(), most.end(), 0) < config.model.layers) break;  // no room anywhere
  }
  return leanest;
}

}  // namespace flopcast
