// What changes of a pool as a whole while a session runs: how many replicas it has, and how its experts are loaded.
#pragma once
#include "workloads/serving/session/fleet.h"

namespace flopcast {

/// As many replicas work as the pool's load asks for (autoscale.h). Surplus ones are drained from the last on; those
/// that are draining are the first to be wanted again.
void autoscale(ReplicaFleet& fleet, FleetPool& pool, Ticks now);

/// The load of the experts has drifted: the next level of PoolConfig::pace.
void drift_expert_load(ReplicaFleet& fleet, FleetPool& pool);

/// What those replicas of a pool that have more than their share have above it, the youngest first, where another one
/// has nothing to do.
std::vector<JobId> above_their_share(ReplicaFleet& fleet, const FleetPool& pool, Ticks now);

}  // namespace flopcast
