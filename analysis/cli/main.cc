// flopcast: what a GPU cluster will do, before anyone buys it.
#include <exception>

#include "analysis/cli/command.h"
#include "analysis/cli/failure.h"

int main(int argc, char** argv) {
  const flopcast::ProgramText text{
      .name = "flopcast",
      .description = "Forecasts the time, energy and cost of work on GPU clusters, operation by operation.",
      .version = flopcast::version()};
  try {
    return flopcast::run_command_line(text, flopcast::add_commands, argc, argv, flopcast::kExitBadInput);
  } catch (...) {
    return flopcast::report_failure(std::current_exception());
  }
}
