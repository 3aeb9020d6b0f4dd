// What the trainer's passes take: the training step's replay, and its forward half for log-probabilities and values.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "hwmodels/kernels/kernels.h"
#include "sim/replay.h"
#include "workloads/rl/packing.h"
#include "workloads/training/step/training_step.h"

namespace flopcast {

/// Time as a straight line over micro-batches per replica: exact once the pipeline is full, since every further one
/// adds the same work to every rank.
struct PassLine {
  Seconds fixed, per_micro_batch;
  Seconds at(double micro_batches) const { return fixed + micro_batches * per_micro_batch; }
};

/// What replays of a model's passes need.
struct TrainerSetting {
  TrainingConfig config;  ///< the update: model, plan, schedule; its batch says how much a micro-batch holds
  MicroBatchShape shape;
  Topology* topology = nullptr;  ///< of the trainer's GPUs
  const KernelModel* kernels = nullptr;
  const LinkCalibration* links = nullptr;
  ReplayOptions replay;
};

/// Forward, backward, collectives, optimiser. @param micro_batches about how many there will be.
/// @throws InputError when the schedule cannot run the plan with any number of micro-batches near that.
PassLine update_line(const TrainerSetting& setting, double micro_batches);
/// Forward passes alone, in the order of the schedule.
PassLine forward_line(const TrainerSetting& setting, double micro_batches);

/// Memory of the update's fullest GPU, with full micro-batches of the scenario's size.
MemoryTable update_memory(const TrainerSetting& setting);

/// All replays that a step needs, with the first few numbers of micro-batches that are asked for.
struct TrainerPrices {
  MicroBatchShape shape;
  int replicas = 1;
  PassLine update, forward;                                   ///< of the policy
  std::optional<PassLine> critic_update, critic_forward;      ///< of the value model
  std::optional<PassLine> reference_forward, reward_forward;  ///< of frozen models
  std::optional<PassLine> teacher_forward;
  double held_up = 0;  ///< share of a pass that a GPU waits for slower ones, or for slow links, mean over GPUs
};

}  // namespace flopcast
