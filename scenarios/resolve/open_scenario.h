// A scenario whose plan is still to be chosen, of a text that stands in no file.
#pragma once
#include <span>
#include <string>

#include "scenarios/resolve/load_scenario.h"

namespace flopcast {

/// As load_open_scenario. @param file stands for the text in diagnostics, and gives the scenario its name and its
/// folder. @throws InputError.
OpenScenario load_open_scenario_text(const std::string& text, const std::string& file,
                                     std::span<const std::string> sets, const Libraries& libraries);

}  // namespace flopcast
