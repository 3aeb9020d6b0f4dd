// `flopcast check`: reads a scenario, builds its step and looks whether it fits, without replaying it.
#include <fmt/format.h>

#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/render/text/format.h"

namespace flopcast {
namespace {

void check_scenario(const ScenarioArguments& arguments) {
  const std::string facts = check(arguments.load(arguments.environment()));
  show(wrap(fmt::format("{}: sound{}{}", arguments.file, facts.empty() ? "" : "; ", facts),
            terminal_style(stdout).width() - 2, "  ") +
       "\n");
}

}  // namespace

void add_check_command(Command& program) {
  program.add_command<ScenarioArguments>(
      "check", "Check a scenario and its memory without replaying it",
      [](Command& command, ScenarioArguments& arguments) { arguments.add_to(command); }, check_scenario);
}

}  // namespace flopcast
