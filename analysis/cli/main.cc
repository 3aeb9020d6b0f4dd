// flopcast: what a GPU cluster will do, before anyone buys it.
#include <CLI/CLI.hpp>

#include <exception>

#include "analysis/cli/command.h"
#include "analysis/cli/failure.h"

int main(int argc, char** argv) {
  CLI::App program{"Forecasts the time, energy and cost of work on GPU clusters, operation by operation.", "flopcast"};
  program.set_version_flag("--version", flopcast::program_version());
  program.require_subcommand(1);
  for (const flopcast::AddCommand add : flopcast::commands()) add(program);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : flopcast::kExitBadInput;
  } catch (...) {
    return flopcast::report_failure(std::current_exception());
  }
}
