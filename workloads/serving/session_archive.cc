// The state of a session, written and read back.
#include <cassert>

#include "workloads/serving/session.h"

namespace flopcast {

void ServingSession::Unit::archive(StateArchive& archive, std::span<IterationPricer* const> pricers) {
  replica->archive(archive, pricers);
  archive(state, changes, since, up_time, broken_time, down_time, starts, starting_time, slow, next, coming, restarts);
}

/// What a router sees of replicas is filled in at every choice.
bool ServingSession::Pool::archive(StateArchive& state) {
  if (!router->archive(state)) return false;
  state(*scaler, next_pace, period, scaled_up, scaled_down, kv_share, running, waiting, up, busy);
  state(busy_sampled, sum_kv_share, sum_up);
  return true;
}

bool ServingSession::archive(StateArchive& state) {
  assert(dirty_.empty());
  bool sourced = source_ != nullptr;
  state(sourced);
  if (!sourced) source_ = nullptr;
  if (source_ && !source_->archive(state)) return false;
  std::vector<IterationPricer*> pricers;
  for (const Pool& pool : pools_) {
    pricers.insert(pricers.end(), pool.levels.begin(), pool.levels.end());
    for (const auto& slow : pool.slow) pricers.insert(pricers.end(), slow.begin(), slow.end());
  }
  if (moves_) state(*moves_);
  state(jobs_, gaps_, metrics_);
  for (Pool& pool : pools_)
    if (!pool.archive(state)) return false;
  for (Unit& unit : units_) unit.archive(state, pricers);
  state(queue_, incoming_, company_, sample_period_, now_, first_arrival_, last_event_, next_sample_, next_change_);
  state(failing_, next_stated_, restarts_, recoveries_, sampled_seconds_, steady_begin_, steady_end_, wasted_);
  state(requests_at_sample_, backlog_, live_, failures_, retried_, retried_tokens_, in_system_, sojourns_);
  state(events_, requests_, too_long_, cut_);
  return true;
}

}  // namespace flopcast
