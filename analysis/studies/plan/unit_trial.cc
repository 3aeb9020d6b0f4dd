#include "analysis/studies/plan/unit_trial.h"

#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "analysis/runs/serving/saturation.h"
#include "analysis/runs/serving/serving_pools.h"
#include "scenarios/resolve/change_work.h"
#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast {
namespace {

/// Loads are found to within this.
constexpr double kClose = 1.03;
constexpr double kLeastLoad = 1.0 / 4096, kMostLoad = 4096;
/// A unit that serves less than this share of what another serves is far behind it.
constexpr double kFarBehind = 2.0 / 3;
/// Requests under way, on the mean, of which hardly any meets another.
constexpr double kAlone = 0.05;

/// Replays one unit at one load after the other.
class UnitTrial {
 public:
  UnitTrial(const Scenario& scenario, const ServingPlanOptions& options, double worth)
      : scenario_(scenario),
        options_(options),
        worth_(worth),
        length_(scenario.serving->traffic),
        prices_(std::make_shared<KeptPrices>()) {}

  Capacity run() {
    Capacity found;
    const auto meets = [&](double load) {
      if (alone_) return false;
      const auto [sample, limit] = replay(load);
      (limit == 0 ? found.at_most : last_) = sample;
      if (limit != 0) found.limit = limit;
      return limit == 0;
    };
    const double low = doubled_load(meets, kLeastLoad, kMostLoad);
    found.roughly = low > 0 && low < kMostLoad && 2 * found.at_most.requests_per_s < kFarBehind * worth_;
    if (low > 0 && low < kMostLoad && !found.roughly) bisect_load(meets, low, kClose);
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

  Replayed replay(double load) {
    Scenario scenario = scenario_;
    change_serving(scenario, [&](ServingScenario& serving) {
      if (options_.promise) serving.levels.assign(serving.levels.size(), *options_.promise);
      if (load != 1) serving.traffic = times_as_much(serving.traffic, load);
      length_.cut(serving, load);
    });
    ServingOptions run;
    run.power = options_.power;
    run.prices = prices_;
    const ServingReport report = run_serving(scenario, run);
    length_.replayed(report, load);
    alone_ = report.state != LoadState::overloaded && report.all.slo_attainment() < options_.attainment &&
             report.arrivals_per_s() * report.all.end_to_end.mean() < kAlone;
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
  double worth_;
  ReplayLength length_;
  std::shared_ptr<KeptPrices> prices_;
  bool alone_ = false;  // a request that has the unit to itself is too slow: less traffic changes nothing
  CurveSample last_;
};

}  // namespace

Capacity capacity_of_unit(const Scenario& scenario, const ServingPlanOptions& options, double worth) {
  return UnitTrial(scenario, options, worth).run();
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
