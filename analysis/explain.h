// What each mechanism of the model adds to a step: the step with it, and without it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/run.h"
#include "analysis/text_table.h"

namespace flopcast {

/// Something that a rough estimate leaves out, and how to leave it out.
struct Mechanism {
  std::string_view name;
  std::string_view set;  ///< what says the same on the command line
  bool (*in_force)(const TrainingConfig&);
  void (*switch_off)(TrainingConfig&);
};
const std::vector<Mechanism>& mechanisms();

struct MechanismCost {
  const Mechanism* mechanism;
  Seconds without;  ///< the step with everything but this
};

struct Explanation {
  Seconds step_time;
  Seconds bare;  ///< the step with all of them off
  std::vector<MechanismCost> costs;
};

/// Replays the step once per mechanism that is in force, `workers` at a time in child processes.
Explanation explain(const Scenario& scenario, const RunOptions& options, int workers);

std::string to_text(const Explanation& explanation, const TextStyle& style);

}  // namespace flopcast
