#include "analysis/cli/scenario_input.h"

#include <stdexcept>

#include "scenarios/calibration_file.h"
#include "scenarios/load_scenario.h"

namespace flopcast {
namespace {

std::string required_file(const Libraries& libraries, const std::string& path_below_root) {
  if (const auto file = libraries.find_file(path_below_root)) return *file;
  throw std::runtime_error(path_below_root + " is in none of the libraries' folders");
}

}  // namespace

void attach_calibrations(Scenario& scenario, const Libraries& libraries) {
  scenario.kernels = std::make_shared<const KernelCalibration>(
      read_kernel_calibration(required_file(libraries, kKernelCalibrationFile)));
  scenario.links =
      std::make_shared<const LinkCalibration>(read_link_calibration(required_file(libraries, kLinkCalibrationFile)));
}

Scenario load_complete_scenario(const ScenarioArguments& arguments, const Libraries& libraries) {
  Scenario scenario = load_scenario(arguments.file, arguments.sets, libraries);
  attach_calibrations(scenario, libraries);
  return scenario;
}

}  // namespace flopcast
