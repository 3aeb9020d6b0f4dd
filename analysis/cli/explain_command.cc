// `flopcast explain`: what each mechanism of the model adds to a step.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/run_options.h"
#include "analysis/cli/standard_streams.h"
#include "analysis/cli/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/run.h"
#include "analysis/render/json.h"
#include "analysis/runs/rl/rl_html.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_explain.h"
#include "analysis/runs/serving/serving_html.h"
#include "analysis/studies/explain/explain.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/proto/serving_views.pb.h"
#include "sim/process.h"

namespace flopcast {
namespace {

struct ExplainArguments {
  ScenarioArguments scenario;
  std::string json, html;
  int workers = 0;
};

std::string title_or_name(const Scenario& scenario) { return scenario.title.empty() ? scenario.name : scenario.title; }

report::Explanation to_message(const Explanation& explanation) {
  report::Explanation message;
  message.set_program(version());
  message.set_step_time_s(explanation.step_time.value());
  message.set_bare_step_time_s(explanation.bare.value());
  for (const MechanismCost& cost : explanation.costs) {
    report::Mechanism& item = *message.add_mechanisms();
    item.set_name(std::string(cost.mechanism->name));
    item.set_set(std::string(cost.mechanism->set));
    item.set_adds_s(cost.adds.value());
  }
  return message;
}

/// The iterations of a serving deployment, and what each mechanism adds to its latencies.
void run_explain_serving(const Scenario& scenario, const Environment& environment, const ExplainArguments& arguments) {
  const std::string& json = arguments.json;
  ServingOptions options;
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  const ServingExplanation explanation = explain_serving(run_serving(scenario, options));
  if (json != "-") show(to_text(explanation, terminal_style(stdout)));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(explanation, title_or_name(scenario)));
  if (json.empty()) return;
  report::ServingExplanation message = to_message(explanation);
  message.set_program(version());
  write_text(json, to_json(message));
}

/// The parts of a step of a loop: what each takes, and what the step would save without it.
void run_explain_rl(const Scenario& scenario, const Environment& environment, const ExplainArguments& arguments) {
  const std::string& json = arguments.json;
  const InterruptGuard interrupt;
  RlOptions options = rl_options(scenario, environment, {});
  const RlExplanation explanation = explain_rl(scenario, options);
  if (json != "-") show(to_text(explanation, terminal_style(stdout)));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(explanation, title_or_name(scenario)));
  if (json.empty()) return;
  report::RlExplanation message;
  message.set_program(version());
  message.set_step_time_s(explanation.step.value());
  for (const RlSaving& saving : explanation.parts) {
    report::RlSaving& part = *message.add_parts();
    part.set_part(std::string(name(saving.part)));
    part.set_takes_s(saving.takes.value());
    part.set_saves_s(saving.saves.value());
  }
  write_text(json, to_json(message));
}

void run_explain(const ExplainArguments& arguments) {
  const OutputOption outputs[] = {{"--json", arguments.json}, {"--html", arguments.html, false}};
  check_outputs(outputs, {arguments.scenario.file});
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
  if (arguments.json != "-") show(to_text(explanation, terminal_style(stdout)));
  if (!arguments.json.empty()) write_text(arguments.json, to_json(to_message(explanation)));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(explanation, title_or_name(scenario)));
}

}  // namespace

void add_explain_command(Command& program) {
  program.add_command<ExplainArguments>(
      "explain", "Add the mechanisms of a step, or of a serving iteration, one by one: what each costs",
      [](Command& command, ExplainArguments& arguments) {
        arguments.scenario.add_to(command);
        add_json(command, arguments.json);
        add_page(command, arguments.html, "with what each mechanism adds");
        add_workers_option(command, arguments.workers);
      },
      run_explain);
}

}  // namespace flopcast
