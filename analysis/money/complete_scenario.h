// A scenario with everything that a run needs from the libraries: calibrations and the power table.
#pragma once
#include <span>
#include <string>

#include "analysis/runs/energy.h"
#include "scenarios/read/libraries.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// load_scenario() with Scenario::kernels and Scenario::links filled in. @throws InputError with everything
/// that is wrong.
Scenario load_complete_scenario(const std::string& file_or_name, std::span<const std::string> sets,
                                const Libraries& libraries);

/// From analysis/data/power.csv.
PowerModel load_power_model(const Libraries& libraries, const std::string& architecture);

/// The path of a data file below the libraries' roots. @throws std::runtime_error when no root has it.
std::string required_file(const Libraries& libraries, const std::string& path_below_root);

}  // namespace flopcast
