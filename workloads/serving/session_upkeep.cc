// What goes on beside requests: replicas that fail, restart, slow down, start and stop; drift of expert load; samples.
#include <algorithm>
#include <cassert>
#include <utility>

#include "workloads/serving/session.h"

namespace flopcast {
namespace {

/// The period doubles after this many samples: curves over time cost the same for a minute and
/// for a month.
constexpr int kSamplesPerPeriod = 4096;

}  // namespace

void ServingSession::set_state(Unit& unit, State state) {
  // One that is broken or starting is paid for; one that autoscaling has given back is not.
  const auto span = [&unit](State s) -> Ticks* {
    return s == State::broken ? &unit.broken_time : s == State::down ? &unit.down_time : &unit.up_time;
  };
  if (span(unit.state) != span(state)) {
    *span(unit.state) += counted_since(unit.since, now_);
    unit.since = now_;
  }
  if (unit.state == State::starting && state != State::starting) unit.starting_time += counted_since(unit.starts, now_);
  if (state == State::starting && unit.state != State::starting) unit.starts = now_;
  unit.state = state;
}

/// It is up then.
void ServingSession::change_at(Unit& unit, Ticks when) {
  unit.changes = when;
  next_change_ = std::min(next_change_, when);
}

void ServingSession::control() {
  if (next_change_ <= now_) {
    next_change_ = kNeverTick;
    for (Unit& unit : units_) {
      if (unit.changes <= now_) {
        unit.changes = kNeverTick;
        set_state(unit, State::up);
      }
      next_change_ = std::min(next_change_, unit.changes);
    }
  }
  for (std::size_t p = 0; p < pools_.size(); ++p)
    while (pools_[p].next_pace <= now_) change_pace(p);
  if (failing_.next() <= now_) {
    fail(failing_.replica(), config_.failures.repair);
    failing_.draw(now_);
  }
  if (next_fault() <= now_) stated_faults();
  for (Pool& pool : pools_)
    if (pool.scaler->next() <= now_) autoscale(pool);
  if (next_sample_ <= now_) sample();
}

/// The load of the experts has drifted.
void ServingSession::change_pace(std::size_t p) {
  Pool& pool = pools_[p];
  const std::vector<std::size_t>& pace = pool.config.pace;
  const std::size_t before = pace[pool.period % pace.size()], now = pace[++pool.period % pace.size()];
  pool.next_pace += to_ticks(pool.config.pace_period);
  if (now == before) return;
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    const int slow = units_[pool.first + i].slow;
    const auto& levels = slow < 0 ? pool.levels : pool.slow[static_cast<std::size_t>(slow)];
    units_[pool.first + i].replica->set_pricer(*levels[now], now_);
    touch(pool.first + i);
  }
}

void ServingSession::sample() {
  const Seconds end = to_seconds(next_sample_), begin = to_seconds(next_sample_ - sample_period_);
  const double period = (end - begin).value();
  double all_waiting = 0;
  for (Pool& pool : pools_) {
    double kv = 0, capacity = 0, running = 0, waiting = 0, up = 0;
    WideTicks busy = 0;
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      const Unit& unit = units_[pool.first + i];
      busy += unit.replica->counters_at(now_).busy;
      if (unit.state != State::up && unit.state != State::draining) continue;
      kv += static_cast<double>(unit.replica->kv_tokens(now_));
      capacity += static_cast<double>(unit.replica->kv_capacity_tokens());
      running += static_cast<double>(unit.replica->load().running());
      waiting += static_cast<double>(unit.replica->load().waiting + unit.coming);
      ++up;
    }
    const double share = capacity > 0 ? kv / capacity : 0;
    pool.kv_share.add(begin, end, share);
    pool.running.add(begin, end, running);
    pool.waiting.add(begin, end, waiting);
    all_waiting += waiting;
    pool.up.add(begin, end, up);
    const double worked = to_seconds(busy - pool.busy_sampled).value();
    pool.busy.add(begin, end, up > 0 ? std::clamp(worked / (period * up), 0.0, 1.0) : 0.0);
    pool.busy_sampled = busy;
    pool.sum_kv_share += share * period;
    pool.sum_up += up * period;
  }
  sampled_seconds_ += period;
  backlog_.add(begin, end, all_waiting, static_cast<double>(live_), requests_ > requests_at_sample_);
  if (requests_ > requests_at_sample_) {
    const bool warm = first_arrival_ >= 0 && now_ >= first_arrival_ + to_ticks(config_.warm_up);
    if (warm) {
      steady_end_ = snapshot();
      if (steady_begin_.at <= Seconds(0)) steady_begin_ = steady_end_;
    }
    requests_at_sample_ = requests_;
  }
  if (next_sample_ / kSamplesPerPeriod >= sample_period_) sample_period_ *= 2;  // their product may pass 2^63 ticks
  next_sample_ += sample_period_;
}

Ticks ServingSession::next_fault() const {
  const std::vector<StatedFault>& stated = config_.failures.stated;
  Ticks next = next_stated_ < stated.size() ? to_ticks(stated[next_stated_].at) : kNeverTick;
  for (const Restart& restart : restarts_) next = std::min(next, restart.at);
  for (const Recovery& recovery : recoveries_) next = std::min(next, recovery.at);
  return next;
}

/// What was stated to stop now; rolling restarts go on to their next replica when the one before is back.
void ServingSession::stated_faults() {
  const std::vector<StatedFault>& stated = config_.failures.stated;
  // What fails at one moment is all away before the first request is routed again.
  std::vector<JobId> homeless;
  for (; next_stated_ < stated.size() && to_ticks(stated[next_stated_].at) <= now_; ++next_stated_) {
    const StatedFault& fault = stated[next_stated_];
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
      recoveries_.push_back({now_ + to_ticks(fault.repair), unit, units_[unit].slow});
      slow_down(unit, fault.slow[i]);
    }
  }
  recover_all(std::move(homeless));
  for (const Recovery& recovery : recoveries_)
    if (recovery.at <= now_) slow_down(recovery.unit, recovery.slow);
  std::erase_if(recoveries_, [this](const Recovery& recovery) { return recovery.at <= now_; });
  for (Restart& rolling : restarts_) {
    if (rolling.at > now_) continue;
    const StatedFault& fault = stated[rolling.fault];
    if (rolling.next > 0) {
      const Unit& before = units_[fault.replicas[rolling.next - 1]];
      const bool back = before.restarts == 0 && before.state != State::broken;
      if (!back) {
        // It still answers, or starts: look again when it can be back.
        rolling.at = before.state == State::broken ? before.changes : now_ + to_ticks(Seconds(1));
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

/// From its next iteration on; its speed as a data sheet has it: -1.
void ServingSession::slow_down(std::size_t index, int kind) {
  Unit& unit = units_[index];
  Pool& pool = pools_[unit.pool];
  unit.slow = kind;
  const auto& levels = kind < 0 ? pool.levels : pool.slow.at(static_cast<std::size_t>(kind));
  const std::vector<std::size_t>& pace = pool.config.pace;
  unit.replica->set_pricer(*levels[pace.empty() ? 0 : pace[pool.period % pace.size()]], now_);
  touch(index);
}

/// Gets no further requests, answers those it has, and is then away for as long as a start takes.
void ServingSession::restart(std::size_t index, Seconds repair) {
  Unit& unit = units_[index];
  if (unit.state != State::up) return;
  unit.restarts = std::max<Ticks>(1, to_ticks(repair));
  set_state(unit, State::draining);
  refresh(index);
}

void ServingSession::fail(std::size_t index, Seconds repair) {
  std::vector<JobId> homeless;
  take_down(index, repair, homeless);
  recover_all(std::move(homeless));
}

void ServingSession::recover_all(std::vector<JobId> homeless) {
  std::sort(homeless.begin(), homeless.end());
  for (const JobId id : homeless) recover(id);
}

/// @param homeless gains the requests that the replica had, to be routed again.
void ServingSession::take_down(std::size_t index, Seconds repair, std::vector<JobId>& homeless) {
  Unit& unit = units_[index];
  if (unit.state != State::up && unit.state != State::draining) return;
  ++failures_;
  unit.restarts = 0;
  set_state(unit, State::broken);
  change_at(unit, now_ + to_ticks(repair));
  if (moves_) cancel_moves(index, homeless);
  withdraw_waiting(index, homeless);
  for (const JobId id : unit.replica->abandon(now_)) {
    const Job& job = jobs_[id];
    if (job.source != Job::kNoSource) {
      touch(job.source);
      units_[job.source].replica->release(id, now_, 0);
    }
    homeless.push_back(id);
  }
  refresh(index);
}

/// Caches that were on their way to or from a replica that has failed.
void ServingSession::cancel_moves(std::size_t unit, std::vector<JobId>& homeless) {
  for (const CacheMove& move : moves_->cancel(static_cast<std::uint32_t>(unit), now_)) {
    if (move.from != unit) units_[move.from].replica->release(move.job, now_, 0), touch(move.from);
    Unit& to = units_[move.to];
    if (to.replica->config().role != ReplicaRole::decode)
      --to.coming, touch(move.to);
    else if (move.to != unit)
      to.replica->unplace(move.job, now_), touch(move.to);
    homeless.push_back(move.job);
  }
}

/// Requests that wait for a place in the next pool, their cache being on a replica that has failed.
void ServingSession::withdraw_waiting(std::size_t source, std::vector<JobId>& homeless) {
  const std::optional<std::size_t> next = pools_[units_[source].pool].config.next;
  if (!next) return;
  const Pool& pool = pools_[*next];
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    for (const JobId id : units_[pool.first + i].replica->withdraw(static_cast<std::uint32_t>(source)))
      homeless.push_back(id);
    touch(pool.first + i);
  }
}

/// Starts a request again from its prompt, or gives it up.
void ServingSession::recover(JobId id) {
  Job& job = jobs_[id];
  job.source = Job::kNoSource;
  wasted_.answers += job.generated;
  if (job.generated > 0) wasted_.prompts += job.request.input_tokens;
  if (job.retries >= config_.failures.retries) return leave(id, RequestOutcome::lost);
  ++job.retries;
  ++retried_;
  const std::int32_t computed = job.generated > 0 ? job.request.input_tokens : job.computed;
  retried_tokens_ += std::max(0, computed - std::max(0, job.cached));
  ++job.epoch;
  job.first_token = job.prompt_done = -1;
  job.generated = job.computed = 0;
  job.preemptions = 0;
  job.computing = 0;
  job.swapped = false;
  route(id, 0);
}

/// Surplus replicas are drained from the last on; those that are draining are the first to be wanted again.
void ServingSession::autoscale(Pool& pool) {
  std::vector<PoolScaler::Unit> seen;
  int working = 0;
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    const Unit& unit = units_[pool.first + i];
    seen.push_back({unit.replica.get(), unit.state == State::up});
    working += unit.state == State::up || unit.state == State::starting;
  }
  std::int64_t coming = 0;
  for (std::size_t i = 0; i < pool.views.size(); ++i) coming += units_[pool.first + i].coming;
  const int wanted = pool.scaler->wanted(seen, working, coming, now_);
  for (const State from : {State::draining, State::down}) {
    for (std::size_t i = 0; i < pool.views.size() && working < wanted; ++i) {
      Unit& unit = units_[pool.first + i];
      if (unit.state != from || unit.changes != kNeverTick || unit.restarts > 0) continue;
      if (from == State::down) change_at(unit, now_ + to_ticks(pool.scaler->config().startup));
      set_state(unit, from == State::down ? State::starting : State::up);
      ++pool.scaled_up;
      ++working;
    }
  }
  // Those that are not up yet go first, so that never all of what works is still starting.
  for (const State from : {State::starting, State::up}) {
    for (std::size_t i = pool.views.size(); i-- > 0 && working > wanted;) {
      Unit& unit = units_[pool.first + i];
      if (unit.state != from) continue;
      unit.changes = kNeverTick;
      set_state(unit, unit.empty() ? State::down : State::draining);
      ++pool.scaled_down;
      --working;
    }
  }
}

std::vector<Unfinished> ServingSession::even_out() {
  assert(!moves_);
  const Pool& pool = pools_.front();
  const auto first = units_.begin() + static_cast<std::ptrdiff_t>(pool.first);
  const auto last = first + static_cast<std::ptrdiff_t>(pool.views.size());
  std::int64_t left = 0, up = 0;
  bool idle = false;
  for (auto unit = first; unit != last; ++unit) {
    if (unit->state != State::up) continue;
    ++up;
    left += unit->replica->load().outstanding;
    idle = idle || unit->replica->load().outstanding == 0;
  }
  if (!idle || left == 0) return {};
  const std::int64_t share = (left + up - 1) / up;
  std::vector<JobId> all;
  for (auto unit = first; unit != last; ++unit) {
    const std::int64_t above = unit->replica->load().outstanding - share;
    if (unit->state != State::up || above <= 0) continue;
    for (const JobId job : unit->replica->give_away(static_cast<std::size_t>(above), now_)) all.push_back(job);
    touch(static_cast<std::size_t>(unit - units_.begin()));
  }
  std::vector<Unfinished> out = take_out(std::move(all));
  wake_dirty();
  return out;
}

}  // namespace flopcast
