// Workers that look at finished answers or run tools, first come first served, none for longer than the time-out.
#pragma once
#include <functional>
#include <queue>
#include <vector>

#include "sim/base/random.h"
#include "workloads/rl/rl.h"

namespace flopcast {

class HostWorkersSimulation {
 public:
  HostWorkersSimulation(const HostWorkers& pool, RandomStream random);
  /// Takes a piece of work that comes at `start`, not before the last one. @return when it is done.
  Seconds work(Seconds start);
  Seconds busy() const { return busy_; }  ///< summed over workers
  std::int64_t timed_out() const { return timed_out_; }

 private:
  HostWorkers pool_;
  RandomStream random_;
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at_;  // of the workers, in seconds
  Seconds busy_;
  std::int64_t timed_out_ = 0;
};

}  // namespace flopcast
