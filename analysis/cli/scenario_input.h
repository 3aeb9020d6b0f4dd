// A scenario from the command line, with the calibrations that its library folders hold.
#pragma once
#include <string>

#include "analysis/cli/command.h"
#include "scenarios/scenario.h"

namespace flopcast {

/// @throws InputError with everything that is wrong.
Scenario load_complete_scenario(const ScenarioArguments& arguments, const Libraries& libraries);

/// Fills in Scenario::kernels and Scenario::links.
void attach_calibrations(Scenario& scenario, const Libraries& libraries);

}  // namespace flopcast
