#include "analysis/runs/training/projection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "analysis/runs/training/run.h"
#include "sim/base/diagnostic.h"
#include "workloads/schedules/schedule.h"

namespace flopcast {
namespace {

double tokens_per_micro_batch(const TrainingConfig& config) {
  return static_cast<double>(config.plan.data) * static_cast<double>(config.batch.micro_batch_sequences) *
         static_cast<double>(config.batch.sequence_length);
}

TrainingConfig with_micro_batches(TrainingConfig config, int micro_batches) {
  config.batch.sequences =
      static_cast<std::int64_t>(micro_batches) * config.plan.data * config.batch.micro_batch_sequences;
  return config;
}

// The smallest number of micro-batches from `wanted` on that the schedule accepts and that lies below `full`.
std::optional<int> accepted_micro_batches(const TrainingConfig& config, int wanted, int full) {
  const ScheduleRow* row = find_schedule(config.schedule);
  if (row == nullptr || !config.schedule_text.empty()) return std::nullopt;  // a user's order is for one number only
  for (int m = std::max(wanted, 1); m < full; ++m) {
    if (row->check({config.plan.pipeline, m, config.plan.chunks}).empty()) return m;
  }
  return std::nullopt;
}

// Reduces one phase after the other; knows the scenario and how to replay a step.
class Projector {
 public:
  Projector(const Scenario& scenario, const ReplayedStep& replayed, const StepTimer& timer)
      : scenario_(scenario), replayed_(replayed), timer_(timer) {}

  Projection project() {
    for (const TrainingPhase& phase : scenario_.phases) add(project_phase(phase));
    const double elapsed = predicted_elapsed_.value();
    if (elapsed > 0) {
      result_.goodput = predicted_steady_.value() / elapsed;
      result_.life = job_life(LifeSpan::of_work(predicted_work_), scenario_.cluster.gpus(), scenario_.resilience);
    }
    return std::move(result_);
  }

 private:
  PhaseProjection project_phase(const TrainingPhase& phase) {
    PhaseProjection projected;
    projected.name = phase.name;
    projected.tokens = phase.tokens;
    projected.gpus = static_cast<int>(phase.plan.gpus());  // those of the cluster
    projected.source = phase.source;
    if (phase.given_gpu_hours) {
      projected.given = true;
      projected.gpus = scenario_.cluster.gpus();
      projected.time.steady = hours(*phase.given_gpu_hours / projected.gpus);
    } else {
      const TrainingConfig config = phase_config(*scenario_.training, phase);
      try {
        replay_phase(projected, phase, config);
      } catch (const MemoryRefused& refused) {
        throw refused.at(phase_plan_field(phase));
      } catch (const InputError& refused) {
        scale_phase(projected, phase, config, refused);
      }
      projected.steps = phase.tokens / static_cast<double>(phase.batch.tokens());
      projected.time = with_interruptions(projected.time, projected.gpus, scenario_.resilience);
    }
    price(projected);
    return projected;
  }

  void replay_phase(PhaseProjection& projected, const TrainingPhase& phase, const TrainingConfig& config) {
    const TrainingConfig& base = *scenario_.training;
    const bool replayed = config.plan == base.plan && config.batch == base.batch;
    projected.step_time = replayed ? replayed_.step_time : timer_(config);
    projected.time.steady = phase.tokens / static_cast<double>(config.batch.tokens()) * projected.step_time;
    if (phase.ramp_from_sequences > 0 && phase.ramp_tokens > 0) {
      projected.time.ramp = ramp_cost(phase, config, projected.step_time);
    }
  }

  // What the ramp takes beyond the same tokens at the final batch.
  Seconds ramp_cost(const TrainingPhase& phase, const TrainingConfig& config, Seconds step_time) {
    const int full = config.micro_batches();
    const double per_replica = static_cast<double>(config.plan.data) * config.batch.micro_batch_sequences;
    const double from = static_cast<double>(phase.ramp_from_sequences) / per_replica;
    const double steady = phase.ramp_tokens / static_cast<double>(config.batch.tokens());
    const std::optional<int> few = accepted_micro_batches(config, static_cast<int>(std::ceil(from)), full);
    if (!few) {
      note(phase.name, "the batch ramp is left out: the order of passes serves one number of micro-batches only");
      return Seconds(0);
    }
    const StepTimeLine line = StepTimeLine::through(*few, timer_(with_micro_batches(config, *few)), full, step_time);
    if (*few > from) {
      note(phase.name, fmt::format("the ramp starts at {:.4g} micro-batches, {} needs {}: below that the step time is "
                                   "extended along the line through {} and {} micro-batches",
                                   from, config.schedule, *few, *few, full));
    }
    return ramp_time(line, from, full, phase.ramp_tokens, tokens_per_micro_batch(config)) - steady * step_time;
  }

  // FLOP per token over the utilisation of the step that was replayed, which leaves the MTP modules out too.
  void scale_phase(PhaseProjection& projected, const TrainingPhase& phase, const TrainingConfig& config,
                   const InputError& refused) {
    const double flop = model_flop_per_token(config, true);
    const FlopPerSecond rate =
        replayed_.model_flops_utilisation * projected.gpus * scenario_.cluster.node.gpu.bf16_peak;
    projected.scaled = true;
    projected.step_time = Flop(flop * static_cast<double>(config.batch.tokens())) / rate;
    projected.time = {};
    projected.time.steady = Flop(flop * phase.tokens) / rate;
    const std::vector<Diagnostic>& why = refused.diagnostics();
    note(phase.name,
         fmt::format("not replayed ({}); scaled by FLOP per token at {:.1f} % MFU",
                     why.empty() ? refused.what() : to_string(why.front()), 100 * replayed_.model_flops_utilisation));
  }

  void price(PhaseProjection& projected) {
    const Seconds elapsed = projected.time.total();
    const Seconds standing = projected.time.standing();
    projected.gpu_hours = in_hours(elapsed) * projected.gpus;
    projected.cost = static_cast<double>(projected.gpus) * (scenario_.price.gpu * elapsed);
    projected.energy = projected.gpus * scenario_.price.pue *
                       (replayed_.power.training * (elapsed - standing) + replayed_.power.standing * standing);
  }

  void add(PhaseProjection phase) {
    result_.gpu_hours += phase.gpu_hours;
    result_.elapsed += phase.time.total();
    result_.cost += phase.cost;
    result_.energy += phase.energy;
    if (!phase.given) {
      result_.predicted_gpu_hours += phase.gpu_hours;
      predicted_steady_ += phase.time.steady;
      predicted_work_ += phase.time.steady + phase.time.ramp;
      predicted_elapsed_ += phase.time.total();
    }
    result_.phases.push_back(std::move(phase));
  }

  void note(const std::string& phase, const std::string& text) { result_.notes.push_back(phase + ": " + text); }

  const Scenario& scenario_;
  const ReplayedStep& replayed_;
  const StepTimer& timer_;
  Projection result_;
  Seconds predicted_steady_, predicted_work_, predicted_elapsed_;
};

}  // namespace

Seconds Projection::elapsed_at(double over) const {
  const double predicted = gpu_hours > 0 ? predicted_gpu_hours / gpu_hours : 0;
  return elapsed * (1 - predicted + predicted * over);
}

double Projection::odds_within(Seconds limit) const {
  const double predicted = gpu_hours > 0 ? predicted_gpu_hours / gpu_hours : 0;
  if (predicted <= 0) return elapsed <= limit ? 1 : 0;
  const double over = (limit / elapsed - (1 - predicted)) / predicted;
  return quantiles.empty() ? flopcast::odds_within(*spread, over) : share_within(quantiles, over);
}

TrainingConfig phase_config(const TrainingConfig& base, const TrainingPhase& phase) {
  TrainingConfig config = base;
  config.plan = phase.plan;
  config.batch = phase.batch;
  return config;
}

double tokens_to_train(const Scenario& scenario) {
  double tokens = 0;
  for (const TrainingPhase& phase : scenario.phases) tokens += phase.given_gpu_hours ? 0 : phase.tokens;
  return tokens;
}

std::string phase_plan_field(const TrainingPhase& phase) { return "run.phase[" + phase.name + "].plan"; }

StepTimeLine StepTimeLine::through(int few, Seconds at_few, int many, Seconds at_many) {
  StepTimeLine line;
  line.per_micro_batch = (at_many - at_few) / static_cast<double>(many - few);
  line.fixed = at_many - static_cast<double>(many) * line.per_micro_batch;
  return line;
}

Seconds ramp_time(const StepTimeLine& line, double from, double to, double tokens, double tokens_per_micro_batch) {
  const double micro_batches = tokens / tokens_per_micro_batch;
  // The limit of ln(to / from) / (to - from) for a ramp that does not grow is 1 / to.
  const double steps_per_micro_batch = to > from ? std::log(to / from) / (to - from) : 1.0 / to;
  return micro_batches * (line.fixed * steps_per_micro_batch + line.per_micro_batch);
}

PhaseTime with_interruptions(PhaseTime useful, int gpus, const ResilienceConfig& resilience) {
  const Goodput life = closed_form(LifeSpan::of_work(useful.steady + useful.ramp), gpus, resilience);
  PhaseTime time = useful;
  time.checkpoints = life.checkpoints;
  time.lost_work = life.lost_work;
  time.restarts = life.restarts;
  time.planned = life.planned;
  time.repair_waits = life.repair_waits;
  return time;
}

Projection project(const Scenario& scenario, const ReplayedStep& replayed, const StepTimer& timer) {
  return Projector(scenario, replayed, timer).project();
}

std::vector<TrainingConfig> steps_to_project(const Scenario& scenario) {
  std::vector<TrainingConfig> asked;
  ReplayedStep any;
  any.step_time = Seconds(scenario.training->micro_batches());
  any.model_flops_utilisation = 0.5;
  try {
    project(scenario, any, [&](const TrainingConfig& config) {
      asked.push_back(config);
      return Seconds(config.micro_batches());
    });
  } catch (const InputError&) {
    // The projection itself will say so.
  }
  return asked;
}

}  // namespace flopcast
