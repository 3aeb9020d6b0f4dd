// The commands of the program. Each lives in a file of its own and adds itself to the command line.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "scenarios/read/libraries.h"
#include "scenarios/resolve/scenario.h"

namespace CLI {
class App;
}

namespace flopcast {

/// Exit codes.
constexpr int kExitInternal = 1;
constexpr int kExitBadInput = 2;
constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells have it

/// One command: adds its subcommand to the program, with a callback that does the work and throws what goes
/// wrong.
using AddCommand = void (*)(CLI::App& program);
std::span<const AddCommand> commands();

void add_run_command(CLI::App& program);
void add_check_command(CLI::App& program);
void add_size_command(CLI::App& program);
void add_curve_command(CLI::App& program);
void add_explain_command(CLI::App& program);
void add_list_command(CLI::App& program);
void add_show_command(CLI::App& program);
void add_validate_command(CLI::App& program);
void add_import_model_command(CLI::App& program);
void add_trace_command(CLI::App& program);
void add_policy_command(CLI::App& program);
void add_compare_command(CLI::App& program);
void add_cost_command(CLI::App& program);
void add_claims_command(CLI::App& program);

/// "flopcast 0.1.0"
std::string program_version();

/// What commands that read a scenario share.
struct ScenarioArguments {
  std::string file;
  std::vector<std::string> sets;
  std::vector<std::string> library_folders;
  void add_to(CLI::App& command);
  Libraries libraries() const { return Libraries::discover(library_folders); }
  Scenario load(const Libraries& libraries) const;
};

/// Adds `--library`.
void add_library_option(CLI::App& command, std::vector<std::string>& folders);

}  // namespace flopcast
