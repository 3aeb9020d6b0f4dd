// When GPUs of a deployment fail: independently of each other, at a constant rate.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/base/random.h"
#include "sim/base/state_archive.h"
#include "workloads/serving/base/clock.h"
#include "workloads/serving/config/failure_config.h"

namespace flopcast {

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
