// From which step on a loop is counted.
//
// A loop that runs ahead starts with more answers at once than it ever begins again: short ones are trained on first,
// long ones are still being written, and a few steps look faster than the engine is. What is measured goes round, too:
// answers begun at once are late at once, so long steps and short ones alternate in rounds of 1 + staleness. So whole
// rounds count, the later half of those that were replayed, and only once as many tokens are written in them as leave
// the loop.
#pragma once
#include <cstddef>
#include <optional>
#include <span>

#include "workloads/rl/loop_outcome.h"
#include "workloads/rl/rl.h"

namespace flopcast {

/// Tokens that the engine wrote in these steps over those that were trained on or thrown away; 1: nothing was written.
double written_over_gone(std::span<const RlStep> steps);
/// Answers that were rewarded in them over those that were trained on or thrown away; 1: none was.
double rewarded_over_gone(std::span<const RlStep> steps);

/// Steps that are replayed at least.
int least_steps(const RlConfig& config);

/// The first step that counts; none: further ones are to be replayed. A loop that does not settle is given up after so
/// many rounds, and counted as it is.
std::optional<std::size_t> first_counted(std::span<const RlStep> steps, const RlConfig& config);
/// Whether these, which count, are level.
bool settled(std::span<const RlStep> counted);

}  // namespace flopcast
