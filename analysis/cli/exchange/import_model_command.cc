// `flopcast import-model`: a Hugging Face config.json becomes a model file.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/output.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "scenarios/imports/import_model.h"

namespace flopcast {
namespace {

struct ImportArguments {
  std::string file;
  std::string output = "-";
  ImportOptions options;
};

void import_config(const ImportArguments& arguments) {
  const OutputOption output{.option = "--output", .path = arguments.output, .makes_folder = true};
  check_outputs(std::span(&output, 1), {arguments.file});
  const ImportedModel imported = import_model(arguments.file, arguments.options);
  write_text_in_new_folder(arguments.output, imported.text);
  for (const ImportNote& note : imported.notes) tell(to_string(note));
}

}  // namespace

void add_import_model_command(Command& program) {
  program.add_command<ImportArguments>(
      "import-model", "Turn a Hugging Face config.json into a model file",
      [](Command& command, ImportArguments& arguments) {
        command
            .option("FILE", arguments.file, "The config.json, or its folder: safetensors files beside it are counted")
            .required();
        command.option("--output", arguments.output, "Model file to write; `-`: stdout")
            .value_name("FILE")
            .show_default();
        command.option("--name", arguments.options.name, "What people call the model").value_name("NAME");
        command
            .option("--as", arguments.options.architecture,
                    "Read it as this architecture, such as LlamaForCausalLM, whatever the file says")
            .value_name("ARCHITECTURE");
      },
      import_config);
}

}  // namespace flopcast
