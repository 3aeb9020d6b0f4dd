// Work put on another chip, with plan and batch searched again: what was made for one chip is no answer for another.
//
// A training step: every field of its plan is open; the closed form prices up to kPlansPriced plans, the best few are
// replayed. A service: the most load that its promise allows, and of experts that are spread over as many GPUs as share
// the batch, over half as many too. Beside that the work as the scenario has it.
#pragma once
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flopcast/environment.h"
#include "scenarios/resolve/scenario.h"
#include "sim/base/fields.h"

namespace flopcast {

/// What a rule, or a maker, may limit.
enum class Limit { compute, memory, nvlink, nic };
constexpr std::array<Limit, 4> kLimits{Limit::compute, Limit::memory, Limit::nvlink, Limit::nic};
/// "computing rate", "memory bandwidth", "NVLink", "NICs"
std::string_view name_of(Limit limit);
/// Multiplies one of the scenario's chip's figures.
void scale_limit(Scenario& scenario, Limit limit, double by);

/// A figure with what holds it nine times in ten; without a range all three are alike.
struct Ranged {
  double value = 0, low = 0, high = 0;
  Ranged times(double factor) const { return {value * factor, low * factor, high * factor}; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("value", &Ranged::value);
    field("low", &Ranged::low);
    field("high", &Ranged::high);
  }
};

struct ReplanOptions {
  double tpot_s = 0.05;     ///< promised where the scenario promises nothing
  double attainment = 0.9;  ///< share of requests within it
  bool what_binds = true;   ///< replay it with each limit halved
  bool search_plan = true;  ///< false: as the scenario has it
};

/// A chip to put the work on.
struct ChipToTry {
  std::string node;                       ///< of the library; empty: the scenario's own
  int gpus_per_node = 0;                  ///< of that node
  std::function<void(Scenario&)> change;  ///< of the scenario on it; may be empty
};

struct ReplannedWork {
  std::string fault;  ///< it cannot run; all else is empty
  bool training = true;
  std::string plan;     ///< that was found: "PP 16, EP 64, ...", "144 GPUs, 88 users each"
  std::string remark;   ///< "in BF16: no FP8 units"
  std::string binding;  ///< of a service: the promise that it comes nearest to
  int gpus = 0;
  double users_per_gpu = 0;  ///< of a service: answers under way
  Ranged time;               ///< s: a step, or an output token
  Ranged days;               ///< the run's tokens at that pace, without ramp and interruptions; 0: no run
  Ranged gpu_hours;          ///< of the run's tokens, or for 10^12; of a service for 10^6 output tokens
  double tokens = 0;         ///< that these GPU-hours are for
  double own_time = 0;       ///< s, as the scenario has it (its own plan, its own load); 0: it cannot
  double own_gpu_hours = 0;
  std::array<double, 4> halved{};  ///< time with a limit halved over `time`, by Limit; 0: not asked

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("fault", &ReplannedWork::fault);
    field("training", &ReplannedWork::training);
    field("plan", &ReplannedWork::plan);
    field("remark", &ReplannedWork::remark);
    field("binding", &ReplannedWork::binding);
    field("gpus", &ReplannedWork::gpus);
    field("users_per_gpu", &ReplannedWork::users_per_gpu);
    field("time", &ReplannedWork::time);
    field("days", &ReplannedWork::days);
    field("gpu_hours", &ReplannedWork::gpu_hours);
    field("tokens", &ReplannedWork::tokens);
    field("own_time", &ReplannedWork::own_time);
    field("own_gpu_hours", &ReplannedWork::own_gpu_hours);
    field("halved", &ReplannedWork::halved);
  }
};

/// @param file a scenario with `training` or `serving`. The result names faults of the scenario on that chip.
ReplannedWork replan(const std::string& file, const std::vector<std::string>& sets, const ChipToTry& chip,
                     const Environment& environment, const ReplanOptions& options);

/// What was searched, in a sentence, for training and for services.
std::string what_was_searched(bool training, const ReplanOptions& options);

}  // namespace flopcast
