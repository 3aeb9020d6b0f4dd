// When rewards are there: workers that look at finished answers, first come first served, none for longer than the
// time-out.
#pragma once
#include <functional>
#include <queue>
#include <vector>

#include "sim/base/random.h"
#include "workloads/rl/rl.h"

namespace flopcast {

class RewardPool {
 public:
  RewardPool(const RewardConfig& config, std::uint64_t seed);
  /// Tools that are called while answers are written work alike, from random numbers of their own.
  RewardPool(const ToolConfig& config, std::uint64_t seed);
  /// An answer is finished, not before the last one. @return when its reward is known.
  Seconds score(Seconds finished);
  Seconds busy() const { return busy_; }  ///< summed over workers
  std::int64_t timed_out() const { return timed_out_; }

 private:
  void all_free();
  RewardConfig config_;
  RandomStream random_;
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at_;  // of the workers, in seconds
  Seconds busy_;
  std::int64_t timed_out_ = 0;
};

}  // namespace flopcast
