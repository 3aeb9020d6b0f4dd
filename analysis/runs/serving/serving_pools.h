// Pools of a serving scenario on its cluster, priced.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "workloads/serving/experts/expert_pace.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {

/// Prices of iterations for several replays of one scenario that differ in traffic and in counts of replicas alone.
/// They do not depend on what was asked before, so a replay is the same with them and without. One thread at a time.
class KeptPrices {
 public:
  /// Gives a pool the prices that the pool of that number had before, and keeps its own where it had none.
  void share(std::size_t number, BuiltPool& pool);

 private:
  struct Kept {
    std::vector<double> levels;
    std::vector<ReplicaSpeed> speeds;
    std::vector<std::shared_ptr<IterationPricer>> pricers;
    std::vector<std::vector<std::shared_ptr<IterationPricer>>> slow;
  };
  std::map<std::size_t, Kept> pools_;
};

/// Those of the sample that is replayed, at its haste.
/// @param kept of replays before; may be null
std::vector<BuiltPool> build_pools(const Scenario& scenario, KeptPrices* kept = nullptr);

/// As stated; a named engine runs behind a real router, and places experts by their loads only where it has copies: by
/// what the same traffic gave before.
ExpertPaceConfig expert_pace_of(const ServingScenario& serving, const PoolSpec& spec);

/// Which kind of slow replica each of a fault's is, among those that were priced.
void find_slow_kinds(const ServingScenario& serving, const std::vector<BuiltPool>& pools, FailureConfig& failures);

}  // namespace flopcast
