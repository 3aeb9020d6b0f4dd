// How the local application reads scenarios: what a browser sends may open files of one folder and no others.
#pragma once
#include <string>
#include <vector>

#include "flopcast/environment.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/open_scenario.h"

namespace flopcast {

/// A scenario as the browser has it: a text, what stands for its file, and overrides.
struct AppScenario {
  std::string text, label;
  std::vector<std::string> sets;
};

class AppLoader {
 public:
  /// @param folder whose files scenarios may open, beside those of the libraries' scenarios; empty: none.
  AppLoader(Environment environment, const std::string& folder);
  /// @throws InputError.
  ResolvedScenario resolve(const AppScenario& scenario) const;
  OpenScenario open(const AppScenario& scenario) const;
  const Environment& environment() const { return environment_; }

 private:
  Environment environment_;
  FileRule rule_;
};

}  // namespace flopcast
