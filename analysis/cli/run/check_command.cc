// `flopcast check`: reads a scenario, builds its step and looks whether it fits, without replaying it.
#include <fmt/format.h>

#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/text/format.h"
#include "analysis/runs/training/run.h"
#include "analysis/runs/training/step_range.h"

namespace flopcast {
namespace {

void check_scenario(const ScenarioArguments& arguments) {
  const Environment environment = arguments.environment();
  const ResolvedScenario scenario = arguments.load(environment);
  std::string facts = check(scenario);
  if (const auto errors = environment.data().step_errors(); errors && scenario.value().training) {
    const double fits = share_that_fits(scenario.value(), *errors);
    if (fits < kSurelyFits) facts += "; " + unsure_fit(fits);
  }
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
