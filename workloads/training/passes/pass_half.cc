#include "workloads/training/passes/pass_half.h"

namespace flopcast {

Label label(OpName name, const PassHalf& half, std::size_t layer) {
  const std::uint16_t index = half.has(layer) ? half.layer(layer).index : std::uint16_t{0};
  return {static_cast<std::uint16_t>(name), static_cast<std::uint16_t>(half.stage.index()),
          static_cast<std::uint16_t>(half.micro_batch.index()), index};
}

StageParameters unit(const UnitParameters::Units& of, const PassHalf& half, std::size_t layer) {
  StageParameters sum;
  const auto add_edges = [&](std::size_t before) {
    for (StageWalk::Edge edge : half.walk->edges[before]) {
      if (edge == StageWalk::Edge::embedding) sum += of.embedding;
      if (edge == StageWalk::Edge::head) sum += of.head;
    }
  };
  // Embedding and head travel with the layer beside them.
  if (layer == 0) add_edges(0);
  if (half.has(layer)) {
    sum += half.layer(layer).moe ? of.moe_layer : of.dense_layer;
    add_edges(layer + 1);
  }
  return sum;
}

Seconds forward_time(const StepPrices& prices, const RankProgram& program, const PassHalf& half, std::size_t layer) {
  if (!half.has(layer)) return Seconds(0);
  const bool moe = half.layer(layer).moe;
  return prices.phase(Phase::attention_forward, moe, program.expert_rank, SmShare::all).time +
         prices.phase(Phase::mlp_forward, moe, program.expert_rank, SmShare::all).time;
}

Seconds backward_time(const StepPrices& prices, const RankProgram& program, const PassHalf& half, std::size_t layer) {
  if (!half.has(layer)) return Seconds(0);
  Seconds sum;
  for (Phase phase : {Phase::mlp_backward, Phase::mlp_weight, Phase::attention_backward, Phase::attention_weight}) {
    sum += prices.phase(phase, half.layer(layer).moe, program.expert_rank, SmShare::all).time;
  }
  return sum;
}

void set_reduces(PassHalf& half, const ShardPlan& plan, bool last) {
  half.reduces = (last && plan.reduce_last) || plan.reduce_always;
  half.sums = last && plan.sum_groups;
}

}  // namespace flopcast
