// From a scenario to a loop that can be replayed: the engine's replicas and prices, the trainer's passes, the way of
// the weights, what stands in memory.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "analysis/runs/rl/rl_report.h"
#include "hwmodels/fabric/topology.h"
#include "hwmodels/kernels/kernels.h"
#include "sim/replay.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {

class ServingSession;

/// Holds prices that were looked up, so that further loops of the same scenario cost little.
class RlMachine {
 public:
  /// @param scenario has `rl`, and outlives it. Parts in `free` take no time.
  RlMachine(const Scenario& scenario, const ReplayOptions& replay);

  struct Loop {
    RlOutcome outcome;
    TrainerPrices prices;
  };
  /// @param config as the scenario's, or with other lengths. @throws InputError, Interrupted.
  Loop run(const RlConfig& config, const std::array<bool, kRlParts>& free = {},
           const std::function<bool(std::int64_t)>& keep_going = {});
  /// Answers written one after the other batch, without anything else: an evaluation.
  Seconds write_answers(const RlConfig& config, int answers);

  const SyncCost& sync();
  /// The policy's weights take the place of the reference's, in host memory or beside the policy.
  Seconds reference_copy() const;
  ModelStates states() const;
  /// Per phase, the fullest first where several share one.
  std::vector<PhaseMemory> memory();
  /// @throws InputError naming every phase that does not fit, and by how much.
  void check_memory();

 private:
  const RlScenario& rl() const { return *scenario_.rl; }
  /// A replica of the frozen models' own GPUs.
  TrainerSetting frozen_setting(const ModelConfig& model, const MicroBatchShape& shape);
  struct FrozenModel {
    const char* role;
    const ModelConfig* model;
  };
  std::vector<FrozenModel> frozen_models(const RlConfig& config) const;
  FrozenReads frozen_reads(const RlConfig& config, const MicroBatchShape& shape);
  TrainerSetting setting(const ModelConfig& model, const MicroBatchShape& shape);
  const PassLine& line(const ModelConfig& model, bool update, const MicroBatchShape& shape, double micro_batches);
  /// A copy of the critic on GPUs of its own.
  TrainerSetting critic_setting(const MicroBatchShape& shape);
  TrainerPrices trainer_prices(const RlConfig& config);
  /// TrainerPrices::held_up.
  double held_up(const MicroBatchShape& shape, double micro_batches);
  RlPrices prices(const RlConfig& config);
  std::unique_ptr<ServingSession> session(std::uint64_t seed);
  Bytes held(const ModelConfig& model, const char* item);
  const MemoryTable& update_memory_of(const ModelConfig& model);
  /// Its place in models_: an override leaves a model's name as it was, so names do not tell models apart.
  std::size_t number_of(const ModelConfig& model);
  const ModelConfig& critic_model() const;
  const ModelConfig& reference_model() const;
  Bytes frozen_per_gpu(const ModelConfig& model) const;

  const Scenario& scenario_;
  ReplayOptions replay_;
  std::unique_ptr<Topology> trainer_topology_, frozen_topology_, critic_topology_;
  std::map<std::tuple<std::size_t, std::int64_t, int>, PassLine> frozen_lines_;
  std::map<std::size_t, std::unique_ptr<KernelModel>> kernels_;
  std::optional<BuiltPool> engine_;
  std::vector<ModelConfig> models_;  // whose prices and memory are known
  std::map<std::tuple<std::size_t, bool, std::int64_t, int, int>, PassLine> lines_;
  std::optional<SyncCost> sync_;
  std::map<std::size_t, MemoryTable> update_memory_;
};

}  // namespace flopcast
