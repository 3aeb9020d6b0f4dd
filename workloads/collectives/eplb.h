// Expert placement with redundant experts: DeepSeek's EPLB, which copies the heaviest experts and packs
// copies onto GPUs so that their loads even out. (Algorithm: deepseek-ai/EPLB README, 2025-02.)
#pragma once
#include <span>
#include <vector>

namespace flopcast {

struct EplbRequest {
  std::span<const double> expert_loads;  ///< per logical expert, any scale
  int replicas = 0;                      ///< physical experts, redundant ones included; divides over gpus
  int groups = 1;                        ///< expert groups of node-limited routing
  int nodes = 1;
  int gpus = 1;
};

/// The logical expert behind each physical one, GPU by GPU. Hierarchical where groups divide over nodes
/// (groups to nodes, copies within nodes, copies to GPUs), else global (as if there were one group and one
/// node).
std::vector<int> place_experts(const EplbRequest& request);

/// Load per GPU (mean 1) of a placement: copies of an expert share its load equally. Where experts do not divide over
/// the GPUs, the first ones hold one more each (as vLLM's determine_expert_map does).
std::vector<double> placed_loads(std::span<const double> expert_loads, std::span<const int> placement, int gpus);

/// Load per rank (mean 1) after EPLB.
std::vector<double> eplb_rank_loads(std::span<const double> expert_loads, int redundant_experts, int groups, int ranks,
                                    int ranks_per_node = 8);

}  // namespace flopcast
