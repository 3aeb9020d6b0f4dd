#include "workloads/serving/session/fleet.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "workloads/serving/session/books.h"
#include "workloads/serving/session/totals.h"

namespace flopcast {
namespace {

ServiceLevel strictest(const std::vector<ServiceLevel>& levels) {
  ServiceLevel all;
  for (const ServiceLevel& level : levels) {
    all.ttft = std::min(all.ttft, level.ttft);
    all.tpot = std::min(all.tpot, level.tpot);
  }
  return all;
}

}  // namespace

void FleetUnit::archive(StateArchive& archive, std::span<IterationPricer* const> pricers) {
  replica->archive(archive, pricers);
  archive(state, changes, since, up_time, broken_time, down_time, starts, starting_time, slow, next, coming, restarts);
}

ReplicaFleet::ReplicaFleet(const SessionConfig& config, std::vector<PoolPricers> pricers, JobTable& jobs,
                           GapHistogram& gaps, ReplicaListener& listener, const RequestBooks& books, const Ticks& now)
    : books_(books), now_(now) {
  assert(pricers.size() == config.pools.size());
  for (std::size_t p = 0; p < config.pools.size(); ++p) {
    FleetPool pool{.config = config.pools[p], .pricers = std::move(pricers[p]), .scaler = nullptr};
    pool.config.replica.classes = config.classes;
    if (pool.config.pace.size() > 1) pool.next_pace = to_ticks(pool.config.pace_period);
    pool.first = units_.size();
    pool.size = static_cast<std::size_t>(pool.config.replicas);
    pool.scaler = std::make_unique<PoolScaler>(pool.config.autoscale, pool.size, strictest(config.levels));
    pools_.push_back(std::move(pool));
    for (std::size_t i = 0; i < pools_[p].size; ++i) {
      FleetUnit unit;
      unit.pool = p;
      if (i < pools_[p].config.slow.size()) unit.slow = pools_[p].config.slow[i];
      unit.replica = std::make_unique<Replica>(static_cast<std::uint32_t>(units_.size()), pools_[p].config.replica,
                                               pricer_of(unit), jobs, gaps, listener);
      units_.push_back(std::move(unit));
    }
  }
}

IterationPricer& ReplicaFleet::pricer_of(const FleetUnit& unit) const {
  const FleetPool& pool = pools_[unit.pool];
  const std::vector<IterationPricer*>& levels =
      unit.slow < 0 ? pool.pricers.levels : pool.pricers.slow.at(static_cast<std::size_t>(unit.slow));
  const std::vector<std::size_t>& pace = pool.config.pace;
  return *levels.at(pace.empty() ? 0 : pace[pool.period % pace.size()]);
}

void ReplicaFleet::price_anew(std::size_t unit) {
  units_[unit].replica->set_pricer(pricer_of(units_[unit]), now_);
  touch(unit);
}

// ------------------------------------------------------------------------------------------------- events

Ticks ReplicaFleet::next_event() {
  while (!queue_.empty() && units_[queue_.top().unit].next != queue_.top().at) queue_.pop();
  return queue_.empty() ? kNeverTick : queue_.top().at;
}

void ReplicaFleet::advance() {
  while (!queue_.empty() && queue_.top().at <= now_) {
    const Due due = queue_.top();
    queue_.pop();
    FleetUnit& unit = units_[due.unit];
    if (unit.next != due.at) continue;
    unit.next = kNeverTick;
    unit.replica->advance(now_);
    refresh(due.unit);
  }
}

void ReplicaFleet::touch(std::size_t unit) {
  if (units_[unit].dirty) return;
  units_[unit].dirty = true;
  dirty_.push_back(static_cast<std::uint32_t>(unit));
}

void ReplicaFleet::wake() {
  // Waking a replica may place caches and so touch no other; the list is in the order of what happened.
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    FleetUnit& unit = units_[dirty_[i]];
    unit.dirty = false;
    unit.replica->wake(now_);
    refresh(dirty_[i]);
  }
  dirty_.clear();
}

void ReplicaFleet::refresh(std::size_t index) {
  FleetUnit& unit = units_[index];
  if (unit.state == UnitState::draining && unit.empty()) {
    if (unit.restarts > 0) {
      set_state(unit, UnitState::broken);
      change_at(unit, now_ + std::exchange(unit.restarts, Ticks{0}));
    } else {
      set_state(unit, UnitState::down);
    }
  }
  const Ticks next = unit.replica->next_event();
  if (next == unit.next) return;
  unit.next = next;
  if (next != kNeverTick) queue_.push({next, static_cast<std::uint32_t>(index)});
}

// ------------------------------------------------------------------------------------------------- states

Ticks ReplicaFleet::counted_since(Ticks from, Ticks to) const {
  return books_.counted_from() < 0 ? 0 : std::max<Ticks>(0, to - std::max(from, books_.counted_from()));
}

void ReplicaFleet::set_state(FleetUnit& unit, UnitState state) {
  // One that is broken or starting is paid for; one that autoscaling has given back is not.
  const auto span = [&unit](UnitState s) -> Ticks* {
    return s == UnitState::broken ? &unit.broken_time : s == UnitState::down ? &unit.down_time : &unit.up_time;
  };
  if (span(unit.state) != span(state)) {
    *span(unit.state) += counted_since(unit.since, now_);
    unit.since = now_;
  }
  if (unit.state == UnitState::starting && state != UnitState::starting)
    unit.starting_time += counted_since(unit.starts, now_);
  if (state == UnitState::starting && unit.state != UnitState::starting) unit.starts = now_;
  unit.state = state;
}

void ReplicaFleet::change_at(FleetUnit& unit, Ticks when) {
  unit.changes = when;
  next_change_ = std::min(next_change_, when);
}

void ReplicaFleet::bring_up() {
  if (next_change_ > now_) return;
  next_change_ = kNeverTick;
  for (FleetUnit& unit : units_) {
    if (unit.changes <= now_) {
      unit.changes = kNeverTick;
      set_state(unit, UnitState::up);
    }
    next_change_ = std::min(next_change_, unit.changes);
  }
}

// ------------------------------------------------------------------------------------------------- results

PoolTotals ReplicaFleet::totals(const FleetPool& pool, Ticks end) const {
  PoolTotals totals;
  totals.name = pool.config.name;
  totals.role = pool.config.replica.role;
  totals.replicas = pool.config.replicas;
  totals.gpus = pool.config.plan.gpus();
  totals.scaled_up = pool.scaled_up;
  totals.scaled_down = pool.scaled_down;
  for (const FleetUnit& unit : of(pool)) {
    totals.counters += unit.replica->counters();
    totals.kv += kv_counters(*unit.replica);
    totals.pages_in_use += pages_in_use(*unit.replica);
    totals.kv_capacity_tokens += kv_capacity_tokens(*unit.replica);
    const Ticks since = counted_since(unit.since, end);
    const bool broken = unit.state == UnitState::broken, up = !broken && unit.state != UnitState::down;
    // One that comes back between the last request and the end is up from then on.
    const Ticks back = std::min(end, unit.changes);
    const Ticks repaired = broken ? counted_since(std::max(unit.since, back), end) : 0;
    totals.up_time += to_seconds(unit.up_time + (up ? since : repaired));
    totals.broken_time += to_seconds(unit.broken_time + (broken ? since - repaired : 0));
    const bool starting = unit.state == UnitState::starting;
    totals.starting_time += to_seconds(unit.starting_time + (starting ? counted_since(unit.starts, back) : 0));
    if (pool.config.autoscale.standby)
      totals.standby_time += to_seconds(unit.down_time + (unit.state == UnitState::down ? since : 0));
  }
  return totals;
}

void ReplicaFleet::archive(StateArchive& state) {
  assert(dirty_.empty());
  std::vector<IterationPricer*> pricers;
  for (const FleetPool& pool : pools_) {
    pricers.insert(pricers.end(), pool.pricers.levels.begin(), pool.pricers.levels.end());
    for (const auto& slow : pool.pricers.slow) pricers.insert(pricers.end(), slow.begin(), slow.end());
  }
  for (FleetPool& pool : pools_) pool.archive(state);
  for (FleetUnit& unit : units_) unit.archive(state, pricers);
  state(queue_, next_change_);
}

}  // namespace flopcast
