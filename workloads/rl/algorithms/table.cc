#include <array>

#include "workloads/rl/algorithms/rows.h"

namespace flopcast {

std::span<const AlgorithmRow> algorithms() {
  using namespace algorithm_rows;
  static const std::array kRows = {
      grpo(), ppo(), rloo(), reinforce_plus_plus(), dapo(), gspo(), on_policy_distillation(), rejection_sampling(),
      sft()};
  return kRows;
}

const AlgorithmRow* find_algorithm(std::string_view name) {
  for (const AlgorithmRow& row : algorithms()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace flopcast
