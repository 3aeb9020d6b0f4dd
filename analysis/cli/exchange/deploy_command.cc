// `flopcast deploy`: a serving scenario as the command lines that start it, or as a Kubernetes manifest.
#include <algorithm>
#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/face/environment_data.h"
#include "analysis/runs/serving/exchange/launch_command.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct DeployArguments {
  ScenarioArguments scenario;
  std::string model;
  bool kubernetes = false;
};

/// "zai-org/GLM-5" where a source of the model's file says so; else what stands for it, not a name that no hub has.
std::string hub_name(const ModelConfig& model) {
  constexpr std::string_view kHub = "huggingface.co/";
  for (const auto& [field, source] : model.sources) {
    const auto at = source.text.find(kHub);
    if (at == std::string::npos) continue;
    const std::string name = source.text.substr(at + kHub.size());
    const std::string path = name.substr(0, name.find_first_of(" ,;)"));
    if (std::ranges::count(path, '/') == 1 && !path.ends_with('/')) return path;
  }
  return "PATH-OR-HUB-NAME-OF-" + model.name;
}

void deploy(const DeployArguments& arguments) {
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario resolved = arguments.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  if (!scenario.serving)
    throw InputError(Diagnostic{scenario.file, 0, 0, "serving", "nothing", "a deployment, serving { ... }", ""});
  const std::string model = arguments.model.empty() ? hub_name(scenario.serving->model()) : arguments.model;
  const auto commands = launch_commands(scenario, model, environment.data().engine_flags());
  put(arguments.kubernetes ? kubernetes_manifest(commands, scenario.name) : to_text(commands));
}

}  // namespace

void add_deploy_command(Command& program) {
  program.add_command<DeployArguments>(
      "deploy", "Print what starts a serving scenario: the engine's command line, or a Kubernetes manifest",
      [](Command& command, DeployArguments& arguments) {
        arguments.scenario.add_to(command);
        command
            .option(
                "--model", arguments.model,
                "What the engine loads; default: the model's name on Hugging Face where its file gives one as a source")
            .value_name("PATH");
        command.flag("--kubernetes", arguments.kubernetes, "A manifest instead of command lines");
      },
      deploy);
}

}  // namespace flopcast
