// flopcast: what a GPU cluster will do, before anyone buys it.
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/failure.h"
#include "analysis/cli/terminal/exit_codes.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"

namespace {

int run_program(int argc, char** argv) {
  try {
    if (argc > 2 && std::string_view(argv[1]) == "complete" && std::string_view(argv[2]) == "--") {
      flopcast::print_candidates(std::vector<std::string>(argv + 3, argv + argc));
      return 0;
    }
    return flopcast::run_command_line(flopcast::program_text(), flopcast::add_commands, argc, argv,
                                      flopcast::kExitBadInput);
  } catch (...) {
    return flopcast::report_failure(std::current_exception());
  }
}

}  // namespace

int main(int argc, char** argv) {
  flopcast::hold_standard_streams();
  flopcast::report_termination();
  const flopcast::InterruptGuard interrupt;
  return flopcast::close_standard_streams(run_program(argc, argv));
}
