// What compare knows of loops of reinforcement learning: causes by name, which combinations can run, and figures of a
// replayed loop.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/runs/rl/rl_run.h"
#include "analysis/studies/compare/causes.h"
#include "sim/base/fields.h"

namespace flopcast {

/// Rows of named_causes() that concern loops alone.
std::span<const NamedCause> loop_causes();

/// What a loader would refuse in a loop that was put together from others; empty: it is sound.
std::string unsound_loop(const Scenario& scenario);

/// Groups of fields that lean on each other between two loops, and so make one cause: who has which GPUs, and the plans
/// on them, where one loop is in turn and the other apart.
bool leans_on_placement(std::string_view group, const Scenario& from, const Scenario& to);

/// A number of a loop's report, by its metric's name.
struct LoopFigure {
  std::string name, unit;
  double value = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &LoopFigure::name);
    field("unit", &LoopFigure::unit);
    field("value", &LoopFigure::value);
  }
};
struct ReplayedLoop {
  Seconds step;
  double tokens = 0;       ///< trained on in a step, or written where nothing is trained
  Bytes memory, capacity;  ///< of the phase that fills its GPU most
  std::vector<LoopFigure> figures;
};
/// @throws InputError
ReplayedLoop replay_loop(const Scenario& scenario, const PowerModel& power, bool whole_run);

}  // namespace flopcast
