// What requests take along to the next pool: KV caches from prefill to decode, an encoder's output. Flows on the
// cluster's links (cache/cache_moves.h) between replicas.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "workloads/serving/cache/cache_moves.h"
#include "workloads/serving/session/fleet.h"

namespace flopcast {

struct SessionTotals;

class Transfers {
 public:
  /// @param topology may be null where no pool hands on. @param now the session's clock
  Transfers(const SessionConfig& config, ReplicaFleet& fleet, JobTable& jobs, Topology* topology, const Ticks& now);

  /// A pool hands on.
  bool any() const { return moves_ != nullptr; }
  Ticks next() { return moves_ ? moves_->next(now_) : kNeverTick; }
  /// What a replica has made of a job goes to that unit.
  void send(JobId job, std::size_t unit);
  /// Caches whose last byte is there.
  void land();
  /// Those on their way to or from a unit that has failed end; their jobs are added to `homeless`.
  void cancel(std::size_t unit, std::vector<JobId>& homeless);
  /// The cache of a job that was handed on is not wanted any more, if there is one.
  void drop_source(JobId job);
  void add_to(SessionTotals& totals) const;
  void archive(StateArchive& state) {
    if (moves_) state(*moves_);
  }

 private:
  const SessionConfig& config_;
  ReplicaFleet& fleet_;
  JobTable& jobs_;
  Topology* topology_;
  const Ticks& now_;
  std::unique_ptr<CacheMoves> moves_;  // none where no pool hands on
};

}  // namespace flopcast
