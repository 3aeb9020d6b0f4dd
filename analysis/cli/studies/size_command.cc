// `flopcast size`: the smallest deployment that keeps a promise, or the cluster for a training run.
#include <fmt/format.h>

#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/render/text/json.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/studies/size/rl_size.h"
#include "analysis/studies/size/serving_nodes.h"
#include "analysis/studies/size/serving_size.h"
#include "analysis/studies/size/training_size.h"
#include "scenarios/proto/plan_report.pb.h"
#include "scenarios/read/text/quantity.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct SizeArguments {
  ScenarioArguments scenario;
  std::string slo;
  ResultFiles files;
  double attainment = 0.9;
  bool no_curve = false, ratio = false;
  // Of a training run.
  std::string deadline, allowed_for, date;
  std::optional<double> budget;
  std::vector<std::string> nodes;
  int workers = 0;
  bool of_a_run() const { return !deadline.empty() || budget || !allowed_for.empty(); }
};

[[noreturn]] void refuse(const std::string& option, const std::string& found, const std::string& expected) {
  throw InputError(Diagnostic{"", 0, 0, option, found, expected, ""});
}

std::optional<Date> day_of(const SizeArguments& a) {
  if (a.date.empty()) return std::nullopt;
  const std::optional<Date> day = parse_date(a.date);
  if (!day) refuse("--date", a.date, "a day, such as 2025-06-01");
  return day;
}

TrainingSizeOptions training_options(const SizeArguments& a) {
  TrainingSizeOptions options;
  if (!a.slo.empty()) refuse("--slo", "a promise of a service", "--deadline and --budget, which belong to a run");
  if (a.deadline.empty() && !a.budget) refuse("--deadline", "nothing", "--deadline 60d, --budget 8e6, or both");
  if (!a.deadline.empty()) {
    const auto time = parse_quantity(a.deadline, Dimension::time);
    if (const auto* bad = std::get_if<QuantityFault>(&time)) refuse("--deadline", bad->found, bad->expected);
    options.deadline = Seconds(std::get<double>(time));
    if (*options.deadline <= Seconds(0)) refuse("--deadline", a.deadline, "more than nothing");
  }
  if (a.budget) options.budget = Usd(*a.budget);
  options.for_china = !a.allowed_for.empty();
  options.date = day_of(a);
  options.nodes = a.nodes;
  options.workers = workers_or_cores(a.workers);
  return options;
}

void size_run(const SizeArguments& a) {
  a.files.check();
  TrainingSizeOptions options = training_options(a);
  ProgressLine progress;
  const Environment environment = a.scenario.environment();
  const bool loop =
      load_open_scenario(a.scenario.file, a.scenario.sets, environment.data().libraries()).scenario.rl != nullptr;
  options.progress = [&progress, loop](const std::string& stage, std::size_t done, std::size_t all) {
    progress.at(stage, done, all, loop ? "layouts" : "sets of degrees");
    return true;
  };
  const auto sized = loop ? size_loop : size_training;
  const TrainingSize size = sized(a.scenario.file, environment, a.scenario.sets, options);
  progress.clear();
  show_result(a.files, size, options);
  if (size.met.empty()) throw InputError(unmet(size, options));
  write_result(a.files, size, options);
}

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
  const std::string& json = arguments.files.json;
  const std::vector<PoolRatio> ratios = pool_ratios(scenario, options);
  progress.clear();
  if (json != "-") show(to_text(options, ratios, terminal_style(stdout)));
  if (best_ratio(ratios) == ratios.end()) {
    SizeResult none;
    none.counts = {1, 1};
    throw InputError(unmet(scenario, options, none));
  }
  if (!arguments.files.html.empty()) write_text(arguments.files.html, to_html(scenario, options, ratios));
  if (json.empty()) return;
  std::vector<CurveSample> samples;
  for (const PoolRatio& r : ratios) samples.push_back(r.at_most);
  write_samples(scenario, std::move(samples), json);
}

void size_over_nodes(const SizeArguments& a, const Environment& environment, const SizeOptions& options,
                     ProgressLine& progress) {
  if (a.ratio) refuse("--ratio", "the best ratio on one cluster", "one kind of node, without --nodes");
  const ServiceNodes study = size_on_nodes(a.scenario.file, environment, a.scenario.sets, a.nodes, day_of(a), options);
  progress.clear();
  show_result(a.files, study);
  if (study.services.empty() || !study.services.front().met) throw InputError(unmet(study));
  write_result(a.files, study);
}

void size_service(const SizeArguments& arguments) {
  if (arguments.of_a_run()) return size_run(arguments);
  if (arguments.slo.empty()) {
    refuse("--slo", "nothing",
           "--slo ttft=2s,tpot=50ms for a service, --deadline 60d or --budget 8e6 for a run of training or RL");
  }
  arguments.files.check();
  SizeOptions options;
  options.promise = parse_promise(arguments.slo);
  options.attainment = arguments.attainment;
  options.curve = !arguments.no_curve;
  const Environment environment = arguments.scenario.environment();
  ProgressLine progress;
  options.stage = [&progress](const std::string& what) { progress.stage(what); };
  if (!arguments.nodes.empty()) return size_over_nodes(arguments, environment, options, progress);
  // On one kind of node nothing is chosen that has a price or a table.
  if (!arguments.date.empty()) refuse("--date", "the day of rents", "--nodes beside it: kinds of nodes to choose from");
  if (!arguments.files.csv.empty()) refuse("--csv", "a table of kinds of nodes", "--nodes beside it, or --json");
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
  options.serving.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  if (arguments.ratio) return show_ratios(scenario, options, arguments, progress);
  const SizeResult result = size_deployment(scenario, options);
  progress.clear();
  if (arguments.files.json != "-") show(to_text(scenario, options, result, terminal_style(stdout)));
  if (!result.met) throw InputError(unmet(scenario, options, result));
  if (!arguments.files.html.empty()) write_text(arguments.files.html, to_html(scenario, options, result));
  if (arguments.files.json.empty()) return;
  std::vector<CurveSample> samples = result.tried;
  samples.insert(samples.end(), result.curve.begin(), result.curve.end());
  write_samples(scenario, std::move(samples), arguments.files.json, result.saturation.rate);
}

}  // namespace

void add_size_command(Command& program) {
  program.add_command<SizeArguments>(
      "size", "Find the smallest serving deployment that keeps a promise, or the cluster for a run of training or RL",
      [](Command& command, SizeArguments& arguments) {
        arguments.scenario.add_to(command);
        command.option("--slo", arguments.slo, "The promise: ttft=2s,tpot=50ms (and e2e=TIME)").value_name("LIMIT,...");
        command.option("--attainment", arguments.attainment, "Share of requests that must be within it")
            .between(0.0, 1.0)
            .show_default();
        command.flag("--no-curve", arguments.no_curve, "Leave the loads beside the scenario's own out");
        command.flag("--ratio", arguments.ratio,
                     "Instead: the best ratio of prefill to decode replicas on the whole cluster");
        command.option("--deadline", arguments.deadline, "Of a run of training or RL: the time for it, 60d")
            .value_name("TIME");
        command.option("--budget", arguments.budget, "Of a run: US dollars for its GPU-hours, 8e6")
            .between(0.0, 1e15)
            .value_name("USD");
        command.option("--allowed-for", arguments.allowed_for, "Only chips that may be sold there on --date")
            .one_of({"china"});
        command.option("--date", arguments.date, "The day of rules, launches and rents").value_name("DAY");
        command.option("--nodes", arguments.nodes, "Kinds of nodes to try (`flopcast list nodes`)")
            .names_of({"nodes"})
            .value_name("NAME,...")
            .separated_by(',');
        add_workers_option(command, arguments.workers, "For a run: plans");
        command
            .option("--csv", arguments.files.csv,
                    "Write clusters for a run, or a service on --nodes, as a table (`-`: to stdout)")
            .value_name("FILE");
        command
            .option("--json", arguments.files.json,
                    "Write what was tried as JSON (`-`: to stdout, instead of the text)")
            .value_name("FILE");
        add_page(command, arguments.files.html, "with what was tried as pictures");
      },
      size_service);
}

}  // namespace flopcast
