// Published steps, weight synchronisations and runs of reinforcement learning (analysis/data/published_rl.csv),
// predicted from library scenarios with the settings that their sources state.
#pragma once
#include <string>
#include <vector>

#include "analysis/evidence/validate/validate.h"
#include "flopcast/environment.h"

namespace flopcast {

/// A check per row and, per group of several, the median of their errors. Rows without a bar: nothing is tuned on steps
/// and runs, and all errors are shown. @throws InputError where a row cannot be read or a scenario is refused.
std::vector<Check> check_rl(const Environment& environment);

}  // namespace flopcast
