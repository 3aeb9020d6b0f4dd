#include "workloads/serving/session/scaling.h"

namespace flopcast {

void autoscale(ReplicaFleet& fleet, FleetPool& pool, Ticks now) {
  const std::span<FleetUnit> units = fleet.of(pool);
  std::vector<PoolScaler::Unit> seen;
  int working = 0;
  std::int64_t coming = 0;
  for (const FleetUnit& unit : units) {
    seen.push_back({unit.replica.get(), unit.state == UnitState::up});
    working += unit.state == UnitState::up || unit.state == UnitState::starting;
    coming += unit.coming;
  }
  const int wanted = pool.scaler->wanted(seen, working, coming, now);
  for (const UnitState from : {UnitState::draining, UnitState::down}) {
    for (std::size_t i = 0; i < units.size() && working < wanted; ++i) {
      FleetUnit& unit = units[i];
      if (unit.state != from || unit.changes != kNeverTick || unit.restarts > 0) continue;
      if (from == UnitState::down) fleet.change_at(unit, now + to_ticks(pool.scaler->config().startup));
      fleet.set_state(unit, from == UnitState::down ? UnitState::starting : UnitState::up);
      if (now > Ticks(0)) ++pool.scaled_up;  // what a schedule begins with is no change
      ++working;
    }
  }
  // Those that are not up yet go first, so that never all of what works is still starting.
  for (const UnitState from : {UnitState::starting, UnitState::up}) {
    for (std::size_t i = units.size(); i-- > 0 && working > wanted;) {
      FleetUnit& unit = units[i];
      if (unit.state != from) continue;
      unit.changes = kNeverTick;
      fleet.set_state(unit, unit.empty() ? UnitState::down : UnitState::draining);
      if (now > Ticks(0)) ++pool.scaled_down;
      --working;
    }
  }
}

void drift_expert_load(ReplicaFleet& fleet, FleetPool& pool) {
  const std::vector<std::size_t>& pace = pool.config.pace;
  const std::size_t before = pace[pool.period % pace.size()], now = pace[++pool.period % pace.size()];
  pool.next_pace += to_ticks(pool.config.pace_period);
  if (now == before) return;
  for (std::size_t i = pool.first; i < pool.first + pool.size; ++i) fleet.price_anew(i);
}

std::vector<JobId> above_their_share(ReplicaFleet& fleet, const FleetPool& pool, Ticks now) {
  std::int64_t left = 0, up = 0;
  bool idle = false;
  for (const FleetUnit& unit : fleet.of(pool)) {
    if (unit.state != UnitState::up) continue;
    ++up;
    left += unit.replica->load().outstanding;
    idle = idle || unit.replica->load().outstanding == 0;
  }
  if (!idle || left == 0) return {};
  const std::int64_t share = (left + up - 1) / up;
  std::vector<JobId> all;
  for (std::size_t i = pool.first; i < pool.first + pool.size; ++i) {
    const FleetUnit& unit = fleet.units()[i];
    const std::int64_t above = unit.replica->load().outstanding - share;
    if (unit.state != UnitState::up || above <= 0) continue;
    for (const JobId job : unit.replica->give_away(static_cast<std::size_t>(above), now)) all.push_back(job);
    fleet.touch(i);
  }
  return all;
}

}  // namespace flopcast
