// The forward or the backward part of a pass, while it is being built (pass_emitter.h).
#pragma once
#include <cstddef>

#include "workloads/training/passes/operations.h"
#include "workloads/training/passes/pipeline_mail.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/passes/unit_parameters.h"
#include "workloads/training/prices/step_choices.h"
#include "workloads/training/prices/step_prices.h"
#include "workloads/training/stage_walk.h"

namespace flopcast {

struct PassHalf {
  const StageWalk* walk = nullptr;  // null: the pass has no such half
  StageId stage;
  MicroBatchId micro_batch;
  PipelineMail::Kind kind = PipelineMail::Kind::activation;
  OpId ready;            // what the next operation of this half waits for
  bool again = false;    // a forward for the sake of a backward
  bool started = false;  // its first operation has been built
  CopyId copy;
  bool gathers = false;  // parameters come before each layer
  bool reduces = false;  // gradients leave after each layer
  bool sums = false;     // and are summed over shard groups
  OpId parameters;       // of the layer that is being built
  bool has(std::size_t layer) const { return walk != nullptr && layer < walk->layers.size(); }
  const StageWalk::Layer& layer(std::size_t i) const { return walk->layers[i]; }
};

/// Of an operation of a layer, or of the edge behind the last.
Label label(OpName name, const PassHalf& half, std::size_t layer);
/// Of a layer with the edges that travel with it.
StageParameters unit(const UnitParameters::Units& of, const PassHalf& half, std::size_t layer);
/// What the kernels of a layer take.
Seconds forward_time(const StepPrices& prices, const RankProgram& program, const PassHalf& half, std::size_t layer);
Seconds backward_time(const StepPrices& prices, const RankProgram& program, const PassHalf& half, std::size_t layer);
/// Whether gradients leave after each layer. @param last weight gradients of a chunk in this step
void set_reduces(PassHalf& half, const ShardPlan& plan, bool last);

}  // namespace flopcast
