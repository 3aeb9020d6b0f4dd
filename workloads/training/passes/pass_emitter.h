// Turns the passes of a schedule into operations: phases on a compute lane, dispatch and combine on a communication
// lane, activations and gradients to the neighbours.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/graph.h"
#include "workloads/training/passes/operations.h"
#include "workloads/training/passes/pass_half.h"
#include "workloads/training/passes/pipeline_mail.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/passes/shard_traffic.h"
#include "workloads/training/passes/unit_parameters.h"
#include "workloads/training/prices/step_choices.h"
#include "workloads/training/prices/step_prices.h"
#include "workloads/training/stage_walk.h"

namespace flopcast {

/// Builds passes. One emitter serves all ranks of a step.
class PassEmitter {
 public:
  PassEmitter(const TrainingConfig& config, const Schedule& schedule, const std::vector<StageContent>& stages,
              const StepPrices& prices, Topology& topology, const LinkCalibration& links, GraphBuilder& graph,
              PipelineMail& mail, ShardTraffic& shards, const ShardPlan& shard_plan, const UnitParameters& units);

  /// Another content of a stage, for passes that are emitted from now on.
  void set_stage(std::size_t stage, const StageContent& content);
  /// @param copy which replayed copy of the pipeline the rank belongs to.
  /// @param peer maps a pipeline rank to the GPU of the same copy.
  /// @param times how many passes this one stands for.
  void emit(RankProgram& program, const Pass& pass, CopyId copy, const std::vector<RankId>& peer,
            std::int64_t times = 1);
  const EvidenceShare& evidence() const { return evidence_; }
  const SourceShare& sources() const { return sources_; }
  /// Of the pass that was emitted last.
  struct Host {
    Seconds within;  ///< what its GPU waits for the host within its compute
    Seconds beside;  ///< what of its communication the host takes anyway
  };
  const Host& host() const { return host_; }

 private:
  using Half = PassHalf;
  void forward_edges(RankProgram& program, Half& half, std::size_t before, SmShare share);
  void backward_edges(RankProgram& program, Half& half, std::size_t before, SmShare share, bool weights);
  void weight_edges(RankProgram& program, const StageWalk& walk, std::size_t before, SmShare share, Label label);
  void interleave(RankProgram& program, Half& forward, Half& backward, bool overlapped, bool weights);
  void weight_pass(RankProgram& program, StageId stage, MicroBatchId micro_batch, bool last);
  void recompute(RankProgram& program, Half again);
  void begin(Half& half, OpId op);
  void await_mail(const Half& half, OpId op);
  OpId compute(RankProgram& program, OpName name, const Price& price, double weight, Label label);
  void chained_compute(RankProgram& program, Half& half, OpName name, const Price& price, std::size_t layer);
  void layer_compute(RankProgram& program, Half& half, OpName name, Phase phase, std::size_t layer, SmShare share,
                     bool chained);
  void expert_transfer(RankProgram& program, Half& half, OpName name, const PortTransfer& transfer, std::size_t layer);
  void exchange(RankProgram& program, Half& half, const Price& price, double weight, Label label);
  void shared_expert(RankProgram& program, Half& half, OpName name, Phase phase, std::size_t layer, SmShare share,
                     OpId before);
  void gather(RankProgram& program, Half& half, std::size_t layer);
  /// Copies between the buffers of an exchange and the tensors of a unit, on the lane that computes.
  /// @param bytes read and written per parameter
  OpId copy_shards(RankProgram& program, const StageParameters& unit, double bytes, Label label);
  void reduce(RankProgram& program, const Half& half, std::size_t layer, Seconds beside);
  void send(RankProgram& program, Half& half, const std::vector<RankId>& peer);
  /// What a pass starts with where ranks stop for messages.
  void enter(RankProgram& program, Half& forward, Half& backward);

  const TrainingConfig& config_;
  const Schedule& schedule_;
  const StepPrices& prices_;
  Topology& topology_;
  const LinkCalibration& links_;
  GraphBuilder& graph_;
  PipelineMail& mail_;
  ShardTraffic& shards_;
  ShardPlan shard_plan_;
  std::vector<StageWalk> forward_, backward_;  // by stage
  UnitParameters units_;
  std::vector<std::vector<Schedule::Location>> path_;  // [direction][stage]
  StepPrices::Message boundary_;                       // activations of one micro-batch between two stages
  EvidenceShare evidence_;
  SourceShare sources_;
  double times_ = 1;  // that the pass being built stands for
  Host host_;
};

}  // namespace flopcast
