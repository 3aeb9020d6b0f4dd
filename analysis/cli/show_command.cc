// `flopcast show`: one entry of the libraries, whole.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "analysis/cli/command.h"

namespace flopcast {
namespace {

struct ShowArguments {
  std::string name;
  std::vector<std::string> library_folders;
};

}  // namespace

void add_show_command(CLI::App& program) {
  CLI::App& command = *program.add_subcommand("show", "Print one GPU, node, fabric, cluster, model or scenario");
  const auto arguments = std::make_shared<ShowArguments>();
  command.add_option("NAME", arguments->name, "Its name, as `flopcast list` gives it")->required();
  add_library_option(command, arguments->library_folders);
  command.callback(
      [arguments] { fmt::print("{}", to_text(arguments->name, Libraries::discover(arguments->library_folders))); });
}

}  // namespace flopcast
