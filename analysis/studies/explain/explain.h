// What each mechanism of the model adds to a step: from a rough estimate without any of them, one after the
// other.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/training/run.h"

namespace flopcast {

namespace report {
class Explanation;
}

/// Something that a rough estimate leaves out, and how to leave it out. In the order in which they are added:
/// what a rank computes, what it waits for within its experts' group, then what joins the ranks.
struct Mechanism {
  std::string_view name;
  std::string_view set;  ///< what says the same on the command line
  bool (*in_force)(const TrainingConfig&);
  void (*switch_off)(TrainingConfig&);
  bool (*on_machine)(const Scenario&) = nullptr;  ///< what the configuration alone does not say; null: nothing

  bool in_force_in(const Scenario& scenario) const {
    return in_force(*scenario.training) && (on_machine == nullptr || on_machine(scenario));
  }
};
const std::vector<Mechanism>& mechanisms();

struct MechanismCost {
  const Mechanism* mechanism;
  Seconds adds;  ///< to the step with all mechanisms before it
};

/// A ladder: `bare` plus what every mechanism adds is the step time.
struct Explanation {
  Seconds bare;  ///< the step with all of them off
  Seconds step_time;
  std::vector<MechanismCost> costs;  ///< of the mechanisms in force, in the order of mechanisms()
};

/// Replays the step once more per mechanism that is in force, `workers` at a time in child processes.
Explanation explain(const Scenario& scenario, const RunOptions& options, int workers);

std::string to_text(const Explanation& explanation, const TextStyle& style);
report::Explanation to_message(const Explanation& explanation);
/// A page with the ladder as a waterfall. @param title of the scenario
std::string to_html(const Explanation& explanation, const std::string& title);

}  // namespace flopcast
