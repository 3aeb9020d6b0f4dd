// How many replicas of a pool its load asks for.
#pragma once
#include <deque>
#include <span>
#include <utility>
#include <vector>

#include "workloads/serving/config/autoscale_config.h"
#include "workloads/serving/metrics/service_level.h"
#include "workloads/serving/replica/group/replica_config.h"

namespace flopcast {

class Replica;

/// Judges a pool by what it did in the last interval.
///   load      in replicas' worth of load. prefill, encode: tokens computed and tokens that wait, over what iterations
///             that fill the token budget would have in the same time. (How full iterations are says little: an engine
///             that has less to do runs shorter ones, as often as it can.) decode, unified: the fullest of slots
///             (requests), KV cache, and time per token over the one promised. As many replicas as bring each to the
///             target; all grow less than in proportion to requests per replica or in proportion, so that the next
///             judgement does not turn back what this one did.
///   queue     requests that wait, per replica: in proportion to what is more than `queue`, one less where a quarter of
///             that waits
///   slo       the mean time to a first token, and per token, over the strictest promised: as load, but no more than
///   one
///             less at a time, and none within a tenth of the target (Kubernetes' horizontal pod autoscaler)
///   schedule  what is stated for the time of the day
/// At most twice as many in one step by queue and slo. With `hold`, the most that was wanted in that time.
class PoolScaler {
 public:
  /// @param promised the strictest promises; infinite: none
  PoolScaler(const AutoscaleConfig& config, std::size_t replicas, const ServiceLevel& promised)
      : config_(config),
        promised_(promised),
        before_(replicas),
        next_(!config.on                       ? kNeverTick
              : config.by == ScaleBy::schedule ? 0
                                               : to_ticks(config.interval)) {}
  Ticks next() const { return next_; }  ///< decision
  const AutoscaleConfig& config() const { return config_; }
  struct Unit {
    const Replica* replica;
    bool up;
  };
  /// Replicas wanted, between the minimum and all. @param working up or starting. @param coming requests on their way
  /// to the pool without a place there. To be called at next().
  int wanted(std::span<const Unit> units, int working, std::int64_t coming, Ticks now);
  void archive(StateArchive& state) { state(before_, next_, asked_); }

 private:
  double prompt_load(const Replica& replica, const ReplicaCounters& did) const;
  double answer_load(const Replica& replica, const ReplicaCounters& did, Ticks now) const;
  double lateness(const ReplicaCounters& did, const ReplicaConfig& config) const;
  double by_ratio(double ratio, int working, double shrinks_below) const;
  int scheduled(Ticks now) const;
  Ticks next_step(Ticks now) const;

  AutoscaleConfig config_;
  ServiceLevel promised_;
  std::vector<ReplicaCounters> before_;  // of each replica, at the last decision
  Ticks next_;
  std::deque<std::pair<Ticks, int>> asked_;  // within `hold`
};

}  // namespace flopcast
