// `flopcast export-run`: the plan of a training scenario as a framework's own settings.
#include <string>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/face/environment_data.h"
#include "analysis/runs/training/show/framework_settings.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct ExportRunArguments {
  ScenarioArguments scenario;
  std::string to;
  std::string output = "-";
};

void export_settings(const ExportRunArguments& arguments) {
  if (arguments.to != "megatron" && arguments.to != "torchtitan")
    throw InputError(
        option_fault("--to", arguments.to.empty() ? "nothing" : "`" + arguments.to + "`", "megatron or torchtitan"));
  const OutputOption output{.option = "--output", .path = arguments.output};
  check_outputs({&output, 1}, {arguments.scenario.file});
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario resolved = arguments.scenario.load(environment);
  const FrameworkSettings made = arguments.to == "megatron"
                                     ? megatron_command(resolved.value())
                                     : torchtitan_toml(resolved.value(), environment.data().libraries());
  write_text(arguments.output, made.text);
  for (const std::string& note : made.notes) tell(note);
}

}  // namespace

void add_export_run_command(Command& program) {
  program.add_command<ExportRunArguments>(
      "export-run", "Print the plan of a training scenario as Megatron-LM's arguments or torchtitan's TOML",
      [](Command& command, ExportRunArguments& arguments) {
        arguments.scenario.add_to(command);
        command.option("--to", arguments.to, "megatron or torchtitan")
            .offers({"megatron", "torchtitan"})
            .value_name("FRAMEWORK");
        command.option("--output", arguments.output, "File to write; `-`: stdout").value_name("FILE").show_default();
      },
      export_settings);
}

}  // namespace flopcast
