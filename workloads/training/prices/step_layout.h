// Which GPUs of a job are replayed, where they sit, and who waits for whom.
#pragma once
#include <numeric>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "sim/base/ids.h"
#include "workloads/training/prices/exchange_times.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Where the ranks of a job sit. Megatron's order: GPUs that share matrices are neighbours, then those that share a
/// sequence, then replicas; pipeline stages lie furthest apart. A position counts the GPUs of one stage in that order.
struct JobGrid {
  int pipeline = 1;
  int tensor = 1;
  int context = 1;
  int replicas = 1;       ///< data x context parallel ranks per pipeline stage
  int expert = 1;         ///< expert-parallel size
  int expert_tensor = 1;  ///< GPUs that share an expert

  explicit JobGrid(const ParallelPlan& plan)
      : pipeline(plan.pipeline),
        tensor(plan.tensor),
        context(plan.context),
        replicas(plan.replicas()),
        expert(plan.expert),
        expert_tensor(plan.expert_tensor) {}
  int per_stage() const { return replicas * tensor; }
  /// GPUs that hold one set of experts.
  int expert_group() const { return expert * expert_tensor; }
  /// Positions that wait for each other in every layer: whole expert and whole tensor-parallel groups.
  int block() const { return std::lcm(tensor, expert_group()); }
  int blocks() const { return per_stage() / block(); }
  RankId gpu(int pipeline_rank, int position) const { return RankId::at(pipeline_rank * per_stage() + position); }
  int pipeline_rank(RankId gpu) const { return static_cast<int>(gpu.index()) / per_stage(); }
  int position(RankId gpu) const { return static_cast<int>(gpu.index()) % per_stage(); }
  int tensor_rank(int position) const { return position % tensor; }
  int replica(int position) const { return position / tensor; }
  int expert_rank(int position) const { return position / expert_tensor % expert; }
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
/// for the group; groups without slow parts do the same at the same time, so one of each way in which they lie on
/// nodes stands for all. Every GPU is
/// replayed when the configuration asks for it, when several replicas of a group have slow members, or when the fabric
/// is oversubscribed (ports of a leaf then contend with each other); but one GPU of every node where the GPUs of a node
/// do the same on leaves of their own.
ReplayPlan choose_replayed(const TrainingConfig& config, const ClusterSpec& cluster,
                           const std::vector<double>& rank_loads);

/// Rates of the slowest ports in the tensor, expert tensor and context parallel groups of a GPU.
ExchangeTimes::GroupSpeeds port_speeds(const JobGrid& grid, const ClusterSpec& cluster, RankId gpu);

/// By how much compute is stretched because everybody waits for the slowest of the GPUs that run a stage, whose speeds
/// are normally distributed: 1 + sigma E[largest of n].
double spread_factor(const TrainingConfig& config);

}  // namespace flopcast
