#include "workloads/serving/session/failures.h"

#include <numeric>
#include <utility>

namespace flopcast {

FailureProcess::FailureProcess(const FailureConfig& config, std::vector<int> gpus)
    : gpus_(std::move(gpus)), all_gpus_(std::accumulate(gpus_.begin(), gpus_.end(), 0.0)), random_(config.seed, 17) {
  per_second_ = config.failures_per_gpu_hour / 3600 * all_gpus_;
  if (per_second_ > 0) draw(0);
}

void FailureProcess::draw(Ticks now) {
  next_ = now + to_ticks(Seconds(random_.exponential() / per_second_));
  double which = random_.uniform() * all_gpus_;
  for (replica_ = 0; replica_ + 1 < gpus_.size(); ++replica_) {
    which -= gpus_[replica_];
    if (which < 0) return;
  }
}

}  // namespace flopcast
