// What is looked at every so often while a session runs: curves over time, and the span in which its load is steady.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/serving/session/books.h"
#include "workloads/serving/session/fleet.h"

namespace flopcast {

class Sampler {
 public:
  /// @param window as SessionConfig::window: load is steady until its end; 0: until the last arrival
  Sampler(Seconds warm_up, Seconds window, std::size_t pools);
  Ticks next() const { return next_; }
  void sample(const ReplicaFleet& fleet, const RequestBooks& books, Ticks now);
  /// @pre totals.pools has all pools, in their order
  void add_to(SessionTotals& totals, const ReplicaFleet& fleet, const RequestBooks& books, Ticks now) const;
  void archive(StateArchive& state) {
    state(pools_, period_, next_, sampled_seconds_, steady_begin_, steady_end_, requests_, backlog_);
  }

 private:
  struct PoolCurves {
    TimeSeries kv_share, running, waiting, up, busy;
    WideTicks busy_sampled = 0;           ///< of all its units, at the last sample
    double sum_kv_share = 0, sum_up = 0;  ///< over samples, weighted by their period in seconds
    void archive(StateArchive& state) {
      state(kv_share, running, waiting, up, busy, busy_sampled, sum_kv_share, sum_up);
    }
  };
  /// @return requests that wait
  double sample_pool(PoolCurves& curves, std::span<const FleetUnit> units, Seconds begin, Seconds end, Ticks now);

  Ticks warm_up_, window_;
  std::vector<PoolCurves> pools_;
  Ticks period_, next_;
  double sampled_seconds_ = 0;
  TokenSnapshot steady_begin_, steady_end_;
  std::uint64_t requests_ = 0;  // at the last sample
  BacklogCurve backlog_;
};

}  // namespace flopcast
