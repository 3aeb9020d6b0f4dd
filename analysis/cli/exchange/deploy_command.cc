// `flopcast deploy`: a serving scenario as the command lines that start it, or as a Kubernetes manifest.
#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/runs/serving/exchange/launch_command.h"
#include "scenarios/resolve/serving_scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct DeployArguments {
  ScenarioArguments scenario;
  std::string model;
  bool kubernetes = false;
};

void deploy(const DeployArguments& arguments) {
  const ResolvedScenario resolved = arguments.scenario.load(arguments.scenario.environment());
  const Scenario& scenario = resolved.value();
  if (!scenario.serving)
    throw InputError(Diagnostic{scenario.file, 0, 0, "serving", "nothing", "a deployment, serving { ... }", ""});
  const std::string model = arguments.model.empty() ? scenario.serving->model().name : arguments.model;
  const auto commands = launch_commands(scenario, model);
  put(arguments.kubernetes ? kubernetes_manifest(commands, scenario.name) : to_text(commands));
}

}  // namespace

void add_deploy_command(Command& program) {
  program.add_command<DeployArguments>(
      "deploy", "Print what starts a serving scenario: the engine's command line, or a Kubernetes manifest",
      [](Command& command, DeployArguments& arguments) {
        arguments.scenario.add_to(command);
        command.option("--model", arguments.model, "What the engine loads; default: the scenario's model by its name")
            .value_name("PATH");
        command.flag("--kubernetes", arguments.kubernetes, "A manifest instead of command lines");
      },
      deploy);
}

}  // namespace flopcast
