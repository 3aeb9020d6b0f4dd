// Loops of reinforcement learning side by side: GRPO beside PPO, in turn beside apart, synchronous beside ahead. What
// makes the difference shows in the parts of a step, which sum to it.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text_table.h"
#include "analysis/runs/rl/rl_run.h"

namespace flopcast {

/// @param scenarios all with `rl`. @throws InputError, Interrupted.
std::vector<RlReport> run_side_by_side(std::span<const Scenario> scenarios, std::span<const RlOptions> options);

/// A column per loop, a row per part of the step that any of them has; each beside the first.
std::string side_by_side_text(std::span<const RlReport> reports, const TextStyle& style);
/// A row per metric that is a number, a column per loop.
std::string side_by_side_csv(std::span<const RlReport> reports);

}  // namespace flopcast
