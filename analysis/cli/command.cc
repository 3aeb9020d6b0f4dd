#include "analysis/cli/command.h"

#include <CLI/CLI.hpp>

#include "analysis/cli/calibrate.h"
#include "analysis/money/complete_scenario.h"

namespace flopcast {

std::span<const AddCommand> commands() {
  static constexpr AddCommand kCommands[] = {
      add_run_command,      add_check_command,  add_explain_command, add_list_command,      add_show_command,
      add_validate_command, add_size_command,   add_curve_command,   add_calibrate_command, add_import_model_command,
      add_trace_command,    add_policy_command, add_compare_command, add_claims_command,    add_cost_command,
  };
  return kCommands;
}

std::string program_version() { return "flopcast " FLOPCAST_VERSION; }

void add_library_option(CLI::App& command, std::vector<std::string>& folders) {
  command
      .add_option("--library", folders, "Folder with GPUs, nodes, fabrics, clusters, models or scenarios of your own")
      ->type_name("DIR")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void ScenarioArguments::add_to(CLI::App& command) {
  command.add_option("FILE", file, "Scenario: a file, or a name from `flopcast list scenarios`")->required();
  command.add_option("--set", sets, "Override a field, e.g. training.batch.sequences=7680; may be repeated")
      ->type_name("PATH=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_library_option(command, library_folders);
}

Scenario ScenarioArguments::load(const Libraries& libraries) const {
  return load_complete_scenario(file, sets, libraries);
}

}  // namespace flopcast
