// From one step to a whole run: phases, batch ramp, checkpoints, interruptions, GPU-hours, energy, dollars.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/parts/energy.h"
#include "analysis/runs/training/goodput.h"
#include "analysis/runs/training/step_range.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// Step time as a straight line over micro-batches: exact once the pipeline is full, since every further
/// micro-batch adds the same work to every rank.
struct StepTimeLine {
  Seconds fixed;  ///< at zero micro-batches: filling, draining, optimiser
  Seconds per_micro_batch;
  Seconds at(double micro_batches) const { return fixed + micro_batches * per_micro_batch; }
  /// Through two replays; `few` < `many`.
  static StepTimeLine through(int few, Seconds at_few, int many, Seconds at_many);
};

/// Time of a batch ramp: the batch grows linearly from `from` to `to` micro-batches while `tokens` are
/// trained on. With step time a + b m and m growing by (to - from) / tokens per token,
///   time = tokens / (tokens per micro-batch) * (a ln(to / from) / (to - from) + b).
Seconds ramp_time(const StepTimeLine& line, double from, double to, double tokens, double tokens_per_micro_batch);

/// How a phase's GPU-hours come about; the parts sum to the phase.
struct PhaseTime {
  Seconds steady;        ///< all tokens at the final batch, nothing ever fails
  Seconds ramp;          ///< what the smaller batches of the ramp cost on top
  Seconds checkpoints;   ///< standing still while writing
  Seconds lost_work;     ///< trained again after interruptions
  Seconds restarts;      ///< standing still after interruptions
  Seconds planned;       ///< standing still for planned interruptions
  Seconds repair_waits;  ///< no spare node at hand
  Seconds standing() const { return checkpoints + restarts + planned + repair_waits; }
  Seconds total() const { return steady + ramp + lost_work + standing(); }
};

/// Adds checkpoints and interruptions to `useful` seconds of training on `gpus` GPUs: the closed form of
/// goodput.h.
/// @throws InputError when failures come faster than the job recovers.
PhaseTime with_interruptions(PhaseTime useful, int gpus, const ResilienceConfig& resilience);

struct PhaseProjection {
  std::string name;
  bool given = false;   ///< GPU-hours are an input, not a prediction
  bool scaled = false;  ///< not replayed: scaled by FLOP per token at the MFU of the first phase
  double tokens = 0;
  double steps = 0;
  int gpus = 0;
  Seconds step_time;  ///< at the final batch
  PhaseTime time;
  double gpu_hours = 0;
  Usd cost;
  Joules energy;
  std::string source;
  Seconds elapsed() const { return hours(gpu_hours / gpus); }
};

struct Projection {
  std::vector<PhaseProjection> phases;
  double gpu_hours = 0;
  double predicted_gpu_hours = 0;  ///< without the phases that were given
  Seconds elapsed;
  Usd cost;
  Joules energy;
  /// Of the predicted hours, over the prediction: for what steps are made of and, where `lost_as_published`, for what
  /// published runs lost. Nothing: not known.
  std::optional<FigureRange> spread;
  bool lost_as_published = false;  ///< the scenario does not say how the job is interrupted
  std::vector<double> quantiles;   ///< of `spread`, evenly spaced, where it is no log-normal one
  double goodput = 1;              ///< steady time over elapsed time, predicted phases
  std::optional<JobLife> life;     ///< of the predicted phases, one after the other; closed form beside replays
  std::vector<std::string> notes;

  /// The whole run's time in that part of the cases in which predicted hours are `over` times the prediction.
  Seconds elapsed_at(double over) const;
  /// Odds that the run takes no longer. @pre spread
  double odds_within(Seconds limit) const;
};

/// The step of a phase.
TrainingConfig phase_config(const TrainingConfig& base, const TrainingPhase& phase);

/// Tokens of all phases that are predicted, not given as GPU-hours.
double tokens_to_train(const Scenario& scenario);

/// Where a phase's plan stands in the scenario, for diagnostics.
std::string phase_plan_field(const TrainingPhase& phase);

/// What the projection needs to know of the step that was replayed.
struct ReplayedStep {
  Seconds step_time;
  double model_flops_utilisation = 0;
  StepPower power;
};

/// Replays the step of a configuration and returns its time; throws InputError when the schedule cannot run
/// it (it is scaled then) and MemoryRefused when it does not fit (the projection is refused then).
using StepTimer = std::function<Seconds(const TrainingConfig&)>;

/// @param timer asked for further batches and plans, never for the step that was replayed already.
Projection project(const Scenario& scenario, const ReplayedStep& replayed, const StepTimer& timer);

/// The steps that a projection asks its timer for, in their order; some may come twice.
std::vector<TrainingConfig> steps_to_project(const Scenario& scenario);

}  // namespace flopcast
