// How far off a loop's figures may be: engine, trainer, links and what loops are off beside these, drawn together.
#pragma once
#include <vector>

#include "analysis/runs/serving/serving_spread.h"
#include "analysis/runs/training/step_range.h"
#include "workloads/rl/loop_outcome.h"

namespace flopcast {

struct Scenario;
struct RlStepMeans;

struct LoopErrors {
  TimeSpread engine;  ///< of the time that it takes to write a token
  StepError trainer;  ///< of its kernels and of what its software does beside them
  StepError links;    ///< of the way of the weights
  StepError whole;    ///< of steps of published loops, all of the above in it
};

/// @param engine of measured servers: what serving_spreads() says of the loop's
/// @param scenario has `rl`
LoopErrors loop_errors(const Scenario& scenario, const TimeSpread& engine, const StepErrors& errors);

/// Medians of parts are those of the draws too.
struct LoopRanges {
  FigureRange step_s, generation_s, training_s, sync_s;
  std::vector<RangeInput> inputs;  ///< of the step, largest share first
};

/// Each draw: parts of the step take longer by what their own kind is off by, and all by the rest of what published
/// loops are off. Where engine and trainer work at once, what one does behind the other's back does not count until it
/// is the longer.
/// @param separate engine and trainer have GPUs of their own
LoopRanges loop_ranges(const RlStepMeans& step, bool separate, const LoopErrors& errors);

}  // namespace flopcast
