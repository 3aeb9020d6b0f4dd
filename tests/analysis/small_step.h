// Training steps small enough to work out by hand.
#pragma once
#include <string>

#include "workloads/training/step/training_step.h"

namespace flopcast::testing {

/// Collects operations of one rank after the other and remembers which pass they belong to.
class SmallStep {
 public:
  SmallStep() : builder_(training_op_names()) {}

  std::uint32_t add_rank(int pipeline_rank, double weight = 1.0) {
    ReplayedRank rank;
    rank.gpu = RankId::at(step_.ranks.size());
    rank.pipeline_rank = pipeline_rank;
    rank.weight = weight;
    rank.compute = builder_.add_lane(rank.gpu, "compute");
    rank.communication = builder_.add_lane(rank.gpu, "communication");
    rank.pipeline = builder_.add_lane(rank.gpu, "pipeline");
    step_.ranks.push_back(rank);
    return static_cast<std::uint32_t>(step_.ranks.size() - 1);
  }
  /// Operations added until end_pass() belong to the pass.
  void begin_pass(std::uint32_t rank, PassKind kind, std::uint16_t micro_batch = 0) {
    Pass pass;
    pass.kind = kind;
    pass.micro_batch = micro_batch;
    step_.passes.push_back({rank, pass, OpId::at(builder_.size()), {}});
  }
  void end_pass() { step_.passes.back().end = OpId::at(builder_.size()); }

  OpId compute(std::uint32_t rank, OpName name, double seconds, std::uint16_t micro_batch = 0) {
    return builder_.compute(step_.ranks[rank].compute, Seconds(seconds), label(name, rank, micro_batch));
  }
  OpId communicate(std::uint32_t rank, OpName name, double seconds) {
    return builder_.transfer(step_.ranks[rank].communication, Seconds(seconds), {}, label(name, rank, 0));
  }
  OpId send(std::uint32_t rank, OpName name, double seconds, std::uint16_t micro_batch = 0) {
    return builder_.transfer(step_.ranks[rank].pipeline, Seconds(seconds), {}, label(name, rank, micro_batch));
  }
  void after(OpId op, OpId predecessor) { builder_.after(op, predecessor); }

  TrainingStep build() && {
    step_.graph = std::move(builder_).build();
    return std::move(step_);
  }

 private:
  Label label(OpName name, std::uint32_t rank, std::uint16_t micro_batch) const {
    return {static_cast<std::uint16_t>(name), static_cast<std::uint16_t>(step_.ranks[rank].pipeline_rank), micro_batch,
            0};
  }
  GraphBuilder builder_;
  TrainingStep step_;
};

/// Two ranks, one micro-batch. Rank 0: F 1 s, then B 2 s after rank 1's; rank 1: F 1 s, full B with 2 s of
/// input and 1 s of weight gradients, sends of 0.5 s between them; then 0.25 s of optimiser each.
///   rank 0  F 0..1 | waiting 1..5 | B 5..7 | optimiser 7..7.25
///   rank 1  waiting 0..1.5 | F 1.5..2.5 | B input 2.5..4.5, send 4.5..5, W 4.5..5.5 | optimiser 5.5..5.75 |
///   waiting
inline TrainingStep two_ranks() {
  SmallStep step;
  const auto first = step.add_rank(0), second = step.add_rank(1);
  step.begin_pass(first, PassKind::forward);
  const OpId forward = step.compute(first, OpName::mlp_forward, 1);
  step.end_pass();
  const OpId activation = step.send(first, OpName::send_activation, 0.5);
  step.after(activation, forward);
  step.begin_pass(first, PassKind::backward_input);
  const OpId backward = step.compute(first, OpName::mlp_backward, 2);
  step.end_pass();
  step.after(step.compute(first, OpName::optimizer, 0.25), backward);

  step.begin_pass(second, PassKind::forward);
  step.after(step.compute(second, OpName::mlp_forward, 1), activation);
  step.end_pass();
  step.begin_pass(second, PassKind::backward);
  const OpId input = step.compute(second, OpName::mlp_backward, 2);
  step.compute(second, OpName::mlp_weight, 1);
  step.end_pass();
  const OpId gradient = step.send(second, OpName::send_gradient, 0.5);
  step.after(gradient, input);
  step.after(backward, gradient);
  step.compute(second, OpName::optimizer, 0.25);
  return std::move(step).build();
}

}  // namespace flopcast::testing
