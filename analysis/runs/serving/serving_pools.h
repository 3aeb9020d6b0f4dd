// Pools of a serving scenario on its cluster, priced.
#pragma once
#include <vector>

#include "scenarios/resolve/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "workloads/serving/experts/expert_pace.h"
#include "workloads/serving/pricing/deployment.h"

namespace flopcast {

/// Those of the sample that is replayed, at its haste.
std::vector<BuiltPool> build_pools(const Scenario& scenario);

/// As stated; a named engine runs behind a real router, and places experts by their loads only where it has copies: by
/// what the same traffic gave before.
ExpertPaceConfig expert_pace_of(const ServingScenario& serving, const PoolSpec& spec);

/// Which kind of slow replica each of a fault's is, among those that were priced.
void find_slow_kinds(const ServingScenario& serving, const std::vector<BuiltPool>& pools, FailureConfig& failures);

}  // namespace flopcast
