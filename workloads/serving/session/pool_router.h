// Which replica of a pool gets a request, by the router of the pool.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "workloads/serving/router.h"
#include "workloads/serving/session/fleet.h"

namespace flopcast {

class PoolRouter {
 public:
  PoolRouter(const PoolConfig& config, std::uint64_t seed);
  /// Number within the pool; kNoReplica: queues are full, or everything is down.
  std::size_t choose(const Request& request, std::span<const FleetUnit> units, Ticks now);
  /// What a router sees of replicas is filled in at every choice, but for their size. False: the router cannot be kept.
  bool archive(StateArchive& state) { return router_->archive(state); }

 private:
  std::unique_ptr<Router> router_;
  bool sees_prefix_, sees_kv_;
  std::int64_t most_waiting_;       // in the queue of a replica
  std::vector<ReplicaView> views_;  // none before the first choice
};

}  // namespace flopcast
