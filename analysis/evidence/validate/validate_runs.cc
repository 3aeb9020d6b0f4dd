#include "analysis/evidence/validate/validate_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "analysis/render/text/format.h"
#include "hwmodels/calibration/fit_memory.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"
#include "scenarios/resolve/load_scenario.h"

namespace flopcast {
namespace {

constexpr const char* kFitted = "training runs, overheads fitted on them";
constexpr const char* kLeftOut = "training runs, their model left out of the fit";
constexpr const char* kUnseen = "training runs, nothing fitted on them";

/// |error| in percent, against a bar; bar 0: none.
Check summary(const char* group, std::string what, double error, double bar, std::string source) {
  Check check;
  check.group = group;
  check.what = std::move(what);
  check.unit = "%";
  check.predicted = 100 * error;
  check.published = 100 * bar;
  check.upper_bound = bar > 0;
  check.source = std::move(source);
  return check;
}

Check step_check(const char* group, const Scenario& scenario, Seconds predicted, double tolerance) {
  Check check;
  check.group = group;
  check.what = scenario.title;
  check.unit = "s";
  check.predicted = predicted.value();
  check.published = scenario.published.front().value;
  check.tolerance = tolerance;
  check.source = scenario.published.front().source;
  return check;
}

void add_median(std::vector<Check>& checks, const char* group, double bar) {
  std::vector<double> errors;
  for (const Check& check : checks) errors.push_back(std::abs(check.error()));
  checks.push_back(
      summary(group, "median |error|", percentile(errors, 0.5), bar, fmt::format("the {} runs above", errors.size())));
}

bool on_h100(const TrainingRun& run) { return node_of(run) == "hgx-h100"; }

/// What every run is priced with, read once for all of them.
struct Calibrations {
  std::shared_ptr<const KernelCalibration> kernels;
  std::shared_ptr<const LinkCalibration> links;
  TrainingCalibration training;

  explicit Calibrations(const Libraries& libraries)
      : kernels(std::make_shared<const KernelCalibration>(
            read_kernel_calibration(required_file(libraries, kKernelCalibrationFile)))),
        links(std::make_shared<const LinkCalibration>(
            read_link_calibration(required_file(libraries, kLinkCalibrationFile)))),
        training(read_training_calibration(required_file(libraries, kTrainingCalibrationFile))) {}
  void complete(Scenario& scenario) const {
    scenario.kernels = kernels;
    scenario.links = links;
  }
};

/// work(i) for all i below `jobs`, in any order. @throws what the first to fail threw.
template <class Work>
void on_every_core(std::size_t jobs, Work work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    try {
      for (std::size_t i = next++; i < jobs; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = jobs;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned core = 1; core < std::thread::hardware_concurrency(); ++core) threads.emplace_back(run);
  run();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

/// The step with everything kept; when that does not fit and the source is silent, with layers computed
/// again.
RunError predict(const TrainingRun& run, Scenario& scenario, const RunOptions& options) {
  if (run.recompute == "unknown") {
    try {
      check_fit(scenario);
    } catch (const MemoryRefused&) {
      scenario.training->recompute.full_layer = true;
    }
  }
  const TrainingReport report = run_training(scenario, options);
  RunError error{run, report.step_time};
  if (report.range) error.log_error = report.range->log_error;
  const bool experts = scenario.training->model.moe.experts > 0;
  error.software_error = software_error(scenario.training->software, experts, false, *options.errors);
  return error;
}

constexpr double kNinetyPercent = 1.6448536269514722;  // quantile of the normal distribution at 95 %

/// Share of runs whose published step lies in a range of `log_error`.
template <class LogError>
double covered(const std::vector<RunError>& errors, const LogError& log_error) {
  double inside = 0, all = 0;
  for (const RunError& error : errors) {
    all += 1;
    inside += std::abs(error.log_off()) <= kNinetyPercent * log_error(error) ? 1 : 0;
  }
  return all > 0 ? inside / all : 0;
}

/// What software adds to the error of a run, from the runs of all other profiles.
double error_of_others(const std::vector<RunError>& errors, const RunError& of) {
  const double sd = error_between_profiles(errors, of.run.software);
  const double parts = of.log_error * of.log_error - of.software_error * of.software_error;
  return std::sqrt(std::max(parts, sd * sd));
}

void add_coverage(std::vector<Check>& checks, const std::vector<RunError>& errors) {
  std::vector<double> half;
  for (const RunError& error : errors) half.push_back(std::expm1(kNinetyPercent * error.log_error));
  const std::string count = fmt::format("{} runs", errors.size());
  const auto share = [&](std::string what, double part) {
    Check check;
    check.group = kUnseen;
    check.what = std::move(what);
    check.unit = "%";
    check.predicted = 100 * part;
    check.published = 90;
    check.tolerance = 5.0 / 90;
    check.source = count;
    checks.push_back(std::move(check));
  };
  share("steps within their 90 % range", covered(errors, [](const RunError& e) { return e.log_error; }));
  share("the same, what software adds taken from the runs of other profiles",
        covered(errors, [&](const RunError& e) { return error_of_others(errors, e); }));
  checks.push_back(summary(kUnseen, "half of the range, median", percentile(half, 0.5), 0.12, count));
}

}  // namespace

double error_between_profiles(const std::vector<RunError>& errors, std::string_view without) {
  struct Squares {
    double sum = 0, runs = 0;
  };
  std::map<std::string_view, Squares> by_profile;
  for (const RunError& error : errors) {
    if (error.run.software == without) continue;
    Squares& of = by_profile[error.run.software];
    of.sum += std::pow(error.log_off(), 2);
    of.runs += 1;
  }
  double mean = 0;
  for (const auto& [profile, of] : by_profile) mean += of.sum / of.runs / static_cast<double>(by_profile.size());
  return std::sqrt(mean);
}

double error_of_profile(const std::vector<RunError>& errors, std::string_view profile) {
  std::vector<double> needed;
  for (const RunError& error : errors) {
    if (error.run.software != profile) continue;
    const double parts = std::pow(error.log_error, 2) - std::pow(error.software_error, 2);
    needed.push_back(std::sqrt(std::max(0.0, std::pow(error.log_off() / kNinetyPercent, 2) - parts)));
  }
  if (needed.empty()) return 0;
  std::sort(needed.begin(), needed.end());
  return needed[(9 * needed.size() + 9) / 10 - 1];
}

std::string profiles_to_text(const std::vector<RunError>& errors, const TextStyle& style) {
  std::map<std::string_view, std::pair<int, double>> profiles;  // runs, and what ranges take
  for (const RunError& error : errors) {
    auto& [runs, stated] = profiles[error.run.software];
    ++runs;
    stated = error.software_error;
  }
  TextTable table({Align::left, Align::right, Align::right, Align::right});
  table.header({"what software adds to ranges", "runs", "as stated", "for nine of ten"});
  for (const auto& [profile, of] : profiles)
    table.row({std::string(profile), fmt::format("{}", of.first), fmt::format("{:.3f}", of.second),
               fmt::format("{:.3f}", error_of_profile(errors, profile))});
  return table.render(style);
}

std::vector<Check> check_calibration_runs(const Libraries& libraries) {
  const Calibrations calibrations(libraries);
  std::vector<Check> fitted, left_out;
  for (const std::string& name : libraries.names(LibraryKind::scenarios)) {
    if (!name.starts_with("h100_")) continue;
    Scenario scenario = load_scenario(name, {}, libraries);
    if (!scenario.training || scenario.published.empty()) continue;
    calibrations.complete(scenario);
    fitted.push_back(step_check(kFitted, scenario, predicted_step(scenario, calibrations.training.overheads), 0.08));
    const std::string& model = scenario.training->model.name;
    for (const TrainingCalibration::LeftOut& without : calibrations.training.left_out) {
      if (without.model == model)
        left_out.push_back(step_check(kLeftOut, scenario, predicted_step(scenario, without.overheads), 0.12));
    }
  }
  add_median(fitted, kFitted, 0.03);
  add_median(left_out, kLeftOut, 0.06);
  fitted.insert(fitted.end(), left_out.begin(), left_out.end());
  return fitted;
}

std::vector<RunError> predict_published_runs(const Libraries& libraries, const RunOptions& options) {
  const std::string file = required_file(libraries, "analysis/data/published_training_runs.csv");
  const Calibrations calibrations(libraries);
  RunOptions lenient = options;
  lenient.allow_oom = true;  // what was run fitted, whatever our table says
  lenient.project = false;
  const std::string table = required_file(libraries, kStepErrorsFile);
  lenient.errors = std::make_shared<const StepErrors>(parse_csv(read_text_file(table), table));
  std::vector<TrainingRun> runs = read_published_runs(parse_csv(read_text_file(file), file));
  std::erase_if(runs, [](const TrainingRun& run) { return !run.left_out.empty(); });
  const Libraries shelf = libraries.remembering();
  std::vector<Scenario> scenarios;
  for (const TrainingRun& run : runs) {
    scenarios.push_back(scenario_of(run, shelf));
    calibrations.complete(scenarios.back());
    scenarios.back().training->overheads = calibrations.training.overheads;
  }
  std::vector<RunError> errors(runs.size());
  on_every_core(runs.size(), [&](std::size_t i) { errors[i] = predict(runs[i], scenarios[i], lenient); });
  return errors;
}

std::vector<Check> summarise_published_runs(const std::vector<RunError>& errors, const Libraries& libraries) {
  std::vector<double> dense, experts;
  std::map<std::string, std::vector<double>> by_framework;
  double log_a100 = 0, a100 = 0;
  for (const RunError& error : errors) {
    const double off = std::abs(error.error());
    const bool on_a100 = node_of(error.run) == "hgx-a100";
    by_framework[error.run.framework + (on_a100 ? " on A100" : "")].push_back(off);
    if (on_a100) log_a100 += error.log_off(), a100 += 1;
    if (!on_h100(error.run)) continue;
    const bool moe = libraries.model(error.run.model).moe.experts > 0;
    if (moe) {
      experts.push_back(off);
    } else if (error.run.gpus >= 64) {
      dense.push_back(off);
    }
  }
  std::vector<Check> checks;
  const auto count = [](const std::vector<double>& of) { return fmt::format("{} runs", of.size()); };
  checks.push_back(
      summary(kUnseen, "dense, H100, 64 GPUs up: median |error|", percentile(dense, 0.5), 0.06, count(dense)));
  checks.push_back(
      summary(kUnseen, "dense, H100, 64 GPUs up: largest |error|", percentile(dense, 1), 0.15, count(dense)));
  checks.push_back(summary(kUnseen, "experts, H100: median |error|", percentile(experts, 0.5), 0.12, count(experts)));
  add_coverage(checks, errors);
  if (a100 > 0)
    checks.push_back(summary(kUnseen, "A100: bias", std::expm1(-log_a100 / a100), 0, fmt::format("{:g} runs", a100)));
  for (const auto& [framework, off] : by_framework) {
    checks.push_back(summary(kUnseen, framework + ": median |error|", percentile(off, 0.5), 0, count(off)));
    checks.push_back(summary(kUnseen, framework + ": 90th percentile", percentile(off, 0.9), 0, count(off)));
  }
  return checks;
}

std::string to_text(const std::vector<RunError>& errors, const TextStyle& style) {
  TextTable table({Align::left, Align::right, Align::right, Align::right, Align::left});
  table.header({"published training run", "predicted", "published", "error", "range"});
  for (const RunError& error : errors) {
    const double half = kNinetyPercent * error.log_error;
    const bool inside = std::abs(error.log_off()) <= half;
    table.row({error.run.id, fmt::format("{:.2f} s", error.predicted.value()),
               fmt::format("{:.2f} s", error.run.step.value()), format_error(error.error()),
               fmt::format("{:.0f} %{}", 100 * std::expm1(half), inside ? "" : " !")});
  }
  return table.render(style) + "  range: half of that in which 90 % of the cases lie; ! marks what lies outside\n";
}

std::string left_out_to_text(const Libraries& libraries, const TextStyle& style) {
  const std::string file = required_file(libraries, "analysis/data/published_training_runs.csv");
  std::string text;
  for (const TrainingRun& run : read_published_runs(parse_csv(read_text_file(file), file))) {
    if (!run.left_out.empty())
      text += "  " + wrap(fmt::format("{}: not predicted, {}", run.id, run.left_out), style.width() - 4, "    ") + "\n";
  }
  return text;
}

}  // namespace flopcast
