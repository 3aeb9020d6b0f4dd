// GPUs of their own for frozen models: replicas that read answers as they are finished, first come first served.
#pragma once
#include <algorithm>
#include <functional>
#include <queue>
#include <vector>

#include "sim/base/units.h"
#include "workloads/rl/trainer.h"

namespace flopcast {

/// What the pool takes. Micro-batches are those of TrainerPrices::shape.
struct FrozenReads {
  int replicas = 1;
  PassLine models;  ///< forward passes of all frozen models, one after the other
};

class FrozenPool {
 public:
  explicit FrozenPool(const FrozenReads& reads) : reads_(reads) {
    for (int i = 0; i < reads.replicas; ++i) free_at_.push(0);
  }
  /// An answer is finished, not before the last one. A replica that stood still fills its pipeline first; one that is
  /// at work goes on with this answer. @return when all models have read it.
  Seconds read(Seconds finished, double micro_batches) {
    const bool rested = free_at_.top() < finished.value();
    const Seconds time = micro_batches * reads_.models.per_micro_batch + (rested ? fill() : Seconds(0));
    const Seconds end = Seconds(std::max(finished.value(), free_at_.top())) + time;
    free_at_.pop();
    free_at_.push(end.value());
    busy_ += time;
    return end;
  }
  Seconds busy() const { return busy_; }  ///< summed over replicas

 private:
  Seconds fill() const { return std::max(Seconds(0), reads_.models.fixed); }
  FrozenReads reads_;
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at_;  // of the replicas, in seconds
  Seconds busy_;
};

}  // namespace flopcast
