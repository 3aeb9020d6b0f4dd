// `flopcast show`: one entry of the libraries, whole.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {
namespace {

struct ShowArguments {
  std::string name;
  std::vector<std::string> library_folders;
};

}  // namespace

void add_show_command(Command& program) {
  program.add_command<ShowArguments>(
      "show", "Print one GPU, node, fabric, cluster, model or scenario",
      [](Command& command, ShowArguments& arguments) {
        command.option("NAME", arguments.name, "Its name, as `flopcast list` gives it")
            .required()
            .values(Values::entries);
        add_library_option(command, arguments.library_folders);
      },
      [](const ShowArguments& arguments) {
        put(to_text(arguments.name, Libraries::discover(arguments.library_folders)));
      });
}

}  // namespace flopcast
