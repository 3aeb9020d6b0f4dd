// The best deployment of a service on a cluster: replicas of which shape, prompts and answers together or apart, judged
// by the most traffic that a dollar serves within what was promised. Every figure comes from replays.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analysis/render/text/text_table.h"
#include "analysis/runs/serving/serving_run.h"
#include "flopcast/environment.h"

namespace flopcast {

namespace report {
class ServingPlanStudy;
}

/// How the GPUs of a replica share its work.
struct ReplicaShape {
  int tensor = 1, attention_data = 1, expert = 1, pipeline = 1;
  int gpus() const { return tensor * attention_data * pipeline; }
  auto operator<=>(const ReplicaShape&) const = default;
};
/// "TP4", "TP1 DP16 EP16": DP are attention groups
std::string shape_text(const ReplicaShape& shape);

/// The least that can be copied to fill a cluster: a replica that does all, or some prefill beside some decode
/// replicas.
struct DeploymentUnit {
  ReplicaShape answers;                 ///< of the replica that does all, or of those that decode
  std::optional<ReplicaShape> prompts;  ///< of those that prefill; none: no split
  int decode = 1, prefill = 0;          ///< replicas
  int gpus() const { return decode * answers.gpus() + (prompts ? prefill * prompts->gpus() : 0); }
  auto operator<=>(const DeploymentUnit&) const = default;
};
std::string unit_text(const DeploymentUnit& unit);

struct ServingPlanOptions {
  std::optional<ServiceLevel> promise;  ///< for every stream; none: each stream's own
  double attainment = 0.9;              ///< share of requests that must be within it
  /// Varied though the scenario states them: "tensor", "attention_data", "expert", "pipeline", "split", or "all".
  std::vector<std::string> open, keep;
  int workers = 1;
  PowerModel power;
  /// What is going on, how much of it is done; false stops.
  std::function<bool(const std::string& stage, std::size_t done, std::size_t all)> progress;
};

struct PlannedUnit {
  DeploymentUnit unit;
  CurveSample at_most;     ///< the most traffic within the promise; no requests: none is served within it
  std::string limited_by;  ///< what breaks at a little more: "TTFT", "TPOT", "queues"
  bool roughly = false;    ///< it serves less than twice as much, and others far more: how much was not looked for
  int copies = 0;          ///< that the cluster holds
  double requests_per_gpu() const { return at_most.requests_per_s / unit.gpus(); }
};

struct ShapeLeftOut {
  DeploymentUnit unit;
  std::string why;
};

struct ServingPlanStudy {
  Scenario base;
  std::string text;  ///< of the scenario, with its overrides
  std::string promised;
  double attainment = 0.9;
  std::optional<double> asked;        ///< requests per second of the scenario's own traffic, where it states them
  std::vector<PlannedUnit> plans;     ///< that serve some traffic, the most per GPU first
  std::optional<DeploymentUnit> own;  ///< what the scenario states, where it is possible
  std::vector<ShapeLeftOut> left_out;
  /// Units for the traffic that is asked for; none: nobody says how much.
  std::optional<int> copies_for_traffic(const PlannedUnit& plan) const;
  /// What a thousand requests cost on all GPUs of a unit: dollars of output tokens alone are those of the GPUs that
  /// answer, and do not compare where others prefill. 0: no price is known.
  double usd_per_1000_requests(const PlannedUnit& plan) const;
  /// What serves that traffic on the fewest GPUs: copies are whole, so that the most per GPU may be more than is
  /// needed. The first of `plans` where nobody says how much traffic there is, or the cluster does not hold enough of
  /// any.
  const PlannedUnit& for_traffic() const;
};

/// @throws InputError: no serving, nothing promised, nothing open, no deployment fits; Interrupted.
ServingPlanStudy plan_serving(const std::string& file_or_name, const Environment& environment,
                              const std::vector<std::string>& sets, const ServingPlanOptions& options);

// What was found and where the scenario's own deployment stands, in sentences.
/// "0.42"; "-" where no price is known
std::string thousand_requests(const ServingPlanStudy& study, const PlannedUnit& plan);
std::string answer_text(const ServingPlanStudy& study);
std::string own_text(const ServingPlanStudy& study);

std::string to_text(const ServingPlanStudy& study, const TextStyle& style = TextStyle());
std::string to_html(const ServingPlanStudy& study);
std::string to_csv(const ServingPlanStudy& study);
report::ServingPlanStudy to_message(const ServingPlanStudy& study);
/// A scenario file with as many units of the plan as its traffic needs, or as the cluster holds, and a title that says
/// so.
std::string scenario_text(const ServingPlanStudy& study, const PlannedUnit& plan, const Environment& environment);

}  // namespace flopcast
