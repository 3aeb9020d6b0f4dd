// Studies of the local application: many candidates of one scenario, whose figures can be looked at as they come.
#pragma once
#include <string>
#include <vector>

#include "analysis/app/app_loader.h"
#include "analysis/app/app_run.h"

namespace flopcast {

/// A field and the values it takes.
struct AppAxis {
  std::string path;
  std::vector<std::string> values;
};
/// "training.plan.pipeline=4,8,16". Values with commas of their own stand in single quotes. @throws InputError.
AppAxis parse_axis(const std::string& text);

inline constexpr std::size_t kMostCandidates = 400;

/// Every combination of the axes' values, a few at a time; each adds a point to `run`. What is refused or does not fit
/// is a point with a fault. @throws InputError for axes that make no candidate, or too many; Interrupted.
void sweep_points(AppRun& run, const AppScenario& scenario, const std::vector<AppAxis>& axes, const AppLoader& loader);

/// The best plans of a training step: priced in closed form, the best of them replayed. @throws InputError;
/// Interrupted.
void plan_points(AppRun& run, const AppScenario& scenario, const AppLoader& loader);

}  // namespace flopcast
