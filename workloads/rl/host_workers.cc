#include "workloads/rl/host_workers.h"

#include <algorithm>
#include <cmath>

namespace flopcast {

HostWorkersSimulation::HostWorkersSimulation(const HostWorkers& pool, RandomStream random)
    : pool_(pool), random_(random) {
  for (int i = 0; i < pool_.workers; ++i) free_at_.push(0);
}

Seconds HostWorkersSimulation::work(Seconds start) {
  const bool hangs = random_.uniform() < pool_.hanging;
  Seconds time = pool_.time;
  if (pool_.variation > 0) {
    const double variance = std::log1p(pool_.variation * pool_.variation);
    time *= std::exp(std::sqrt(variance) * random_.normal() - variance / 2);
  }
  if (hangs || time > pool_.time_out) {
    time = pool_.time_out;
    ++timed_out_;
  }
  const double begun = std::max(start.value(), free_at_.top());
  free_at_.pop();
  free_at_.push(begun + time.value());
  busy_ += time;
  return Seconds(begun) + time;
}

}  // namespace flopcast
