// What a session replays beside its traffic.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "workloads/serving/cache/cache_pace.h"
#include "workloads/serving/config/class_rules.h"
#include "workloads/serving/config/failure_config.h"
#include "workloads/serving/metrics/service_level.h"
#include "workloads/serving/pools.h"

namespace flopcast {

struct SessionConfig {
  std::vector<PoolConfig> pools;  ///< requests enter the first
  std::vector<ServiceLevel> levels;
  FailureConfig failures;
  std::shared_ptr<const ClassRules> classes;  ///< null: all alike, without deadlines
  /// A prefill replica sends a cache in so many equal parts while the prompt is computed (layers); 1: after it.
  int send_in_parts = 1;
  CachePace cache_pace;
  /// Of time that its traffic was stated to take, from 0 on: what is counted per second, and paid for, is of all of it
  /// and of what runs on. 0: from the first arrival to the last answer.
  Seconds window;
  std::uint64_t most_requests = 0;  ///< the traffic ends with the last of so many, though the window is open; 0: any
  Seconds warm_up;                  ///< after the beginning: rates are taken from then on, to the last arrival
  std::uint64_t seed = 1;
};

}  // namespace flopcast
