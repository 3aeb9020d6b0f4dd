// `flopcast fleet`: what a fleet cost, what its hours went to, and what others have said of it.
#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/standard_streams.h"
#include "analysis/cli/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/money/fleet/fleet.h"
#include "analysis/render/json.h"
#include "scenarios/proto/fleet_report.pb.h"

namespace flopcast {
namespace {

struct FleetArguments {
  std::string file, json, csv, html;
  std::vector<std::string> sets, library_folders;
  std::optional<int> draws;
};

void run_fleet(const FleetArguments& a) {
  const OutputOption outputs[] = {{"--json", a.json}, {"--csv", a.csv}, {"--html", a.html, false}};
  check_outputs(outputs);
  const Environment environment = load_environment(a.library_folders);
  const Libraries& libraries = environment.data().libraries();
  Fleet fleet = load_fleet(a.file, a.sets, libraries, environment.data().prices());
  if (a.draws) fleet.draws = *a.draws;
  const std::string name = fleet.name;
  const FleetResult result = fleet_ledger(std::move(fleet), fleet_estimates(libraries, name));
  if (a.json != "-" && a.csv != "-") show(to_text(result, terminal_style(stdout)));
  if (!a.json.empty()) {
    report::FleetReport message = to_message(result);
    message.set_program(version());
    write_text(a.json, to_json(message));
  }
  if (!a.csv.empty()) write_text(a.csv, to_csv(result));
  if (!a.html.empty()) write_text(a.html, to_html(result));
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
        add_json(command, a.json, "ledger");
        add_csv(command, a.csv, "ledger");
        add_page(command, a.html);
        add_library_option(command, a.library_folders);
      },
      run_fleet);
}

}  // namespace flopcast
