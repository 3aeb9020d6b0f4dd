// What a session has counted: plain values.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/cache/kv_counters.h"
#include "workloads/serving/config/replica_role.h"
#include "workloads/serving/metrics/backlog.h"
#include "workloads/serving/metrics/gap_histogram.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/metrics/time_series.h"
#include "workloads/serving/replica/group/counters.h"

namespace flopcast {

struct PoolTotals {
  std::string name;
  ReplicaRole role = ReplicaRole::unified;
  int replicas = 0;
  int gpus = 0;  ///< of one replica
  ReplicaCounters counters;
  KvCounters kv;
  TimeSeries kv_share, running, waiting, up;
  TimeSeries busy;  ///< share of the time of replicas that are up, in iterations
  double mean_kv_share = 0, mean_replicas = 0;
  std::int64_t kv_capacity_tokens = 0;
  std::int64_t pages_in_use = 0;                ///< at the end: 0 when nothing leaked
  Seconds up_time;                              ///< summed over replicas, starting ones included
  Seconds starting_time;                        ///< of that, until they took requests
  Seconds broken_time;                          ///< failed or restarting, until they are back
  Seconds standby_time;                         ///< given back by autoscaling, but paid for (AutoscaleConfig::standby)
  std::int64_t scaled_up = 0, scaled_down = 0;  ///< replicas that autoscaling started, and gave back
  Seconds idle_time() const { return broken_time + standby_time; }
  Seconds paid_time() const { return up_time + idle_time(); }
};

/// Tokens handled up to a moment, those of requests on replicas that then failed left out.
struct TokenSnapshot {
  Seconds at;
  std::int64_t prompts = 0;  ///< tokens of prompts that gave their first token, cached ones included
  std::int64_t answers = 0;
};

struct SessionTotals {
  ServingMetrics metrics{std::vector<ServiceLevel>{}};
  GapHistogram gaps;
  BacklogCurve backlog;
  std::vector<PoolTotals> pools;
  TokenSnapshot steady_begin, steady_end;  ///< between warm-up and the last arrival; equal where the run was too short
  Seconds begin, end;                      ///< first arrival, last event of a request
  Seconds counted_from, counted_to;        ///< what rates and costs are of: the same, or the window that was stated
  std::int64_t transfers = 0, contended_transfers = 0, failures = 0, retried = 0;
  std::int64_t retried_tokens = 0;  ///< of prompts, that had been computed when their replica failed
  Bytes transferred;
  Seconds transfer_time;  ///< sum over transfers
  /// Integral over time of the requests in the system, and sum of their times in it: the same number (Little's law).
  WideTicks in_system = 0, sojourns = 0;
  std::uint64_t events = 0;
  std::uint64_t too_long = 0;  ///< rejected because no replica could ever hold them
  bool cut = false;       ///< the session met the end of its clock, kLongestSession, with requests inside or to come
  std::int64_t live = 0;  ///< requests inside
  /// Of a request of each class, how many of its class came at the very moment, on average, itself included; those that
  /// came with the first of all left out. Users who march in step come together.
  std::vector<double> together;
  Seconds duration() const { return counted_to - counted_from; }
};

}  // namespace flopcast
