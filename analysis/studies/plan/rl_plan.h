// The best way to lay a loop of reinforcement learning over a cluster: which GPUs train and which generate, the
// trainer's plan, the engine's replicas and their batch. The trainer's plans are screened in closed form, everything
// else is replayed as the whole loop.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/studies/plan/plan_search.h"
#include "analysis/studies/plan/serving_plan.h"
#include "flopcast/environment.h"
#include "scenarios/resolve/rl/rl_scenario.h"

namespace flopcast {

namespace report {
class LoopPlanStudy;
}

/// What is chosen of a loop; all else is the scenario's.
struct LoopChoice {
  RlPlacement placement = RlPlacement::colocated;
  double staleness = 0;
  int trainer_gpus = 0;  ///< 0: nothing is trained
  PlanChoice trainer;
  int engine_gpus = 0;  ///< 0: nothing is generated
  ReplicaShape engine;
  int max_batch = 0;  ///< of a replica of the engine
  int gpus() const {
    return placement == RlPlacement::separate ? trainer_gpus + engine_gpus : std::max(trainer_gpus, engine_gpus);
  }
  int replicas() const { return engine_gpus > 0 ? engine_gpus / engine.gpus() : 0; }
  auto operator<=>(const LoopChoice&) const = default;
};
/// "8 + 8 apart, 1 ahead: train DP8 ZeRO2, whole layers again; generate 8 x TP1, 256 at a time": GPUs that train and
/// generate
std::string loop_text(const LoopChoice& choice);

struct LoopPlanOptions {
  /// Varied: "split", "trainer", "engine", "batch" unless they are kept; "placement" when it is opened, since a loop
  /// that runs ahead learns from older weights.
  std::vector<std::string> open, keep;
  int workers = 1;
  bool brief = false;  ///< fewer of the good trainers and engines side by side: for a search over clusters
  std::function<bool(const std::string& stage, std::size_t done, std::size_t all)> progress;
};

struct PlannedLoop {
  LoopChoice choice;
  Seconds step;
  double tokens_per_s = 0;
  Seconds waits_for_answers, training, sync;  ///< of the step, as the trainer sees it
  double busy = 0;                            ///< share of all GPUs' time
  double gpu_hours = 0, usd = 0;              ///< of the run, every step as long as this one; 0: no run, no price
  double tokens_per_s_per_gpu() const { return tokens_per_s / choice.gpus(); }
};

struct LoopLeftOut {
  LoopChoice choice;
  std::string why;
};

struct LoopPlanStudy {
  Scenario base;
  std::vector<std::string> sets;   ///< that the study was asked with
  std::string file;                ///< of the scenario, or its name
  std::vector<PlannedLoop> plans;  ///< the fastest first; of equals, the one with fewer GPUs
  std::optional<LoopChoice> own;   ///< what the scenario states
  std::vector<LoopLeftOut> left_out;
  double screened = 0;  ///< plans of the trainer that were priced in closed form
  /// Of the cluster, and of the engine's own where it has one.
  int gpus() const {
    const auto& elsewhere = base.rl->rollout_cluster;
    return base.cluster.gpus() + (elsewhere ? elsewhere->gpus() : 0);
  }
};

/// @throws InputError: no loop, nothing open, nothing fits (with the reason of the first); Interrupted.
LoopPlanStudy plan_loop(const std::string& file_or_name, const Environment& environment,
                        const std::vector<std::string>& sets, const LoopPlanOptions& options);

/// `path=value` of every field that a choice says.
std::vector<std::string> loop_settings(const LoopChoice& choice, const Scenario& base);

// What was found and where the scenario's own layout stands, in sentences.
std::string answer_text(const LoopPlanStudy& study);
std::string own_text(const LoopPlanStudy& study);

std::string to_text(const LoopPlanStudy& study, const TextStyle& style = TextStyle());
std::string to_html(const LoopPlanStudy& study);
std::string to_csv(const LoopPlanStudy& study);
report::LoopPlanStudy to_message(const LoopPlanStudy& study);
/// A scenario file with a choice in place of its own.
std::string scenario_text(const LoopPlanStudy& study, const LoopChoice& choice, const Environment& environment);

}  // namespace flopcast
