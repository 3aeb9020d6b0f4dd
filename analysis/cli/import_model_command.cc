// `flopcast import-model`: a Hugging Face config.json becomes a model file.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "scenarios/read/import_model.h"

namespace flopcast {
namespace {

struct ImportArguments {
  std::string file;
  std::string output = "-";
  ImportOptions options;
};

void import(const ImportArguments& arguments) {
  check_writable(arguments.output, "--output");
  const ImportedModel imported = import_model(arguments.file, arguments.options);
  write_text(arguments.output, imported.text);
  for (const ImportNote& note : imported.notes) fmt::print(stderr, "{}\n", to_string(note));
}

}  // namespace

void add_import_model_command(CLI::App& program) {
  CLI::App& command = *program.add_subcommand("import-model", "Turn a Hugging Face config.json into a model file");
  const auto arguments = std::make_shared<ImportArguments>();
  command.add_option("FILE", arguments->file, "The config.json")->required();
  command.add_option("--output", arguments->output, "Model file to write; `-`: stdout")
      ->type_name("FILE")
      ->capture_default_str();
  command.add_option("--name", arguments->options.name, "What people call the model")->type_name("NAME");
  command
      .add_option("--as", arguments->options.architecture,
                  "Read it as this architecture, such as LlamaForCausalLM, whatever the file says")
      ->type_name("ARCHITECTURE");
  command.callback([arguments] { import(*arguments); });
}

}  // namespace flopcast
