// `flopcast explain`: what each mechanism of the model adds to a step.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/run.h"
#include "analysis/runs/rl/rl_html.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_explain.h"
#include "analysis/runs/serving/serving_html.h"
#include "analysis/studies/explain/explain.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/proto/serving_views.pb.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct ExplainArguments {
  ScenarioArguments scenario;
  ResultFiles files;
  int workers = 0;
  bool allow_oom = false;  // a training step is taken apart whether it fits or not
};

/// The iterations of a serving deployment, and what each mechanism adds to its latencies.
void run_explain_serving(const Scenario& scenario, const Environment& environment, const ExplainArguments& arguments) {
  ServingOptions options;
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  present(arguments.files, explain_serving(run_serving(scenario, options)), scenario.title);
}

/// The parts of a step of a loop: what each takes, and what the step would save without it.
void run_explain_rl(const Scenario& scenario, const Environment& environment, const ExplainArguments& arguments) {
  const InterruptGuard interrupt;
  RunSettings settings;
  settings.allow_oom = arguments.allow_oom;
  RlOptions options = rl_options(scenario, environment, settings);
  present(arguments.files, explain_rl(scenario, options), scenario.title);
}

void run_explain(const ExplainArguments& arguments) {
  arguments.files.check({arguments.scenario.file});
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario resolved = arguments.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  if (scenario.rl) return run_explain_rl(scenario, environment, arguments);
  if (scenario.serving) return run_explain_serving(scenario, environment, arguments);
  if (!scenario.training) {
    Diagnostic diagnostic;
    diagnostic.file = arguments.scenario.file;
    diagnostic.found = "a scenario without `training`, `serving` or `rl`";
    diagnostic.expected = "one whose step or iterations can be taken apart";
    throw InputError(diagnostic);
  }
  ProgressLine progress;
  const Explanation explanation =
      explain(scenario, study_options(scenario, environment, progress), workers_or_cores(arguments.workers));
  progress.clear();
  present(arguments.files, explanation, scenario.title);
}

}  // namespace

void add_explain_command(Command& program) {
  program.add_command<ExplainArguments>(
      "explain", "Add the mechanisms of a step, or of a serving iteration, one by one: what each costs",
      [](Command& command, ExplainArguments& arguments) {
        arguments.scenario.add_to(command);
        add_json(command, arguments.files.json);
        add_page(command, arguments.files.html, "with what each mechanism adds");
        add_workers_option(command, arguments.workers);
        add_allow_oom(command, arguments.allow_oom);
      },
      run_explain);
}

}  // namespace flopcast
