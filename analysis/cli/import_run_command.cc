// `flopcast import-run`: a launch command or settings of another framework become a scenario.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/standard_streams.h"
#include "scenarios/imports/runs/import_run.h"
#include "scenarios/read/text_file.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

struct ImportRunArguments {
  std::string file, command;
  std::string output = "-";
  std::vector<std::string> library_folders;
  ImportRunOptions options;
};

void import_settings(const ImportRunArguments& arguments) {
  if (arguments.file.empty() == arguments.command.empty())
    throw InputError(Diagnostic{.field = "FILE",
                                .found = arguments.file.empty() ? "no file and no --command" : "a file and --command",
                                .expected = "one of them"});
  const OutputOption output{.option = "--output", .path = arguments.output, .makes_folder = true};
  check_outputs(std::span(&output, 1), {arguments.file});
  const Libraries libraries = Libraries::discover(arguments.library_folders);
  const ImportedRun imported =
      arguments.command.empty()
          ? import_run(read_text_file(arguments.file, {.content = "of settings"}), arguments.file, libraries,
                       arguments.options)
          : import_run(checked_text(arguments.command, "--command"), "--command", libraries, arguments.options);
  write_text_in_new_folder(arguments.output, imported.text);
  for (const std::string& note : imported.notes) tell(note);
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
