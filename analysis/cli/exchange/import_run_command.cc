// `flopcast import-run`: a launch command or settings of another framework become a scenario.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/face/environment_data.h"
#include "flopcast/scenario.h"
#include "scenarios/imports/runs/import_run.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct ImportRunArguments {
  std::string file, command;
  std::string output = "-";
  std::vector<std::string> library_folders;
  ImportRunOptions options;
};

/// "max_batch" of "serving.replicas[0].max_batch"
std::string_view last_part(std::string_view field) {
  field = field.substr(0, field.find_first_of(" ="));
  return field.substr(field.rfind('.') + 1);
}

/// What is wrong with the scenario, in terms of the settings that it came from.
Diagnostics told_of_settings(const Diagnostics& faults, const ImportedRun& imported, const std::string& file) {
  Diagnostics out;
  for (Diagnostic fault : faults) {
    const auto came_from = [&](const std::pair<std::string, RunSetting>& origin) {
      for (std::string_view fields = origin.first; !fields.empty();) {
        const std::size_t comma = std::min(fields.find(", "), fields.size());
        if (last_part(fields.substr(0, comma)) == last_part(fault.field)) return true;
        fields.remove_prefix(std::min(comma + 2, fields.size()));
      }
      return false;
    };
    const auto origin = std::ranges::find_if(imported.origins, came_from);
    fault.file = file, fault.line = fault.column = 0;
    if (!fault.field.empty() && origin != imported.origins.end()) {
      const RunSetting& setting = origin->second;
      fault.file = setting.place.file, fault.line = setting.place.line, fault.column = setting.place.column;
      fault.field = setting.written + (setting.value.empty() ? "" : " " + setting.value) + ": " + fault.field;
    }
    out.push_back(std::move(fault));
  }
  return out;
}

/// Reads the scenario back as it will be read. @return what does not fit, in words of the settings: it is what they
/// say, and may be changed, so that is no reason to keep it back. @throws InputError with all other faults, in the same
/// words.
Diagnostics read_back(const ImportedRun& imported, const std::string& file, const Environment& environment) {
  try {
    const ResolvedScenario scenario = resolve_text(imported.text, file, environment);
    try {
      check(scenario);
    } catch (const InputError& error) {
      return error.diagnostics();
    }
    return {};
  } catch (const InputError& error) {
    Diagnostics faults = told_of_settings(error.diagnostics(), imported, file);
    if (std::ranges::all_of(faults, &Diagnostic::beyond_memory)) return faults;
    throw InputError(std::move(faults));
  }
}

void import_settings(const ImportRunArguments& arguments) {
  if (arguments.file.empty() == arguments.command.empty())
    throw InputError(Diagnostic{.field = "FILE",
                                .found = arguments.file.empty() ? "no file and no --command" : "a file and --command",
                                .expected = "one of them"});
  const OutputOption output{.option = "--output", .path = arguments.output, .makes_folder = true};
  check_outputs(std::span(&output, 1), {arguments.file});
  const Environment environment = load_environment(arguments.library_folders);
  const Libraries& libraries = environment.data().libraries();
  const std::string file = arguments.command.empty() ? arguments.file : "--command";
  const ImportedRun imported =
      import_run(arguments.command.empty() ? read_text_file(arguments.file, {.content = "of settings"})
                                           : checked_text(arguments.command, "--command"),
                 file, libraries, arguments.options);
  const Diagnostics unfit = read_back(imported, file, environment);
  write_text_in_new_folder(arguments.output, imported.text);
  for (const std::string& note : imported.notes) tell(note);
  for (const Diagnostic& fault : unfit) tell("flopcast check refuses it as it stands: " + to_string(fault));
}

}  // namespace

void add_import_run_command(Command& program) {
  program.add_command<ImportRunArguments>(
      "import-run", "Turn a launch command or settings of another framework into a scenario",
      [](Command& command, ImportRunArguments& arguments) {
        command.option(
            "FILE", arguments.file,
            "A launch script's command, or YAML, TOML or JSON: Megatron-LM, NeMo, Megatron-Bridge, torchtitan, "
            "DeepSpeed, vLLM, SGLang, TensorRT-LLM");
        command.option("--command", arguments.command, "The command itself; nothing of it is executed")
            .value_name("TEXT");
        command.option("--output", arguments.output, "Scenario to write; `-`: stdout")
            .value_name("FILE")
            .show_default();
        command.option("--model", arguments.options.model, "Model of the library, where the settings name none")
            .names_of({"models"})
            .value_name("NAME");
        command.option("--node", arguments.options.node, "Node of the library that it runs on")
            .names_of({"nodes"})
            .value_name("NAME")
            .show_default();
        command.option("--gpus", arguments.options.gpus, "How many, where no launcher says it").value_name("N");
        command
            .option("--sequence-length", arguments.options.sequence_length, "Tokens, where the settings do not say it")
            .value_name("N");
        add_library_option(command, arguments.library_folders);
      },
      import_settings);
}

}  // namespace flopcast
