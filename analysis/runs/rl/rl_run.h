// From a scenario with `rl` to its report.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/parts/energy.h"
#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/training/step_range.h"
#include "sim/replay.h"

namespace flopcast {

namespace report {
class RlExplanation;
}

struct RlOptions {
  PowerModel power;
  std::optional<PowerModel> engine_power;    ///< where the engine has another chip; none: the same
  std::shared_ptr<const StepErrors> errors;  ///< none: no ranges
  TimeSpread engine;                         ///< for ranges: how far off engines write their tokens
  ReplayOptions replay;
  bool allow_oom = false;
  bool project = true;  ///< to the whole run, where there is one
  /// Answers that have their reward so far, of about so many; 0: nobody knows how many.
  std::function<bool(std::uint64_t done, std::uint64_t all)> keep_going;
};

/// @param scenario has `rl`. @throws InputError, Interrupted.
RlReport run_rl(const Scenario& scenario, const RlOptions& options);

/// What a step would take if one of its parts took no time.
struct RlSaving {
  RlPart part = RlPart::generation;
  Seconds takes;  ///< in the step as it is
  Seconds saves;
};
struct RlExplanation {
  Seconds step;
  std::vector<RlSaving> parts;  ///< that take time, in their order in a step
};
RlExplanation explain_rl(const Scenario& scenario, const RlOptions& options);
std::string to_text(const RlExplanation& explanation, const TextStyle& style);
report::RlExplanation to_message(const RlExplanation& explanation);

/// Means over steps. @pre there is one.
RlStepMeans means_of(std::span<const RlStep> steps, int replicas, int frozen_replicas = 0);

/// For `flopcast check`. @throws InputError where a phase does not fit into memory.
std::string rl_facts(const Scenario& scenario, const ReplayOptions& replay);

}  // namespace flopcast
