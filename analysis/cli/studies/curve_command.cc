// `flopcast curve`: throughput against interactivity.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/studies/curve/serving_curve.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/serving_views.pb.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

/// A user takes some 220 bytes while he waits; more than a deployment has room for only wait longer.
constexpr int kMostUsers = 1'000'000;

struct CurveArguments {
  std::vector<std::string> scenarios, sets, library_folders;
  std::vector<int> users;
  int workers = 0;
  ResultFiles files;
};

Scenario serving_scenario(const std::string& name, const CurveArguments& a, const Environment& environment) {
  Scenario scenario = resolve(name, environment, a.sets).value();
  if (scenario.serving) return scenario;
  Diagnostic d;
  d.file = scenario.file;
  d.field = "serving";
  d.found = "nothing";
  d.expected = "serving { ... }: only a deployment that answers requests has such a curve";
  throw InputError(d);
}

void run_curve(const CurveArguments& a) {
  a.files.check();
  const Environment environment = load_environment(a.library_folders);
  std::vector<Scenario> scenarios;
  for (const std::string& name : a.scenarios) scenarios.push_back(serving_scenario(name, a, environment));
  ProgressLine progress;
  CurveOptions options;
  options.users = a.users;
  options.workers = workers_or_cores(a.workers);
  options.stage = [&progress](const std::string& what) { progress.stage(what); };
  std::vector<ServingCurve> curves;
  for (const Scenario& scenario : scenarios) {
    options.serving.power = environment.data().power(scenario.cluster.node.gpu.architecture);
    curves.push_back(curve_of(scenario, options));
  }
  progress.clear();
  present(a.files, curves);
}

}  // namespace

void add_curve_command(Command& program) {
  program.add_command<CurveArguments>(
      "curve", "Throughput against interactivity: a deployment with more and more users at once",
      [](Command& command, CurveArguments& a) {
        command.option("SCENARIO", a.scenarios, "Serving scenarios, one curve each")
            .required()
            .values(Values::scenarios);
        add_set_option(command, a.sets, "Override a field in all of them");
        command
            .option("--users", a.users,
                    "Requests under way at once, e.g. 1,8,64 (instead of 1, 2, 4, ... until a GPU gives no more)")
            .value_name("N,...")
            .separated_by(',')
            .between(1, kMostUsers);
        add_workers_option(command, a.workers, "Points of a curve");
        a.files.add_to(command, "result", "with the curves as pictures");
        add_library_option(command, a.library_folders);
      },
      run_curve);
}

}  // namespace flopcast
