// What a replayed loop of reinforcement learning found, as a plain value; for people and programs.
#pragma once
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/rl/rl_ranges.h"
#include "analysis/runs/training/projection.h"
#include "analysis/runs/training/training_report.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/resolve/rl/rl_scenario.h"
#include "workloads/rl/loop_outcome.h"
#include "workloads/rl/weight_sync.h"

namespace flopcast {

/// Means over the steps that count.
struct RlStepMeans {
  Seconds length;
  std::array<Seconds, kRlParts> parts;  ///< sum to `length`
  double answers = 0, prompt_tokens = 0, answer_tokens = 0;
  double longest = 0;                       ///< answer of a step
  double written = 0;                       ///< tokens by the engine, those thrown away included
  double interrupted = 0, thrown_away = 0;  ///< answers
  double tool_calls = 0;
  double timed_out_rewards = 0, timed_out_tools = 0;
  double staleness = 0, staleness_most = 0;
  double packed = 1;                  ///< micro-batches of the mean replica over those of the fullest
  Seconds overlap_awake;              ///< replicas of the engine on the trainer's GPUs
  Seconds frozen_busy;                ///< frozen models' own GPUs, mean over replicas
  Seconds critic_busy;                ///< the critic's own GPUs
  double taken_over = 0;              ///< answers, by replicas that had nothing to do
  Seconds awake, empty, engine_busy;  ///< the engine; empty: nothing may be begun; busy: mean over its replicas
  Seconds part(RlPart p) const { return parts[static_cast<std::size_t>(p)]; }
  /// The trainer computes.
  Seconds training() const;
};

/// Bytes of the models that take part, each parameter once: 16 to 18 per trained one, 2 per frozen one in BF16.
struct ModelStates {
  Bytes policy, critic, reference, reward, teacher;
  Bytes total() const { return policy + critic + reference + reward + teacher; }
};

/// What stands in the memory of the fullest GPU while something is done.
struct PhaseMemory {
  std::string phase;  ///< "update", "generation"
  MemoryTable table;
  Bytes capacity;
  Bytes total() const { return table.total(); }
};

/// One point of the run that was replayed.
struct RlRunPoint {
  double step = 0, mean = 0;
  Seconds length;
};

struct RlRunProjection {
  double steps = 0;
  std::vector<RlRunPoint> points;
  PhaseTime time;      ///< steady: steps and evaluations; then what interruptions and checkpoints add
  Seconds evaluation;  ///< in `steady`, all of them
  double gpu_hours = 0;
  Usd cost;
  Joules energy;
};

struct RlReport {
  Scenario scenario;
  RlStepMeans step;
  std::vector<RlStep> steps;       ///< that count
  std::size_t replayed_steps = 0;  ///< these and those before them
  std::vector<RlSpan> spans;       ///< of all that were replayed
  TrainerPrices trainer;
  SyncCost sync;
  ModelStates states;
  std::vector<PhaseMemory> memory;
  std::optional<RlRunProjection> run;
  std::optional<LoopRanges> ranges;  ///< none: errors were not given
  double late = 1;                   ///< times that such loops took what was predicted, in the middle
  std::vector<Comparison> comparisons;
  std::vector<std::string> notes;

  const RlScenario& rl() const { return *scenario.rl; }
  /// Of a figure that is off as the step is.
  std::optional<FigureRange> range_of(double figure) const {
    if (!ranges) return std::nullopt;
    const double over = figure / step.length.value();
    return FigureRange{ranges->step_s.p5 * over, ranges->step_s.p50 * over, ranges->step_s.p95 * over};
  }
};

/// The trainer's mean GPU computes: without waiting for the fullest replica or slow parts.
Seconds computing(const RlReport& report);

/// How far the means of two replays of such a loop lie apart by which answers were drawn alone, in nine cases of ten:
/// share of the step. 0: one step alone, or all alike.
double noise_of_mean(std::span<const RlStep> steps);

/// "In 90 % of the cases it is 47 s to 120 s."; empty where the step has no range.
std::string range_sentence(const RlReport& report);

std::string to_text(const RlReport& report, const TextStyle& style);
report::Report to_message(const RlReport& report);

}  // namespace flopcast
