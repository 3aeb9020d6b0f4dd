// `flopcast check`: reads a scenario, builds its step and looks whether it fits, without replaying it.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/command.h"
#include "analysis/render/format.h"
#include "analysis/runs/report_message.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/run.h"

namespace flopcast {
namespace {

std::string training_facts(Scenario scenario) {
  scenario.training->unfolded = false;
  const MemoryTable fullest = check_fit(scenario);
  return fmt::format("; {} micro-batches per step, {} of {} on the fullest GPU", scenario.training->micro_batches(),
                     format_bytes(fullest.total()), format_bytes(scenario.cluster.node.gpu.hbm_capacity));
}

void check_scenario(const ScenarioArguments& arguments) {
  const Scenario scenario = arguments.load(arguments.libraries());
  check_published(scenario);
  const std::string facts = scenario.training  ? training_facts(scenario)
                            : scenario.serving ? serving_facts(scenario)
                                               : "";
  fmt::print("{}: sound{}\n", arguments.file, facts);
}

}  // namespace

void add_check_command(Command& program) {
  program.add_command<ScenarioArguments>(
      "check", "Check a scenario and its memory without replaying it",
      [](Command& command, ScenarioArguments& arguments) { arguments.add_to(command); }, check_scenario);
}

}  // namespace flopcast
