#include "analysis/app/app_studies.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/runs/metrics.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/plan/plan_search.h"
#include "analysis/studies/plan/plan_study.h"
#include "flopcast/scenario.h"
#include "scenarios/read/text/text_file.h"
#include "sim/base/fault_text.h"

namespace flopcast {
namespace {

constexpr std::size_t kMostReplayed = 12, kMostPriced = 150;

std::size_t threads_at_work() {
  constexpr unsigned kMost = 4;  // the machine is somebody's desktop
  return std::clamp(std::thread::hardware_concurrency(), 1u, kMost);
}

/// The candidate of that number: the last axis changes first.
std::vector<std::string> settings_of(const std::vector<AppAxis>& axes, std::size_t number) {
  std::vector<std::string> out(axes.size());
  for (std::size_t i = axes.size(); i-- > 0;) {
    out[i] = axes[i].path + "=" + axes[i].values[number % axes[i].values.size()];
    number /= axes[i].values.size();
  }
  return out;
}

std::string last_steps(const std::vector<std::string>& sets) {
  std::string out;
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('='), dot = set.rfind('.', equals);
    out += (out.empty() ? "" : ", ") + (dot == std::string::npos ? set : set.substr(dot + 1));
  }
  return out;
}

/// Replays one candidate. @return its figures, or why there are none
AppPoint tried(AppRun& run, AppScenario scenario, std::vector<std::string> own, const AppLoader& loader,
               std::vector<Metric>& figures) {
  AppPoint point;
  point.sets = std::move(own);
  point.name = last_steps(point.sets);
  scenario.sets.insert(scenario.sets.end(), point.sets.begin(), point.sets.end());
  try {
    RunSettings settings;
    settings.progress = [&run](const Progress&) { return !run.cancel; };
    figures = metrics(flopcast::run(loader.resolve(scenario), loader.environment(), settings));
  } catch (const InputError& error) {
    point.fault = first_of(error);
  }
  return point;
}

/// Adds a point with its figures, in the order of the first one that had any.
void add_point(AppRun& run, AppPoint point, const std::vector<Metric>& figures) {
  const std::lock_guard lock(run.mutex);
  if (run.figures.empty()) {
    run.figures = number_figures(figures);
    for (AppPoint& earlier : run.points) earlier.values.resize(run.figures.size());
  }
  point.values.resize(run.figures.size());
  for (std::size_t i = 0; i < run.figures.size(); ++i) {
    if (const Metric* const found = find_metric(figures, run.figures[i].name)) point.values[i] = found->number();
  }
  run.points.push_back(std::move(point));
  run.done = run.points.size();
}

}  // namespace

AppAxis parse_axis(const std::string& text) {
  const std::size_t equals = text.find('=');
  AppAxis axis{text.substr(0, equals), {}};
  std::string value;
  bool quoted_value = false;
  const auto end_value = [&] {
    const std::size_t first = value.find_first_not_of(' '), last = value.find_last_not_of(' ');
    if (first != std::string::npos) axis.values.push_back(value.substr(first, last - first + 1));
    value.clear();
  };
  for (std::size_t i = equals == std::string::npos ? text.size() : equals + 1; i < text.size(); ++i) {
    if (text[i] == '\'')
      quoted_value = !quoted_value;
    else if (text[i] == ',' && !quoted_value)
      end_value();
    else
      value += text[i];
  }
  end_value();
  if (axis.path.empty() || axis.values.empty())
    throw InputError(
        Diagnostic{"", 0, 0, "axis", quoted(text), "a field and its values: training.plan.pipeline=4,8,16", ""});
  return axis;
}

void sweep_points(AppRun& run, const AppScenario& scenario, const std::vector<AppAxis>& axes, const AppLoader& loader) {
  std::size_t all = axes.empty() ? 0 : 1;
  for (const AppAxis& axis : axes) all = std::min(all * axis.values.size(), kMostCandidates + 1);
  if (all == 0 || all > kMostCandidates) {
    throw InputError(Diagnostic{"", 0, 0, "axes", all == 0 ? "none" : fmt::format("more than {}", kMostCandidates),
                                fmt::format("1 to {} candidates (`flopcast sweep` takes any number)", kMostCandidates),
                                ""});
  }
  run.at("candidates", 0, all, "candidates");
  std::atomic<std::size_t> next{0};
  std::mutex failed_by;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = 0; (i = next++) < all && !run.cancel;) {
      try {
        std::vector<Metric> figures;
        AppPoint point = tried(run, scenario, settings_of(axes, i), loader, figures);
        add_point(run, std::move(point), figures);
      } catch (const Interrupted&) {
        return;
      } catch (...) {
        const std::lock_guard lock(failed_by);
        failure = std::current_exception();
        next = all;
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < std::min(threads_at_work(), all); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  if (run.cancel) throw Interrupted();
}

void plan_points(AppRun& run, const AppScenario& asked, const AppLoader& loader) {
  const Environment& environment = loader.environment();
  OpenScenario open = loader.open(asked);
  if (!open.scenario.training) {
    const char* what = open.scenario.serving ? "a service" : "no training";
    throw InputError(Diagnostic{asked.label, 0, 0, "plan", what,
                                "a training step, whose plans are searched here; `flopcast plan FILE --open all` "
                                "searches deployments of services and layouts of loops too",
                                ""});
  }
  if (open.scenario.rl) {
    throw InputError(Diagnostic{asked.label, 0, 0, "plan", "a loop",
                                "a training step, whose plans are searched here; `flopcast plan FILE --open all` "
                                "searches layouts of loops and deployments of services too",
                                ""});
  }
  open.scenario.published.clear();
  const ResolvedScenario whole = completed(std::move(open.scenario), environment.data());
  const Scenario& base = whole.value();
  OpenFields fields;
  fields.open = {"all"};
  fields.stated = open.stated;
  const PlanSpace space = plan_space(base, fields, {});
  SearchOptions options;
  options.workers = static_cast<int>(threads_at_work());
  options.keep = kMostPriced;
  options.effort = PlanOptions().effort;
  options.progress = [&](std::size_t done, std::size_t all) { return run.at("searching plans", done, all, "shapes"); };
  const SearchResult found = search_plans(space, estimator_of(base, space), options);
  const auto settings = [&](const PlanChoice& choice) { return plan_settings(choice, base.training->model); };
  {
    const std::lock_guard lock(run.mutex);
    for (const char* name : {"training.step_time_s", "training.peak_memory_bytes", "training.mfu_bf16_causal"}) {
      if (const auto metric = describe_metric(name)) run.figures.push_back(*metric);
    }
    for (const ScreenedPlan& plan : found.best) {
      run.points.push_back({.sets = settings(plan.choice),
                            .name = plan_text(plan.choice),
                            .values = {plan.estimate.step.value(), plan.estimate.memory.value(), std::nullopt},
                            .replayed = false});
    }
  }
  if (found.best.empty()) {
    throw InputError(Diagnostic{base.file, 0, 0, "training.plan", "no plan that fits",
                                "more GPUs, recomputation, or a shorter sequence (`flopcast plan` says more)", ""});
  }
  RunOptions replay = run_options(base, environment, RunSettings());
  replay.allow_oom = true;
  replay.project = false;
  const std::size_t all = std::min(kMostReplayed, found.best.size());
  for (std::size_t i = 0; i < all; ++i) {
    if (!run.at("replaying the best", i, all, "plans")) throw Interrupted();
    const TrainingReport report = run_training(with_plan(base, found.best[i].choice, space), replay);
    const std::lock_guard lock(run.mutex);
    run.points[i].values = {report.step_time.value(), report.fullest_memory().total().value(), report.mfu_causal};
    run.points[i].replayed = true;
  }
}

}  // namespace flopcast
