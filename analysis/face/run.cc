#include "analysis/face/run.h"

#include <algorithm>
#include <utility>

#include "analysis/face/environment_data.h"
#include "analysis/face/placed.h"
#include "analysis/face/records.h"
#include "analysis/face/report_data.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/runs/parts/published.h"
#include "analysis/runs/serving/serving_report.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/timeline/replayed_gpus.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

/// Tells the caller how far a run is.
class Teller {
 public:
  explicit Teller(const RunSettings& settings) : tell_(settings.progress) {}

  void begin(const std::string& stage, const std::string& unit) {
    progress_ = {stage, 0, 0, unit};
    if (!go_on()) throw Interrupted();
  }
  bool update(std::uint64_t done, std::uint64_t all) {
    progress_.done = done;
    progress_.all = all;
    return go_on();
  }

 private:
  bool go_on() const { return !tell_ || tell_(progress_); }
  std::function<bool(const Progress&)> tell_;
  Progress progress_;
};

Report training(const ResolvedScenario& resolved, const Environment& environment, const RunSettings& settings,
                const RunHooks& hooks) {
  const Scenario& scenario = resolved.value();
  RunOptions options = run_options(scenario, environment, settings);
  options.extra_sinks = hooks.sinks;
  std::shared_ptr<Timeline> timeline;
  if (settings.keep_timeline) {
    timeline = std::make_shared<Timeline>();
    options.extra_sinks.push_back([&](const TrainingStep& step) {
      check_replayed(settings.timeline_gpus, step, "timeline_gpus");
      return std::make_unique<TimelineRecorder>(step, settings.timeline_gpus, *timeline);
    });
  }
  const auto replay = [&] {
    if (!settings.unfolded) return run_training(scenario, options);
    Scenario unfolded = scenario;
    unfolded.training->unfolded = true;
    return run_training(unfolded, options);
  };
  auto data = std::make_shared<ReportData>(ReportData{resolved, replay()});
  data->timeline = std::move(timeline);
  return Report(std::move(data));
}

Report serving(const ResolvedScenario& resolved, const Environment& environment, const RunSettings& settings,
               const RunHooks& hooks) {
  const Scenario& scenario = resolved.value();
  ServingOptions options = serving_options(scenario, environment, settings);
  options.keeper = hooks.keeper;
  if (!hooks.ranges) options.spreads = {};
  RequestRecorder recorder;
  options.on_result = [&](const Request& request, const RequestResult& result) {
    if (settings.keep_requests) recorder.add(result);
    if (hooks.on_result) hooks.on_result(request, result);
  };
  ServingReport report = run_serving(scenario, options);
  compare_with_published(
      scenario, [&] { return serving_metrics(&report); }, report.comparisons, report.notes);
  auto data = std::make_shared<ReportData>(ReportData{resolved, std::move(report)});
  if (settings.keep_requests) data->requests = std::move(recorder).requests(scenario.serving->class_names);
  return Report(std::move(data));
}

/// What the scenario states is priced.
CostReport given(const Scenario& scenario, const EnvironmentData& data) {
  return cost_study(scenario, *given_work(scenario), data.prices(), data.power(scenario.cluster.node.gpu.architecture),
                    data.usual_spreads(), {});
}

}  // namespace

std::optional<PowerModel> engine_power(const Scenario& scenario, const EnvironmentData& data) {
  if (!scenario.rl || !scenario.rl->rollout_cluster) return std::nullopt;
  return data.power(scenario.rl->rollout_cluster->node.gpu.architecture);
}

RunOptions run_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings) {
  RunOptions options;
  options.sharing = settings.sharing;
  options.solver = settings.solver;
  options.allow_oom = settings.allow_oom;
  options.project = settings.project;
  options.threads = workers_or_cores(settings.threads);
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  options.errors = environment.data().step_errors();
  options.losses = environment.data().run_losses();
  const auto teller = std::make_shared<Teller>(settings);
  options.stage = [teller](const std::string& what) { teller->begin(what, "operations"); };
  options.progress = [teller](std::uint64_t done, std::uint64_t all) { return teller->update(done, all); };
  return options;
}

RlOptions rl_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings) {
  RlOptions options;
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  options.engine_power = engine_power(scenario, environment.data());
  if (scenario.rl->generates()) options.engine = environment.data().serving_spreads(scenario).many.tpot;
  options.errors = environment.data().step_errors();
  options.replay.sharing = settings.sharing;
  options.replay.solver = Solver::in_process;  // many short replays
  options.allow_oom = settings.allow_oom;
  options.project = settings.project;
  const auto teller = std::make_shared<Teller>(settings);
  teller->begin("steps of the loop", "answers");
  options.keep_going = [teller](std::uint64_t done, std::uint64_t all) { return teller->update(done, all); };
  return options;
}

ServingOptions serving_options(const Scenario& scenario, const Environment& environment, const RunSettings& settings) {
  ServingOptions options;
  options.power = environment.data().power(scenario.cluster.node.gpu.architecture);
  options.spreads = environment.data().serving_spreads(scenario);
  const auto teller = std::make_shared<Teller>(settings);
  teller->begin("requests", "requests");
  const std::uint64_t expected =
      expected_requests(scenario.serving->traffic) / static_cast<std::uint64_t>(scenario.serving->sample);
  options.keep_going = [teller, expected](std::uint64_t done) {
    return teller->update(done, std::max(done, expected));
  };
  return options;
}

Report run(const ResolvedScenario& scenario, const Environment& environment, const RunSettings& settings,
           const RunHooks& hooks) {
  const Scenario& value = scenario.value();
  const auto of = [&](AnyReport report) {
    return Report(std::make_shared<const ReportData>(ReportData{scenario, std::move(report)}));
  };
  const auto replayed = [&]() -> Report {
    switch (scenario.work()) {
      case Work::training:
        return training(scenario, environment, settings, hooks);
      case Work::rl:
        return of(run_rl(value, rl_options(value, environment, settings)));
      case Work::serving:
        return serving(scenario, environment, settings, hooks);
      case Work::collective:
        return of(run_collective(value, run_options(value, environment, settings)));
      case Work::life:
        return of(run_cluster_life(value));
      case Work::given:
        break;
    }
    return of(given(value, environment.data()));
  };
  return with_places(value, replayed);
}

Report run(const ResolvedScenario& scenario, const Environment& environment, const RunSettings& settings) {
  return run(scenario, environment, settings, {});
}

}  // namespace flopcast
