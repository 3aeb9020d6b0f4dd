// The most traffic that one unit of a deployment serves within what was promised.
#pragma once
#include <string>
#include <string_view>

#include "analysis/studies/plan/serving_plan.h"

namespace flopcast {

/// What one unit can do.
struct Capacity {
  CurveSample at_most;
  char limit = ' ';      ///< 't': TTFT, 'p': TPOT, 'e': end to end, 'q': queues, ' ': nothing up to the highest load
  bool roughly = false;  ///< it serves that much, and less than twice as much

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("at_most", &Capacity::at_most);
    field("limit", &Capacity::limit);
    field("roughly", &Capacity::roughly);
  }
};

/// Replays the unit that `scenario` has at one load after the other: the load is doubled or halved until the promise
/// breaks or is kept, and then bisected, unless it is clear by then that far less is served than `worth`.
/// @param worth requests per second; 0: whatever it is
Capacity capacity_of_unit(const Scenario& scenario, const ServingPlanOptions& options, double worth = 0);

std::string_view limit_text(char limit);

}  // namespace flopcast
