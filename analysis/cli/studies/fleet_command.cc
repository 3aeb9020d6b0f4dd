// `flopcast fleet`: what a fleet cost, what its hours went to, and what others have said of it.
#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/face/environment_data.h"
#include "analysis/money/fleet/fleet.h"
#include "scenarios/proto/fleet_report.pb.h"

namespace flopcast {
namespace {

struct FleetArguments {
  std::string file;
  ResultFiles files;
  std::vector<std::string> sets, library_folders;
  std::optional<int> draws;
};

void run_fleet(const FleetArguments& a) {
  a.files.check();
  const Environment environment = load_environment(a.library_folders);
  const Libraries& libraries = environment.data().libraries();
  Fleet fleet = load_fleet(a.file, a.sets, libraries, environment.data().prices());
  if (a.draws) fleet.draws = *a.draws;
  const std::string name = fleet.name;
  const FleetResult result = fleet_ledger(std::move(fleet), fleet_estimates(libraries, name));
  present(a.files, result);
}

}  // namespace

void add_fleet_command(Command& program) {
  program.add_command<FleetArguments>(
      "fleet", "What a fleet of GPUs cost and what its hours went to, as a ledger, against what others have said",
      [](Command& command, FleetArguments& a) {
        command.option("FLEET", a.file, "A file, or one of the program's: deepseek_fleet").required();
        command
            .option("--set", a.sets, "Override a field of the file, e.g. purchase[2].count.high=5000; may be repeated")
            .value_name("PATH=VALUE")
            .repeated();
        command.option("--draws", a.draws, "How often uncertain figures are drawn; 0: no ranges").between(0, 1000000);
        a.files.add_to(command, "ledger");
        add_library_option(command, a.library_folders);
      },
      run_fleet);
}

}  // namespace flopcast
