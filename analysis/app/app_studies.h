// Studies of the local application: many candidates of one scenario, whose figures can be looked at as they come.
#pragma once
#include <string>
#include <vector>

#include "analysis/app/app_run.h"
#include "flopcast/environment.h"

namespace flopcast {

/// A field and the values it takes.
struct AppAxis {
  std::string path;
  std::vector<std::string> values;
};
/// "training.plan.pipeline=4,8,16". Values with commas of their own stand in single quotes. @throws InputError.
AppAxis parse_axis(const std::string& text);

/// A scenario as the browser has it: a text, what stands for its file, and overrides.
struct AppScenario {
  std::string text, label;
  std::vector<std::string> sets;
};

inline constexpr std::size_t kMostCandidates = 400;

/// Every combination of the axes' values, a few at a time; each adds a point to `run`. What is refused or does not fit
/// is a point with a fault. @throws InputError for axes that make no candidate, or too many; Interrupted.
void sweep_points(AppRun& run, const AppScenario& scenario, const std::vector<AppAxis>& axes,
                  const Environment& environment);

/// The best plans of a training step: priced in closed form, the best of them replayed. @throws InputError;
/// Interrupted.
void plan_points(AppRun& run, const AppScenario& scenario, const Environment& environment);

}  // namespace flopcast
