// What is to fail of a deployment: GPUs at a rate, and what is stated to stop or to run slowly.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/units.h"

namespace flopcast {

/// Replicas that stop at a stated time.
struct StatedFault {
  Seconds at;
  std::vector<std::size_t> replicas;  ///< of all pools, numbered through
  bool one_by_one = false;  ///< a rolling restart: each stops when the one before is back, having answered what it has
  Seconds repair{600};
  std::optional<double> speed{};  ///< its GPUs go on at this share of their speed until `repair` is over: no stop
  std::vector<int> slow{};        ///< of each of the replicas, the kind of slow one (PoolPricers::slow) it is then
};

/// What happens when GPUs fail: the replica is down for a while, its requests start again elsewhere or are lost.
struct FailureConfig {
  double failures_per_gpu_hour = 0;
  Seconds repair{600};
  int retries = 3;  ///< of one request; 0: requests of a failed replica are lost
  std::uint64_t seed = 1;
  std::string source;
  std::vector<StatedFault> stated;  ///< in the order of time

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("failure_rate", &FailureConfig::failures_per_gpu_hour, {"upkeep"});
    field("repair", &FailureConfig::repair, {"upkeep"});
    field("retries", &FailureConfig::retries, {"upkeep"});
    field.aside(&FailureConfig::seed, "seed of the deployment");
    field.aside(&FailureConfig::stated, "fault");
    field("source", &FailureConfig::source, {kLabel});
  }
};

}  // namespace flopcast
