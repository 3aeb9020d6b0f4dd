// When GPUs of a deployment fail: independently of each other, at a constant rate.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/random.h"
#include "sim/base/state_archive.h"
#include "workloads/serving/base/clock.h"

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

/// A Poisson process over all GPUs.
class FailureProcess {
 public:
  /// @param gpus of each replica
  FailureProcess(const FailureConfig& config, std::vector<int> gpus);
  Ticks next() const { return next_; }              ///< never, where nothing fails
  std::size_t replica() const { return replica_; }  ///< the one that fails then
  void draw(Ticks now);                             ///< the one after
  void archive(StateArchive& state) { state(random_, next_, replica_); }

 private:
  std::vector<int> gpus_;
  double all_gpus_ = 0, per_second_ = 0;
  RandomStream random_;
  Ticks next_ = kNeverTick;
  std::size_t replica_ = 0;
};

}  // namespace flopcast
