// The most requests per second that a deployment stands for long.
#pragma once
#include <functional>
#include <string>

#include "analysis/runs/serving/serving_run.h"

namespace flopcast {

/// The same traffic, `factor` times as much of it: over the same time at least.
TrafficConfig times_as_much(TrafficConfig traffic, double factor);

/// Cuts replays of a scenario at other loads to as many requests as tell what a load does: as many as the scenario
/// itself has, 50,000, or several times as many as are under way at once. Without it a load of a hundred times the
/// traffic has a hundred times the requests.
class ReplayLength {
 public:
  explicit ReplayLength(const TrafficConfig& own);
  /// @pre the traffic is that of `load`
  void cut(ServingScenario& serving, double load) const;
  void replayed(const ServingReport& report, double load);

 private:
  double own_ = 0;               // requests
  double at_once_per_load_ = 0;  // under way, by the last load that was stood
};

/// The most load that is good, by doubling from 1 up to `most` or halving down to `least`: twice as much is not good,
/// or was not asked. 0: none is. @param good is asked of loads, as multiples of the traffic.
double doubled_load(const std::function<bool(double load)>& good, double least, double most);
/// Goes on from there to within a factor of `close`.
void bisect_load(const std::function<bool(double load)>& good, double low, double close);

struct SaturationPoint {
  double rate = 0;   ///< requests per second; 0: none was found
  double load = 0;   ///< as a multiple of the traffic
  std::string note;  ///< why none was found
};

/// A replay at a load: does the deployment stand it, and how many requests came per second?
struct LoadTrial {
  LoadState state = LoadState::stable;
  double requests_per_s = 0;
};

/// Bisection between a load that is stood and one 5 % above it, at most, at which queues grow to the end.
SaturationPoint find_saturation(const std::function<LoadTrial(double load)>& replay);

/// Users that wait for their answers never ask more than a deployment stands.
bool waits_for_answers(const TrafficConfig& traffic);

}  // namespace flopcast
