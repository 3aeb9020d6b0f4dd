#include "analysis/studies/plan/unit_trial.h"

#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "analysis/runs/serving/saturation.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

/// Loads are found to within this.
constexpr double kClose = 1.03;
constexpr double kLeastLoad = 1.0 / 4096, kMostLoad = 4096;

/// Replays one unit at one load after the other.
class UnitTrial {
 public:
  UnitTrial(const Scenario& scenario, const ServingPlanOptions& options) : scenario_(scenario), options_(options) {}

  Capacity run() {
    Capacity found;
    const auto meets = [&](double load) {
      const auto [sample, limit] = replay(load);
      (limit == 0 ? found.at_most : last_) = sample;
      if (limit != 0) found.limit = limit;
      return limit == 0;
    };
    const double low = doubled_load(meets, kLeastLoad, kMostLoad);
    if (low > 0 && low < kMostLoad) bisect_load(meets, low, kClose);
    if (low == 0) {
      found.at_most = last_;
      found.at_most.requests_per_s = 0;
    }
    return found;
  }

 private:
  struct Replayed {
    CurveSample sample;
    char limit;  // 0: within the promise
  };

  Replayed replay(double load) const {
    Scenario scenario = scenario_;
    change_serving(scenario, [&](ServingScenario& serving) {
      if (options_.promise) serving.levels.assign(serving.levels.size(), *options_.promise);
      if (load != 1) serving.traffic = times_as_much(serving.traffic, load);
    });
    ServingOptions run;
    run.power = options_.power;
    const ServingReport report = run_serving(scenario, run);
    const CurveSample s = sample_of(report);
    if (report.state == LoadState::overloaded) return {s, 'q'};
    if (report.all.slo_attainment() >= options_.attainment) return {s, 0};
    // Of the limits, that which is missed by most.
    const ServiceLevel level = scenario.serving->levels.front();
    const double ttft = s.ttft_p90 / level.ttft.value(), tpot = s.tpot_p90 / level.tpot.value();
    return {s, ttft >= tpot ? 't' : tpot >= 1 ? 'p' : 'e'};
  }

  const Scenario& scenario_;
  const ServingPlanOptions& options_;
  CurveSample last_;
};

}  // namespace

Capacity capacity_of_unit(const Scenario& scenario, const ServingPlanOptions& options) {
  return UnitTrial(scenario, options).run();
}

std::string_view limit_text(char limit) {
  switch (limit) {
    case 't':
      return "TTFT";
    case 'p':
      return "TPOT";
    case 'e':
      return "end to end";
    case 'q':
      return "queues";
    default:
      return "";
  }
}

}  // namespace flopcast
