// The most traffic that one unit of a deployment serves within what was promised.
#pragma once
#include <string>
#include <string_view>

#include "analysis/studies/plan/serving_plan.h"

namespace flopcast {

/// What one unit can do, in figures that travel between processes.
struct Capacity {
  CurveSample at_most;
  char limit = ' ';  ///< 't': TTFT, 'p': TPOT, 'e': end to end, 'q': queues, ' ': nothing up to the highest load
};

/// Replays the unit that `scenario` has at one load after the other: the load is doubled or halved until the promise
/// breaks or is kept, and then bisected.
Capacity capacity_of_unit(const Scenario& scenario, const ServingPlanOptions& options);

std::string_view limit_text(char limit);

// Between processes.
std::string line_of(const Capacity& capacity);
Capacity capacity_of(const std::string& line);

}  // namespace flopcast
