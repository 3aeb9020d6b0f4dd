// What a claim's expression may ask for: figures of chips, models and rules, and replays of scenarios.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/face/environment_data.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/serving/served_figures.h"
#include "analysis/runs/training/run.h"
#include "scenarios/policy/export_rules.h"

namespace flopcast {

/// What a replayed service answers claims with.
struct ServedAnswer {
  ServedFigures figures;
  std::vector<Metric> metrics;
};

/// What functions may look at.
struct ClaimContext {
  const Environment& environment;
  const RuleBook& rules;
  RunOptions run;  ///< for replays
  /// Services replayed so far, by what was asked: claims ask for several figures of one.
  mutable std::map<std::vector<std::string>, ServedAnswer> served;
  /// The same of loops of reinforcement learning.
  mutable std::map<std::vector<std::string>, std::vector<Metric>> learned;
};

struct ClaimFunction {
  std::string_view name;
  std::string_view arguments;  ///< "CHIP, FIELD"
  std::string_view meaning;
  double (*call)(const std::vector<std::string>& arguments, const ClaimContext& context);
  bool replays = false;  ///< takes its time
};
std::span<const ClaimFunction> claim_functions();

/// @throws InputError: no such function, or not with this number of arguments.
const ClaimFunction& claim_function(const std::string& name, std::size_t arguments);

/// @throws InputError for unknown functions, arguments and fields, each with the nearest.
double call_claim_function(const std::string& name, const std::vector<std::string>& arguments,
                           const ClaimContext& context);

}  // namespace flopcast
