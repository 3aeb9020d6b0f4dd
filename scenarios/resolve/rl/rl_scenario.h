// A reinforcement learning loop after reading, look-ups and checks.
#pragma once
#include <memory>
#include <optional>

#include "hwmodels/fabric/cluster.h"
#include "hwmodels/fabric/node_count.h"
#include "sim/base/fields.h"
#include "workloads/rl/rl.h"
#include "workloads/serving/config/pool_spec.h"
#include "workloads/training/training.h"

namespace flopcast {

struct EngineConstants;

struct RlScenario {
  RlConfig loop;
  TrainingConfig update;                             ///< `training` of the file; of no use where nothing is trained
  PoolSpec rollout;                                  ///< of no use where nothing is generated
  std::optional<ClusterSpec> rollout_cluster;        ///< where the engine runs, if elsewhere
  std::shared_ptr<const EngineConstants> constants;  ///< filled in beside the other calibrations

  const ModelConfig& model() const { return loop.algorithm->trains ? update.model : rollout.engine.model; }
  bool trains() const { return loop.algorithm->trains || loop.with_reward_model(); }
  bool generates() const { return loop.algorithm->generates; }
  int trainer_gpus() const { return trains() ? static_cast<int>(update.plan.gpus()) : 0; }
  int engine_gpus() const { return generates() ? rollout.engine.plan.gpus() * rollout.replicas : 0; }
  bool separate() const { return loop.placement == RlPlacement::separate; }
  /// Of the engine's, those that are the trainer's too while it waits; where both have all in turn that is not counted.
  int overlap_gpus() const { return generates() && separate() ? rollout.engine.plan.gpus() * loop.overlap : 0; }
  /// Of trainer and engine: those that both share once.
  int working_gpus() const {
    return separate() ? trainer_gpus() + engine_gpus() - overlap_gpus() : std::max(trainer_gpus(), engine_gpus());
  }
  /// That the loop takes.
  int gpus() const { return working_gpus() + loop.aside_gpus(); }
  /// Of them those of `rollout_cluster`, which may be of another kind.
  int gpus_elsewhere() const { return rollout_cluster ? engine_gpus() : 0; }
  const ClusterSpec& engine_cluster(const ClusterSpec& own) const { return rollout_cluster ? *rollout_cluster : own; }
  /// Nodes on which it has GPUs.
  int nodes(const ClusterSpec& own) const {
    return nodes_for(gpus() - gpus_elsewhere(), own.node) + nodes_for(gpus_elsewhere(), engine_cluster(own).node);
  }
  /// Updates of a step and epoch.
  int updates() const { return loop.algorithm->trains ? static_cast<int>(loop.answers() / update.batch.sequences) : 1; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("", &RlScenario::loop);
    field("training", &RlScenario::update, {.resolved = true});
    field("rollout", &RlScenario::rollout, {.resolved = true});
    field("rollout_cluster", &RlScenario::rollout_cluster, {.cause = "plan", .resolved = true});
    field.aside(&RlScenario::constants, "calibration");
  }
};

}  // namespace flopcast
