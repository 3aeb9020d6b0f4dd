#include "workloads/serving/session/fault_plan.h"

#include <algorithm>
#include <utility>

namespace flopcast {
namespace {

std::vector<int> gpus_of_units(const std::vector<PoolConfig>& pools) {
  std::vector<int> gpus;
  for (const PoolConfig& pool : pools)
    gpus.insert(gpus.end(), static_cast<std::size_t>(pool.replicas), pool.plan.gpus());
  return gpus;
}

/// Requests that wait for a place in the next pool, their cache being on a replica that has failed.
void withdraw_waiting(ReplicaFleet& fleet, std::size_t source, std::vector<JobId>& homeless) {
  const std::optional<std::size_t> next = fleet.pools()[fleet.units()[source].pool].config.next;
  if (!next) return;
  const FleetPool& pool = fleet.pools()[*next];
  for (std::size_t i = pool.first; i < pool.first + pool.size; ++i) {
    for (const JobId id : fleet.units()[i].replica->withdraw(static_cast<std::uint32_t>(source)))
      homeless.push_back(id);
    fleet.touch(i);
  }
}

}  // namespace

FaultPlan::FaultPlan(const SessionConfig& config, ReplicaFleet& fleet, RequestFlow& flow, const Ticks& now)
    : config_(config.failures),
      fleet_(fleet),
      flow_(flow),
      now_(now),
      failing_(config.failures, gpus_of_units(config.pools)) {}

Ticks FaultPlan::next_stated() const {
  Ticks next = next_stated_ < config_.stated.size() ? to_ticks(config_.stated[next_stated_].at) : kNeverTick;
  for (const Restart& restart : restarts_) next = std::min(next, restart.at);
  for (const Recovery& recovery : recoveries_) next = std::min(next, recovery.at);
  return next;
}

Ticks FaultPlan::next() const { return std::min(failing_.next(), next_stated()); }

void FaultPlan::strike() {
  if (failing_.next() <= now_) {
    std::vector<JobId> homeless;
    take_down(failing_.replica(), config_.repair, homeless);
    flow_.recover(std::move(homeless));
    failing_.draw(now_);
  }
  if (next_stated() > now_) return;
  begin_stated();
  end_slow();
  go_on_restarting();
}

/// What was stated to stop now, or to go on slowly.
void FaultPlan::begin_stated() {
  // What fails at one moment is all away before the first request is routed again.
  std::vector<JobId> homeless;
  for (; next_stated_ < config_.stated.size() && to_ticks(config_.stated[next_stated_].at) <= now_; ++next_stated_) {
    const StatedFault& fault = config_.stated[next_stated_];
    if (fault.one_by_one) {
      restarts_.push_back({now_, next_stated_, 0});
      continue;
    }
    for (std::size_t i = 0; i < fault.replicas.size(); ++i) {
      const std::size_t unit = fault.replicas[i];
      if (fault.slow.empty()) {
        take_down(unit, fault.repair, homeless);
        continue;
      }
      recoveries_.push_back({now_ + to_ticks(fault.repair), unit, fleet_.units()[unit].slow});
      slow_down(unit, fault.slow[i]);
    }
  }
  flow_.recover(std::move(homeless));
}

void FaultPlan::end_slow() {
  for (const Recovery& recovery : recoveries_)
    if (recovery.at <= now_) slow_down(recovery.unit, recovery.slow);
  std::erase_if(recoveries_, [this](const Recovery& recovery) { return recovery.at <= now_; });
}

/// Rolling restarts go on to their next replica when the one before is back.
void FaultPlan::go_on_restarting() {
  for (Restart& rolling : restarts_) {
    if (rolling.at > now_) continue;
    const StatedFault& fault = config_.stated[rolling.fault];
    if (rolling.next > 0) {
      const FleetUnit& before = fleet_.units()[fault.replicas[rolling.next - 1]];
      const bool back = before.restarts == 0 && before.state != UnitState::broken;
      if (!back) {
        // It still answers, or starts: look again when it can be back.
        rolling.at = before.state == UnitState::broken ? before.changes : now_ + to_ticks(Seconds(1));
        continue;
      }
    }
    if (rolling.next == fault.replicas.size()) {
      rolling.at = kNeverTick;
      continue;
    }
    restart(fault.replicas[rolling.next++], fault.repair);
    rolling.at = now_ + to_ticks(fault.repair);
  }
  std::erase_if(restarts_, [](const Restart& rolling) { return rolling.at == kNeverTick; });
}

/// @param kind of slow replica; -1: its speed is as a data sheet has it
void FaultPlan::slow_down(std::size_t unit, int kind) {
  fleet_.units()[unit].slow = kind;
  fleet_.price_anew(unit);
}

/// Gets no further requests, answers those it has, and is then away for as long as a start takes.
void FaultPlan::restart(std::size_t index, Seconds repair) {
  FleetUnit& unit = fleet_.units()[index];
  if (unit.state != UnitState::up) return;
  unit.restarts = std::max<Ticks>(1, to_ticks(repair));
  fleet_.set_state(unit, UnitState::draining);
  fleet_.refresh(index);
}

/// @param homeless gains the requests that the replica had, to be routed again.
void FaultPlan::take_down(std::size_t index, Seconds repair, std::vector<JobId>& homeless) {
  FleetUnit& unit = fleet_.units()[index];
  if (unit.state != UnitState::up && unit.state != UnitState::draining) return;
  ++failures_;
  unit.restarts = 0;
  fleet_.set_state(unit, UnitState::broken);
  fleet_.change_at(unit, now_ + to_ticks(repair));
  flow_.transfers().cancel(index, homeless);
  withdraw_waiting(fleet_, index, homeless);
  for (const JobId id : unit.replica->abandon(now_)) {
    flow_.transfers().drop_source(id);
    homeless.push_back(id);
  }
  fleet_.refresh(index);
}

}  // namespace flopcast
