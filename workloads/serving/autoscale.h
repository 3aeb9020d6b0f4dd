// How many replicas of a pool its load asks for.
#pragma once
#include <span>
#include <vector>

#include "sim/base/fields.h"
#include "workloads/serving/replica/replica.h"

namespace flopcast {

/// Replicas follow the load of their pool. A new one takes `startup` to load its weights; a surplus one gets no further
/// requests and goes when it has answered those it has.
struct AutoscaleConfig {
  bool on = false;
  int minimum = 1;
  Seconds interval{60};  ///< between decisions
  Seconds startup{300};
  double target = 0.7;  ///< load of a replica that is wanted

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("on", &AutoscaleConfig::on, {.cause = "upkeep", .shown = "autoscale", .resolved = true});
    field("minimum", &AutoscaleConfig::minimum, {"upkeep"});
    field("interval", &AutoscaleConfig::interval, {"upkeep"});
    field("startup", &AutoscaleConfig::startup, {"upkeep"});
    field("target", &AutoscaleConfig::target, {"upkeep"});
  }
};

/// Judges a pool by what it did in the last interval, in replicas' worth of load:
///   prefill, encode tokens computed and tokens that wait, over what iterations that fill the token budget would have
///   in the same time. (How full
///                   iterations are says little: an engine that has less to do runs shorter ones, as often as it can.)
///   decode, unified the fullest of slots (requests), KV cache, and time per token over the one promised
/// The pool wants as many replicas as bring each to the target. All three grow less than in proportion to requests per
/// replica or in proportion, so that the next judgement does not turn back what this one did.
class PoolScaler {
 public:
  /// @param tpot the strictest promise; infinite: none
  PoolScaler(const AutoscaleConfig& config, std::size_t replicas, Seconds tpot)
      : config_(config), tpot_(tpot), before_(replicas), next_(config.on ? to_ticks(config.interval) : kNeverTick) {}
  Ticks next() const { return next_; }  ///< decision
  const AutoscaleConfig& config() const { return config_; }
  struct Unit {
    const Replica* replica;
    bool up;
  };
  /// Replicas wanted, between the minimum and all. To be called at next().
  int wanted(std::span<const Unit> units, Ticks now);

 private:
  double prompt_load(const Replica& replica, const ReplicaCounters& did) const;
  double answer_load(const Replica& replica, const ReplicaCounters& did, Ticks now) const;

  AutoscaleConfig config_;
  Seconds tpot_;
  std::vector<ReplicaCounters> before_;  // of each replica, at the last decision
  Ticks next_;
};

}  // namespace flopcast
