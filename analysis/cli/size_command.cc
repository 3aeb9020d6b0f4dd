// `flopcast size`: the smallest deployment that keeps a promise.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/command.h"
#include "analysis/cli/output.h"
#include "analysis/cli/standard_streams.h"
#include "analysis/cli/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/json.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/studies/size/serving_size.h"

namespace flopcast {
namespace {

struct SizeArguments {
  ScenarioArguments scenario;
  std::string slo, json, html;
  double attainment = 0.9;
  bool no_curve = false, ratio = false;
};

void write_samples(const Scenario& scenario, std::vector<CurveSample> samples, const std::string& path,
                   double saturation = 0) {
  ServingReport report{};
  report.scenario = scenario;
  report.curve = std::move(samples);
  report.saturation = saturation;
  report::Report message = to_message(report);
  message.set_program(version());
  write_text(path, to_json(message));
}

void show_ratios(const Scenario& scenario, const SizeOptions& options, const SizeArguments& arguments,
                 ProgressLine& progress) {
  const std::string& json = arguments.json;
  const std::vector<PoolRatio> ratios = pool_ratios(scenario, options);
  progress.clear();
  if (json != "-") show(to_text(options, ratios, terminal_style(stdout)));
  if (best_ratio(ratios) == ratios.end()) {
    SizeResult none;
    none.counts = {1, 1};
    throw InputError(unmet(scenario, options, none));
  }
  if (!arguments.html.empty()) write_text(arguments.html, to_html(scenario, options, ratios));
  if (json.empty()) return;
  std::vector<CurveSample> samples;
  for (const PoolRatio& r : ratios) samples.push_back(r.at_most);
  write_samples(scenario, std::move(samples), json);
}

void size_service(const SizeArguments& arguments) {
  const OutputOption outputs[] = {{"--json", arguments.json}, {"--html", arguments.html, false}};
  check_outputs(outputs);
  SizeOptions options;
  options.promise = parse_promise(arguments.slo);
  options.attainment = arguments.attainment;
  options.curve = !arguments.no_curve;
  const Environment environment = arguments.scenario.environment();
  const ResolvedScenario resolved = arguments.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  if (!scenario.serving) {
    Diagnostic d;
    d.file = scenario.file;
    d.field = "serving";
    d.found = "nothing";
    d.expected = "serving { ... }: only a deployment that answers requests can be sized";
    throw InputError(d);
  }
  ProgressLine progress;
  options.serving.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  options.stage = [&progress](const std::string& what) { progress.stage(what); };
  if (arguments.ratio) return show_ratios(scenario, options, arguments, progress);
  const SizeResult result = size_deployment(scenario, options);
  progress.clear();
  if (arguments.json != "-") show(to_text(scenario, options, result, terminal_style(stdout)));
  if (!result.met) throw InputError(unmet(scenario, options, result));
  if (!arguments.html.empty()) write_text(arguments.html, to_html(scenario, options, result));
  if (arguments.json.empty()) return;
  std::vector<CurveSample> samples = result.tried;
  samples.insert(samples.end(), result.curve.begin(), result.curve.end());
  write_samples(scenario, std::move(samples), arguments.json, result.saturation.rate);
}

}  // namespace

void add_size_command(Command& program) {
  program.add_command<SizeArguments>(
      "size", "Find the smallest serving deployment that keeps a promise",
      [](Command& command, SizeArguments& arguments) {
        arguments.scenario.add_to(command);
        command.option("--slo", arguments.slo, "The promise: ttft=2s,tpot=50ms (and e2e=TIME)")
            .required()
            .value_name("LIMIT,...");
        command.option("--attainment", arguments.attainment, "Share of requests that must be within it")
            .between(0.0, 1.0)
            .show_default();
        command.flag("--no-curve", arguments.no_curve, "Leave the loads beside the scenario's own out");
        command.flag("--ratio", arguments.ratio,
                     "Instead: the best ratio of prefill to decode replicas on the whole cluster");
        command.option("--json", arguments.json, "Write what was tried as JSON (`-`: to stdout, instead of the text)")
            .value_name("FILE");
        command.option("--html", arguments.html, "Write a page with what was tried as pictures").value_name("FILE");
      },
      size_service);
}

}  // namespace flopcast
