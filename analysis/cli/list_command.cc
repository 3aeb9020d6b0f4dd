// `flopcast list`: what the libraries hold.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/command.h"
#include "analysis/cli/terminal.h"
#include "analysis/text_table.h"

namespace flopcast {
namespace {

struct ListArguments {
  std::string kind;
  std::vector<std::string> library_folders;
};

void list(const ListArguments& arguments) {
  const LibraryKind kind = library_kind(arguments.kind);
  TextTable table({Align::left, Align::left, Align::left, Align::left});
  table.header({"name", "", "", "source"});
  for (const LibraryRow& row : list_library(kind, Libraries::discover(arguments.library_folders))) {
    table.row({row.name, row.title, row.figures, row.source});
  }
  // Wider than a report: names and figures matter more than the fold.
  fmt::print("{}", table.render(TextStyle(terminal_colours(stdout)), 160, 0));
}

}  // namespace

void add_list_command(CLI::App& program) {
  CLI::App& command = *program.add_subcommand("list", "Show what the libraries hold, with sources");
  const auto arguments = std::make_shared<ListArguments>();
  command
      .add_option("KIND", arguments->kind,
                  "gpus, nodes, fabrics, clusters, models, schedules, collectives or scenarios")
      ->required();
  add_library_option(command, arguments->library_folders);
  command.callback([arguments] { list(*arguments); });
}

}  // namespace flopcast
