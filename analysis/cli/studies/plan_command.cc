// `flopcast plan`: the best plan of a training step.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/cli/line/command.h"
#include "analysis/cli/line/result_files.h"
#include "analysis/cli/line/run_options.h"
#include "analysis/cli/terminal/terminal.h"
#include "analysis/face/environment_data.h"
#include "analysis/studies/plan/plan_study.h"
#include "analysis/studies/plan/rl_plan.h"
#include "analysis/studies/plan/serving_plan.h"
#include "analysis/studies/size/serving_size.h"
#include "scenarios/proto/plan_report.pb.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

struct PlanArguments {
  ScenarioArguments scenario;
  std::vector<std::string> open, keep, among, where, why, precision;
  std::string slo;
  ResultFiles files;
  double attainment = 0.9;
  int replays = 20, workers = 0;
  double effort = PlanOptions().effort;
};

enum class Searched { plan, deployment, layout };

/// Options of another kind of search have no effect, which is said.
void refuse_options_of_others(const PlanArguments& a, Searched kind) {
  const PlanArguments usual;
  struct Option {
    const char* name;
    bool stated;
    Searched of;
  };
  const Option options[] = {{"--among", !a.among.empty(), Searched::plan},
                            {"--where", !a.where.empty(), Searched::plan},
                            {"--why", !a.why.empty(), Searched::plan},
                            {"--precision", !a.precision.empty(), Searched::plan},
                            {"--replays", a.replays != usual.replays, Searched::plan},
                            {"--effort", a.effort != usual.effort, Searched::plan},
                            {"--slo", !a.slo.empty(), Searched::deployment},
                            {"--attainment", a.attainment != usual.attainment, Searched::deployment}};
  std::vector<std::string> taken{"--open", "--keep"};
  for (const Option& option : options)
    if (option.of == kind) taken.emplace_back(option.name);
  const char* what = kind == Searched::plan ? "a training step" : kind == Searched::deployment ? "a service" : "a loop";
  std::vector<Diagnostic> faults;
  for (const Option& option : options) {
    if (option.stated && option.of != kind)
      faults.push_back({"", 0, 0, option.name, "an option without effect",
                        fmt::format("those of {}: {}", what, fmt::join(taken, ", ")), ""});
  }
  if (!faults.empty()) throw InputError(std::move(faults));
}

/// Options that all searches share, and their progress. @param noun what is counted
template <class Options>
void take_search(const PlanArguments& a, ProgressLine& progress, const char* noun, Options& options) {
  options.open = a.open;
  options.keep = a.keep;
  options.workers = workers_or_cores(a.workers);
  options.progress = [&progress, noun](const std::string& stage, std::size_t done, std::size_t all) {
    progress.at(stage, done, all, noun);
    return true;
  };
}

void find_deployment(const PlanArguments& a, const Environment& environment) {
  refuse_options_of_others(a, Searched::deployment);
  ServingPlanOptions options;
  if (!a.slo.empty()) options.promise = parse_promise(a.slo);
  options.attainment = a.attainment;
  ProgressLine progress;
  take_search(a, progress, "deployments", options);
  const ServingPlanStudy study = plan_serving(a.scenario.file, environment, a.scenario.sets, options);
  progress.clear();
  present(a.files, study);
  if (!a.files.scenario.empty()) write_text(a.files.scenario, scenario_text(study, study.for_traffic(), environment));
}

void find_layout(const PlanArguments& a, const Environment& environment) {
  refuse_options_of_others(a, Searched::layout);
  LoopPlanOptions options;
  ProgressLine progress;
  take_search(a, progress, "layouts", options);
  const LoopPlanStudy study = plan_loop(a.scenario.file, environment, a.scenario.sets, options);
  progress.clear();
  present(a.files, study);
  if (!a.files.scenario.empty())
    write_text(a.files.scenario, scenario_text(study, study.plans.front().choice, environment));
}

/// A field is open or kept.
void check_open(const PlanArguments& a) {
  std::vector<Diagnostic> faults;
  for (const std::string& field : a.open) {
    if (std::find(a.keep.begin(), a.keep.end(), field) != a.keep.end())
      faults.push_back({"", 0, 0, "--open", field + ", which --keep leaves as it is", "one of the two", ""});
  }
  if (!faults.empty()) throw InputError(std::move(faults));
}

void find_plan(const PlanArguments& a) {
  check_open(a);
  a.files.check();
  const Environment environment = a.scenario.environment();
  const Scenario asked = load_open_scenario(a.scenario.file, a.scenario.sets, environment.data().libraries()).scenario;
  if (asked.serving) return find_deployment(a, environment);
  if (asked.rl) return find_layout(a, environment);
  refuse_options_of_others(a, Searched::plan);
  PlanOptions options;
  options.open.open = a.open;
  options.open.keep = a.keep;
  options.open.allowed = a.among;
  options.where = a.where;
  options.why = a.why;
  options.precisions = a.precision;
  options.replays = a.replays;
  options.effort = a.effort;
  options.workers = workers_or_cores(a.workers);
  ProgressLine progress;
  options.progress = [&progress](const std::string& stage, std::size_t done, std::size_t all) {
    progress.at(stage, done, all, stage == "replaying the best" ? "plans" : "sets of degrees");
    return true;
  };
  const PlanStudy study = plan_study(a.scenario.file, environment, a.scenario.sets, options);
  progress.clear();
  present(a.files, study);
  if (!a.files.scenario.empty())
    write_text(a.files.scenario, scenario_text(study, study.plans.front().screened.choice, environment));
}

}  // namespace

void add_plan_command(Command& program) {
  program.add_command<PlanArguments>(
      "plan", "Find the best parallel plan of a training step, deployment of a service, or layout of an RL loop",
      [](Command& command, PlanArguments& arguments) {
        arguments.scenario.add_to(command);
        command
            .option("--open", arguments.open,
                    "Vary it though the scenario states it: plan, plan.tensor, schedule, recompute, ..., or all; of a "
                    "service tensor, attention_data, expert, pipeline, split, or all; of an RL loop placement")
            .value_name("FIELD,...")
            .separated_by(',');
        command
            .option(
                "--keep", arguments.keep,
                "Leave it as it is though the scenario does not state it; of an RL loop split, trainer, engine, batch")
            .value_name("FIELD,...")
            .separated_by(',');
        command.option("--among", arguments.among, "Only these values: schedule=1f1b,interleaved_1f1b")
            .value_name("FIELD=VALUE,...")
            .repeated();
        command
            .option("--where", arguments.where,
                    "A condition that plans have to meet: 'training.peak_memory_bytes < 0.9 hbm'")
            .value_name("CONDITION")
            .repeated();
        command.option("--why", arguments.why, "What becomes of plans with it: plan.tensor=8")
            .value_name("FIELD=VALUE")
            .repeated();
        command.option("--precision", arguments.precision, "Precisions of linear layers to try beside the scenario's")
            .one_of({"bf16", "fp8"})
            .repeated();
        command.option("--replays", arguments.replays, "How many of the best are replayed")
            .between(1, 1000)
            .show_default();
        command
            .option(
                "--effort", arguments.effort,
                "Plans to price at most; what is left is stated with its bound (0: until the bound rules out the rest)")
            .between(0.0, 1e12)
            .show_default();
        command.option("--slo", arguments.slo, "Of a service: the promise, ttft=2s,tpot=50ms (else the scenario's own)")
            .value_name("LIMIT,...");
        command.option("--attainment", arguments.attainment, "Of a service: share of requests that must be within it")
            .between(0.0, 1.0)
            .show_default();
        add_workers_option(command, arguments.workers, "Processes and threads");
        add_json(command, arguments.files.json, "answer");
        command.option("--csv", arguments.files.csv, "Write a row per plan (`-`: to stdout, instead of the text)")
            .value_name("FILE");
        add_page(command, arguments.files.html, "with the plans as pictures");
        command.option("--output", arguments.files.scenario, "Write the scenario with the best plan (`-`: to stdout)")
            .value_name("FILE");
      },
      find_plan);
}

}  // namespace flopcast
