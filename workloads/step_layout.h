// Which GPUs of a job are replayed, where they sit, and who waits for whom.
#pragma once
#include <vector>

#include "hwmodels/topology.h"
#include "sim/ids.h"
#include "workloads/training.h"

namespace flopcast {

/// Where the ranks of a job sit. Megatron's order: data (and context) parallel ranks of a stage are neighbours, expert
/// parallel groups are runs of them, pipeline stages lie furthest apart.
struct JobGrid {
  int pipeline = 1;
  int replicas = 1;  ///< data x context parallel ranks per pipeline stage
  int expert = 1;    ///< of them, how many share one set of experts

  explicit JobGrid(const ParallelPlan& plan)
      : pipeline(plan.pipeline), replicas(plan.data * plan.context), expert(plan.expert) {}
  int blocks() const { return replicas / expert; }  ///< expert-parallel groups per stage
  RankId gpu(int pipeline_rank, int replica) const { return RankId::at(pipeline_rank * replicas + replica); }
  int pipeline_rank(RankId gpu) const { return static_cast<int>(gpu.index()) / replicas; }
  int replica(RankId gpu) const { return static_cast<int>(gpu.index()) % replicas; }
};

/// Relative expert load of each expert-parallel rank, mean 1 (all ones for a dense model).
std::vector<double> expert_rank_loads(const TrainingConfig& config, int gpus_per_node);

/// A GPU to be replayed.
struct ReplayChoice {
  RankId gpu;
  double weight = 1;  ///< GPUs it stands for
  double speed = 1;   ///< of its compute
};

/// The choice of GPUs and whether they stand for others.
struct ReplayPlan {
  std::vector<ReplayChoice> gpus;  ///< ascending
  bool folded = true;
  std::vector<std::string> notes;
};

/// Folds what is identical: an expert-parallel group moves in lockstep with its slowest member, so that member stands
/// for the group; groups without slow parts do the same at the same time, so one of them stands for all. Every GPU is
/// replayed when the configuration asks for it, when several replicas of a group have slow members, or when the fabric is oversubscribed (ports of a leaf then contend with each other).
ReplayPlan choose_replayed(const TrainingConfig& config, const ClusterSpec& cluster, const std::vector<double>& rank_loads);

/// By how much compute is stretched because everybody waits for the slowest of the GPUs that run a stage, whose speeds
/// are normally distributed: 1 + sigma E[largest of n].
double spread_factor(const TrainingConfig& config);

}  // namespace flopcast
