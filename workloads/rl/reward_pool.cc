#include "workloads/rl/reward_pool.h"

#include <algorithm>
#include <cmath>

namespace flopcast {

RewardPool::RewardPool(const RewardConfig& config, std::uint64_t seed) : config_(config), random_(seed, 0x726c04) {
  all_free();
}

RewardPool::RewardPool(const ToolConfig& config, std::uint64_t seed) : random_(seed, 0x726c06) {
  config_.time = config.time;
  config_.variation = config.variation;
  config_.workers = config.workers;
  config_.time_out = config.time_out;
  config_.hanging = config.hanging;
  all_free();
}

void RewardPool::all_free() {
  for (int i = 0; i < config_.workers; ++i) free_at_.push(0);
}

Seconds RewardPool::score(Seconds finished) {
  const bool hangs = random_.uniform() < config_.hanging;
  Seconds time = config_.time;
  if (config_.variation > 0) {
    const double variance = std::log1p(config_.variation * config_.variation);
    time *= std::exp(std::sqrt(variance) * random_.normal() - variance / 2);
  }
  if (hangs || time > config_.time_out) {
    time = config_.time_out;
    ++timed_out_;
  }
  const double start = std::max(finished.value(), free_at_.top());
  free_at_.pop();
  free_at_.push(start + time.value());
  busy_ += time;
  return Seconds(start) + time;
}

}  // namespace flopcast
