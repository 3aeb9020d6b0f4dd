// How many replicas of a pool its load asks for.
#pragma once
#include <array>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/fields.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/replica/replica.h"

namespace flopcast {

/// What the number of replicas follows.
enum class ScaleBy : std::uint8_t {
  load,      ///< what they do over the most they can
  queue,     ///< requests that wait
  slo,       ///< latencies over the strictest promised
  schedule,  ///< the time of the day
};
constexpr std::array<std::string_view, 4> enum_names(ScaleBy) { return {"load", "queue", "slo", "schedule"}; }

/// Replicas from a time of the day on.
struct ScaleStep {
  Seconds at;
  int replicas = 1;
};

/// Replicas follow the load of their pool. A new one takes `startup` to load its weights; a surplus one gets no further
/// requests and goes when it has answered those it has.
struct AutoscaleConfig {
  bool on = false;
  int minimum = 1;
  Seconds interval{60};  ///< between decisions
  Seconds startup{300};
  double target = 0.7;  ///< load of a replica that is wanted
  ScaleBy by = ScaleBy::load;
  double queue = 4;  ///< requests that wait, per replica: more ask for another
  Seconds hold{0};   ///< a replica goes only when it was not wanted for so long
  bool standby = false;
  std::vector<ScaleStep> steps{};  ///< in the order of time
  Seconds day{86400};              ///< after which the steps begin again
  std::string steps_text{};        ///< as the file has them

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("on", &AutoscaleConfig::on, {.cause = "upkeep", .shown = "autoscale", .resolved = true});
    field("minimum", &AutoscaleConfig::minimum, {"upkeep"});
    field("interval", &AutoscaleConfig::interval, {"upkeep"});
    field("startup", &AutoscaleConfig::startup, {"upkeep"});
    field("target", &AutoscaleConfig::target, {"upkeep"});
    field("by", &AutoscaleConfig::by, {"upkeep"});
    field("queue", &AutoscaleConfig::queue, {"upkeep"});
    field("hold", &AutoscaleConfig::hold, {"upkeep"});
    field("standby", &AutoscaleConfig::standby, {"upkeep"});
    field("step", &AutoscaleConfig::steps_text, {.cause = "upkeep", .shown = "steps", .resolved = true});
    field.aside(&AutoscaleConfig::steps, "step");
    field.aside(&AutoscaleConfig::day, "haste of the replay");
  }
};

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
