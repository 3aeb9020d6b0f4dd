// From a scenario file to a Scenario, or to everything that is wrong with the file.
#pragma once
#include <span>
#include <string>

#include "scenarios/read/libraries.h"
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

}  // namespace flopcast
