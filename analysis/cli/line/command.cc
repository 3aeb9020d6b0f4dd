#include "analysis/cli/line/command.h"

#include "analysis/cli/terminal/standard_streams.h"

namespace flopcast {

ProgramText program_text() {
  return {.name = "flopcast",
          .description = "Forecasts the time, energy and cost of work on GPU clusters, operation by operation.",
          .version = version()};
}

void add_commands(Command& program) {
#define FLOPCAST_ADD_COMMAND(name) add_##name##_command(program);
  FLOPCAST_COMMANDS(FLOPCAST_ADD_COMMAND)
#undef FLOPCAST_ADD_COMMAND
}

void add_set_option(Command& command, std::vector<std::string>& sets, const std::string& help) {
  command.option("--set", sets, help).value_name("PATH=VALUE").repeated().values(Values::assignments);
}

void add_library_option(Command& command, std::vector<std::string>& folders) {
  command.option("--library", folders, "Folder with GPUs, nodes, fabrics, clusters, models or scenarios of your own")
      .value_name("DIR")
      .repeated();
}

ResolvedScenario ScenarioArguments::load(const Environment& environment) const {
  ResolvedScenario scenario = resolve(file, environment, sets);
  note("read " + scenario.file());
  for (const std::string& one : scenario.notes()) note(one);
  return scenario;
}

Option ScenarioArguments::add_to(Command& command) {
  Option scenario = command.option("FILE", file, "Scenario: a file, or a name from `flopcast list scenarios`")
                        .required()
                        .values(Values::scenarios);
  add_set_option(command, sets, "Override a field, e.g. training.batch.sequences=7680; may be repeated");
  add_library_option(command, library_folders);
  return scenario;
}

}  // namespace flopcast
