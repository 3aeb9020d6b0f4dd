#include "workloads/serving/session/pool_router.h"

#include <cassert>

namespace flopcast {

PoolRouter::PoolRouter(const PoolConfig& config, std::uint64_t seed)
    : most_waiting_(config.replica.scheduler.max_waiting) {
  const RouterRow* row = config.own_router ? config.own_router.get() : find_router(config.router);
  assert(row);
  router_ = row->make(seed);
  sees_prefix_ = row->sees_prefix_match;
  sees_kv_ = row->sees_kv;
}

std::size_t PoolRouter::choose(const Request& request, std::span<const FleetUnit> units, Ticks now) {
  if (views_.empty()) {
    views_.resize(units.size());
    for (std::size_t i = 0; i < units.size(); ++i) views_[i].kv_capacity_tokens = kv_capacity_tokens(*units[i].replica);
  }
  bool open = false;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const FleetUnit& unit = units[i];
    ReplicaView& view = views_[i];
    view.accepting = unit.state == UnitState::up && unit.replica->load().waiting < most_waiting_;
    open = open || view.accepting;
    view.outstanding = unit.replica->load().outstanding + unit.coming;
    view.queued_tokens = unit.replica->load().queued_tokens;
    if (sees_kv_) view.kv_tokens = unit.replica->kv_tokens(now);
    if (sees_prefix_) view.prefix_match_tokens = match(*unit.replica, request);
  }
  if (!open) {
    // Draining replicas help out where nobody else is left.
    for (std::size_t i = 0; i < units.size(); ++i) {
      views_[i].accepting = units[i].state == UnitState::draining && units[i].replica->load().waiting < most_waiting_;
      open = open || views_[i].accepting;
    }
  }
  return open ? router_->choose(request, views_) : kNoReplica;
}

}  // namespace flopcast
