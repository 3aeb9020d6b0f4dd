#include "workloads/serving/session/pool_router.h"

#include <algorithm>
#include <cassert>

namespace flopcast {

PoolRouter::PoolRouter(const PoolConfig& config, std::uint64_t seed)
    : views_(static_cast<std::size_t>(config.replicas)) {
  const RouterRow* row = config.own_router ? config.own_router.get() : find_router(config.router);
  assert(row);
  router_ = row->make(seed);
  sees_prefix_ = row->sees_prefix_match;
  sees_kv_ = row->sees_kv;
}

std::size_t PoolRouter::choose(const Request& request, std::span<const FleetUnit> units, Ticks now) {
  bool open = false;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const FleetUnit& unit = units[i];
    ReplicaView& view = views_[i];
    view.accepting = unit.state == UnitState::up && !unit.replica->queue_full();
    open = open || view.accepting;
    view.outstanding = unit.replica->load().outstanding + unit.coming;
    view.queued_tokens = unit.replica->load().queued_tokens;
    view.kv_capacity_tokens = kv_capacity_tokens(*unit.replica);
    if (sees_kv_) view.kv_tokens = unit.replica->kv_tokens(now);
    if (sees_prefix_) view.prefix_match_tokens = match(*unit.replica, request);
  }
  // Draining replicas help out where nobody else is left.
  for (std::size_t i = 0; i < units.size() && !open; ++i)
    views_[i].accepting = units[i].state == UnitState::draining && !units[i].replica->queue_full();
  open = std::any_of(views_.begin(), views_.end(), [](const ReplicaView& view) { return view.accepting; });
  return open ? router_->choose(request, views_) : kNoReplica;
}

}  // namespace flopcast
