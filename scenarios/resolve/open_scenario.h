// Scenarios of texts that stand in no file, and that may open files only by a rule.
#pragma once
#include <span>
#include <string>

#include "scenarios/read/text/file_rule.h"
#include "scenarios/resolve/load_scenario.h"

namespace flopcast {

/// As load_scenario_text, of files that the rule lets it open. @throws InputError.
Scenario load_scenario_text(const std::string& text, const std::string& file, std::span<const std::string> sets,
                            const Libraries& libraries, const FileRule& rule);

/// As load_open_scenario: the plan is still to be chosen. @param file stands for the text in diagnostics, and gives the
/// scenario its name and its folder. @throws InputError.
OpenScenario load_open_scenario_text(const std::string& text, const std::string& file,
                                     std::span<const std::string> sets, const Libraries& libraries,
                                     const FileRule& rule = {});

}  // namespace flopcast
