// How much longer the busiest GPU works on its experts than the average one, over time: loads that drift, copies of
// busy experts, placements renewed every so often.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

struct ExpertPaceConfig {
  double variation = 0;      ///< coefficient of variation of the experts' loads; 0: all alike
  Seconds drift_period{60};  ///< time between two draws of the loads
  double memory = 0.9;       ///< correlation of the loads from one period to the next
  Seconds rebalance_period{600};
  bool eplb = true;  ///< placed by DeepSeek's EPLB; else in order
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("variation", &ExpertPaceConfig::variation, {"expert-load"});
    field("drift_period", &ExpertPaceConfig::drift_period, {"expert-load"});
    field("memory", &ExpertPaceConfig::memory, {"expert-load"});
    field("rebalance_period", &ExpertPaceConfig::rebalance_period, {"expert-load"});
    field("placement", &ExpertPaceConfig::eplb, {.cause = "expert-load", .on = "eplb"});
    field("source", &ExpertPaceConfig::source, {kLabel});
  }
};

struct ExpertGroup {
  int experts = 0, redundant = 0;
  int groups = 1;  ///< of node-limited routing; 1 where placement is global
  int ranks = 1, ranks_per_node = 8;
  int experts_per_token = 1;
};

/// Load of the busiest rank over the mean, drift period by drift period, for one of `steps` in a row (they repeat
/// after). Logarithms of loads follow a first-order autoregression; placements come from the loads at the last
/// rebalancing.
std::vector<double> busiest_rank_loads(const ExpertPaceConfig& config, const ExpertGroup& group, int steps,
                                       std::uint64_t seed);

}  // namespace flopcast
