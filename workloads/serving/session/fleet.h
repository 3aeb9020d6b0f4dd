// The replicas of all pools: which of them are up, start, drain or are away, and when something next happens on one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <vector>

#include "workloads/serving/replica/replica.h"
#include "workloads/serving/session/autoscale.h"
#include "workloads/serving/session/session_config.h"

namespace flopcast {

class RequestBooks;
struct PoolTotals;

enum class UnitState : std::uint8_t {
  up,
  starting,
  draining,  ///< answers what it has, and goes
  down,      ///< given back by autoscaling
  broken,    ///< failed, being repaired
};

/// A replica, and how it has spent its time.
struct FleetUnit {
  std::unique_ptr<Replica> replica;
  std::size_t pool = 0;
  UnitState state = UnitState::up;
  Ticks changes = kNeverTick;                         ///< a starting or failed one is up then
  Ticks since = 0;                                    ///< it has been up, broken or down
  Ticks up_time = 0, broken_time = 0, down_time = 0;  ///< before
  Ticks starts = 0;                                   ///< it has been starting since,
  Ticks starting_time = 0;                            ///< and has been before
  int slow = -1;                                      ///< kind of slow replica that it is
  Ticks next = kNeverTick;                            ///< its event in the queue
  std::int64_t coming = 0;                            ///< requests sent on to it, without a place there yet
  Ticks restarts = 0;                                 ///< 0, or what a restart takes once it is empty
  bool dirty = false;
  bool empty() const { return replica->load().outstanding + coming == 0; }
  void archive(StateArchive& state, std::span<IterationPricer* const> pricers);
};

struct FleetPool {
  PoolConfig config;
  PoolPricers pricers;
  std::unique_ptr<PoolScaler> scaler;
  std::size_t first = 0, size = 0;  ///< of the units
  Ticks next_pace = kNeverTick;     ///< the load of the experts drifts then
  std::size_t period = 0;           ///< of its pace
  std::int64_t scaled_up = 0, scaled_down = 0;
  void archive(StateArchive& state) { state(*scaler, next_pace, period, scaled_up, scaled_down); }
};

class ReplicaFleet {
 public:
  /// @param now the session's clock
  ReplicaFleet(const SessionConfig& config, std::vector<PoolPricers> pricers, JobTable& jobs, GapHistogram& gaps,
               ReplicaListener& listener, const RequestBooks& books, const Ticks& now);

  std::span<FleetPool> pools() { return pools_; }
  std::span<const FleetPool> pools() const { return pools_; }
  std::span<FleetUnit> units() { return units_; }
  std::span<const FleetUnit> units() const { return units_; }
  std::span<FleetUnit> of(const FleetPool& pool) { return units().subspan(pool.first, pool.size); }
  std::span<const FleetUnit> of(const FleetPool& pool) const { return units().subspan(pool.first, pool.size); }

  /// When the next replica has something to do; never: none has.
  Ticks next_event();
  /// When the next starting or failed replica is up, or before.
  Ticks next_change() const { return next_change_; }
  /// What replicas have to do now.
  void advance();
  /// Replicas to which something has happened are looked at again by wake().
  void touch(std::size_t unit);
  void wake();
  /// Its next event may be another one, and one that drains may be empty.
  void refresh(std::size_t unit);
  /// Those that are to be up by now.
  void bring_up();
  void set_state(FleetUnit& unit, UnitState state);
  /// It is up then.
  void change_at(FleetUnit& unit, Ticks when);
  /// The prices of its kind at the level of expert load that its pool has now, from its next iteration on.
  void price_anew(std::size_t unit);
  PoolTotals totals(const FleetPool& pool, Ticks end) const;
  void archive(StateArchive& state);

 private:
  struct Due {
    Ticks at;
    std::uint32_t unit;
    friend bool operator>(const Due& a, const Due& b) { return a.at != b.at ? a.at > b.at : a.unit > b.unit; }
  };
  IterationPricer& pricer_of(const FleetUnit& unit) const;
  /// Of a span, what lies behind the first arrival: a report begins there.
  Ticks counted_since(Ticks from, Ticks to) const;

  const RequestBooks& books_;
  const Ticks& now_;
  std::vector<FleetPool> pools_;
  std::vector<FleetUnit> units_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> queue_;
  std::vector<std::uint32_t> dirty_;
  Ticks next_change_ = kNeverTick;  // not after the first FleetUnit::changes
};

}  // namespace flopcast
