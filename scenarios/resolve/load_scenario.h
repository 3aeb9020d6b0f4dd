// From a scenario file to a Scenario, or to everything that is wrong with the file.
#pragma once
#include <set>
#include <span>
#include <string>

#include "scenarios/read/libraries/libraries.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// @param file_or_name a file, or the name of a scenario in the library.
/// @param sets overrides from the command line, `path=value`, applied before anything is looked up.
/// The calibrations (Scenario::kernels, Scenario::links) are left empty.
/// @throws InputError with every fault, each at its place in the file.
Scenario load_scenario(const std::string& file_or_name, std::span<const std::string> sets, const Libraries& libraries);

/// The same of a text. @param file stands for it in diagnostics, and gives the scenario its name and its folder.
Scenario load_scenario_text(const std::string& text, const std::string& file, std::span<const std::string> sets,
                            const Libraries& libraries);

/// A scenario whose plan is still to be chosen.
struct OpenScenario {
  /// Its training's plan is what the file states and defaults for the rest: nobody has looked whether it is possible.
  Scenario scenario;
  /// Fields that the file and the overrides state, "training.plan.tensor".
  std::set<std::string> stated;
  std::string text;  ///< the file with the overrides, for who writes it out again with a plan
};
/// As load_scenario, but degrees, batch and schedule are not held against each other, the cluster and the model, and a
/// training without schedule is accepted. @throws InputError.
OpenScenario load_open_scenario(const std::string& file_or_name, std::span<const std::string> sets,
                                const Libraries& libraries);

}  // namespace flopcast
