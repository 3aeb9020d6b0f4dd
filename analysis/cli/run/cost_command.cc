// `flopcast cost`: what a scenario's run, programme or service costs, and how sure that is.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/standard_streams.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/run.h"
#include "analysis/money/study/cost_output.h"
#include "analysis/money/study/served_work.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/size/serving_size.h"
#include "scenarios/proto/cost_report.pb.h"
#include "scenarios/resolve/change_work.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct CostArguments {
  ScenarioArguments scenario;
  std::string price_model, date, slo, grid;
  ResultFiles files;
  std::optional<int> draws;
  std::optional<double> rent_quantile;
  int workers = 0;
  bool list_inputs = false;
};

std::vector<PriceModel> asked_models(const std::string& name) {
  if (name.empty()) return {};
  if (name == "all") return {PriceModel::stated, PriceModel::rental, PriceModel::owned, PriceModel::amortised};
  for (const PriceModel model : {PriceModel::stated, PriceModel::rental, PriceModel::owned, PriceModel::amortised}) {
    if (name_of(model) == name) return {model};
  }
  return {};  // refused by the command line
}

/// The scenario's own model first.
std::vector<PriceModel> models(const CostArguments& a, const Scenario& scenario) {
  std::vector<PriceModel> out = asked_models(a.price_model);
  const auto own = std::find(out.begin(), out.end(), scenario.price.model);
  if (out.size() > 1 && own != out.end()) std::rotate(out.begin(), own, own + 1);
  // A price that nobody stated is no model to compare with.
  if (out.size() > 1 && !scenario.price.stated) std::erase(out, PriceModel::stated);
  return out;
}

/// With as many replicas as keep the promise. @throws InputError when no number does.
Scenario sized(Scenario scenario, const std::string& promise, const ServingOptions& serving, ProgressLine& progress) {
  SizeOptions options;
  options.promise = parse_promise(promise);
  options.curve = false;
  options.serving = serving;
  options.stage = [&progress](const std::string& what) { progress.stage(what); };
  const SizeResult size = size_deployment(scenario, options);
  if (!size.met) {
    throw InputError(
        Diagnostic{scenario.file, 0, 0, "--slo", promise + ", which no deployment on the cluster keeps",
                   fmt::format("a promise that one can keep; the nearest keeps it for {:.0f} % of requests",
                               100 * size.attainment),
                   ""});
  }
  change_serving(scenario, [&](ServingScenario& serving_scenario) {
    for (std::size_t p = 0; p < size.counts.size(); ++p) serving_scenario.pools[p].replicas = size.counts[p];
    serving_scenario.levels.assign(serving_scenario.levels.size(), options.promise);
    serving_scenario.sample = 1;
  });
  return scenario;
}

PricedWork served_work(const Scenario& scenario, const std::string& promise, const Environment& environment) {
  ProgressLine progress;
  const ServingOptions options = serving_options(scenario, environment, command_settings(progress));
  const ServingReport report =
      run_serving(promise.empty() ? scenario : sized(scenario, promise, options, progress), options);
  progress.clear();
  return work_of(report);
}

/// The run of a loop as one phase.
PricedWork loop_work(const Scenario& scenario, const Environment& environment) {
  const InterruptGuard interrupt;
  RlOptions options = rl_options(scenario, environment, {});
  const RlReport report = run_rl(scenario, options);
  if (!report.run)
    throw InputError(Diagnostic{scenario.file, 0, 0, "rl.run", "nothing to price", "run { steps: ... }", ""});
  const RlRunProjection& run = *report.run;
  Projection projection;
  PhaseProjection phase;
  phase.name = std::string(report.rl().loop.algorithm->name);
  phase.tokens = run.steps * (report.step.prompt_tokens + report.step.answer_tokens);
  phase.steps = run.steps;
  phase.gpus = report.rl().gpus();
  phase.step_time = run.time.steady / run.steps;
  phase.time = run.time;
  phase.gpu_hours = run.gpu_hours;
  phase.cost = run.cost;
  phase.energy = run.energy;
  phase.source = report.rl().loop.run.source;
  projection.gpu_hours = projection.predicted_gpu_hours = run.gpu_hours;
  projection.elapsed = run.time.total();
  projection.cost = run.cost;
  projection.energy = run.energy;
  projection.phases.push_back(std::move(phase));
  PricedWork work = work_of(projection);
  if (const std::optional<FigureRange> hours = report.range_of(run.gpu_hours))
    work.range =
        HoursRange{hours->p5, hours->p95, {}, "what published steps of loops are off (analysis/data/step_errors.csv)"};
  return work;
}

PricedWork replayed_work(const Scenario& scenario, const std::string& promise, const Environment& environment) {
  if (scenario.serving) return served_work(scenario, promise, environment);
  if (scenario.rl) return loop_work(scenario, environment);
  if (!scenario.training || scenario.phases.empty()) {
    throw InputError(
        Diagnostic{scenario.file, 0, 0, scenario.training ? "run" : "", "nothing to price",
                   "training { ... } with run { ... }, rl { ... } with run { ... }, a run of given GPU-hours, "
                   "serving { ... } or given_service { ... }",
                   ""});
  }
  ProgressLine progress;
  RunSettings settings = command_settings(progress);
  settings.threads = 0;
  const RunOptions options = run_options(scenario, environment, settings);
  const TrainingReport report = run_training(scenario, options);
  progress.clear();
  return work_of(*report.projection);
}

CostReport study(const Scenario& scenario, const PricedWork& work, const EnvironmentData& data, CostQuestion question) {
  question.engine_power = engine_power(scenario, data);
  return cost_study(scenario, work, data.prices(), data.power(scenario.cluster.node.gpu.architecture),
                    data.usual_spreads(), question);
}

void run_cost(CostArguments a) {
  if (a.list_inputs) {
    show(money_inputs_text(terminal_style(stdout)));
    return;
  }
  if (a.scenario.file.empty())
    throw InputError(
        Diagnostic{"", 0, 0, "FILE", "nothing", "a scenario: a file, or a name from `flopcast list scenarios`", ""});
  a.files.check();
  const Environment environment = a.scenario.environment();
  if (!a.date.empty()) a.scenario.sets.push_back("date=" + a.date);
  const ResolvedScenario resolved = a.scenario.load(environment);
  const Scenario& scenario = resolved.value();
  CostQuestion question;
  question.models = models(a, scenario);
  question.draws = a.draws;
  question.workers = workers_or_cores(a.workers);
  question.rent_quantile = a.rent_quantile.value_or(question.rent_quantile);
  const bool rents =
      std::find(question.models.begin(), question.models.end(), PriceModel::rental) != question.models.end() ||
      (question.models.empty() && scenario.price.model == PriceModel::rental);
  if (a.rent_quantile && !rents) {
    throw InputError(Diagnostic{"", 0, 0, "--rent-quantile", "no rent among the prices asked for",
                                "--price-model rental or all", ""});
  }
  if (!a.grid.empty()) {
    std::optional<int> year;
    if (scenario.date) year = std::stoi(to_string(*scenario.date).substr(0, 4));
    question.grid = grid_carbon(environment.data().libraries(), a.grid, year);
  }
  const auto given = given_work(scenario);
  if (!a.slo.empty() && !scenario.serving)
    throw InputError(Diagnostic{"", 0, 0, "--slo", "a scenario without `serving`", "one with replicas to count", ""});
  const CostReport report =
      study(scenario, given ? *given : replayed_work(scenario, a.slo, environment), environment.data(), question);
  present(a.files, report);
}

}  // namespace

void add_cost_command(Command& program) {
  program.add_command<CostArguments>(
      "cost", "What a run, a programme or a service costs under dated prices, and how sure that is",
      [](Command& command, CostArguments& a) {
        a.scenario.add_to(command).required(false);  // --inputs asks nothing of a scenario
        command
            .option("--price-model", a.price_model,
                    "stated, rental, owned, amortised or all; absent: the scenario's own")
            .one_of({"stated", "rental", "owned", "amortised", "all"});
        command.option("--date", a.date, "The day whose prices hold, instead of the scenario's").value_name("DAY");
        command
            .option("--slo", a.slo,
                    "Of a serving scenario: price the smallest deployment with 90 % of requests within it")
            .value_name("ttft=2s,tpot=50ms");
        command
            .option("--draws", a.draws, "How often inputs are drawn, instead of the scenario's number; 0: not at all")
            .value_name("N")
            .between(0, 1000000);
        add_workers_option(command, a.workers, "Threads that draw");
        command
            .option("--rent-quantile", a.rent_quantile,
                    "Of the rents on offer that day: 0.5 the middle one (the default), 0 the cheapest, 1 the dearest")
            .between(0.0, 1.0)
            .value_name("Q");
        command
            .option("--grid", a.grid,
                    "Where the site stands, such as China: carbon of the run, and of a million tokens "
                    "(analysis/data/money/grid_carbon.csv)")
            .value_name("GRID");
        command.flag("--inputs", a.list_inputs, "List the inputs that can be spread, and nothing else");
        a.files.add_to(command, "result", "with pictures: parts, programme, what matters most");
      },
      run_cost);
}

}  // namespace flopcast
