#include "workloads/serving/session/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/session/scaling.h"

namespace flopcast {

ServingSession::ServingSession(SessionConfig config, std::vector<PoolPricers> pricers, Topology* topology,
                               RequestSource* source)
    : config_(std::move(config)),
      books_(config_.levels, to_ticks(config_.window), config_.most_requests),
      flow_(config_, pricers.front().levels.front()->request_overhead(), fleet_, jobs_, books_, topology, source, now_),
      fleet_(config_, std::move(pricers), jobs_, gaps_, flow_, books_, now_),
      faults_(config_, fleet_, flow_, now_),
      // Where the number of requests ends the traffic, only their arrivals say until when load was steady.
      sampler_(config_.warm_up, config_.most_requests > 0 ? Seconds(0) : config_.window, config_.pools.size()),
      next_control_(next_control()) {}

// ------------------------------------------------------------------------------------------------- the clock

Ticks ServingSession::next_tick() {
  Ticks next = std::min(flow_.next(), fleet_.next_event());
  // A session whose replicas are all down waits for the first to come back.
  if (next == kNeverTick && books_.live() > 0) next = fleet_.next_change();
  if (next == kNeverTick) return next;
  return std::min({next, next_control_, fleet_.next_change()});
}

Ticks ServingSession::next_control() const {
  Ticks next = std::min(sampler_.next(), faults_.next());
  for (const FleetPool& pool : fleet_.pools()) next = std::min({next, pool.next_pace, pool.scaler->next()});
  return next;
}

void ServingSession::advance_to(Ticks now) {
  books_.pass(now - now_);
  now_ = now;
  ++events_;
  control();
  flow_.transfers().land();
  flow_.take_arrivals();
  fleet_.advance();
  fleet_.wake();
}

void ServingSession::control() {
  fleet_.bring_up();
  if (next_control_ > now_) return;  // most events are of requests
  for (FleetPool& pool : fleet_.pools())
    while (pool.next_pace <= now_) drift_expert_load(fleet_, pool);
  faults_.strike();
  for (FleetPool& pool : fleet_.pools())
    if (pool.scaler->next() <= now_) autoscale(fleet_, pool, now_);
  if (sampler_.next() <= now_) sampler_.sample(fleet_, books_, now_);
  next_control_ = next_control();
}

void ServingSession::run_until(Seconds until) {
  const Ticks end = std::min(to_ticks(until), kLongestTicks);
  for (Ticks next = next_tick(); next <= end && next != kNeverTick; next = next_tick()) advance_to(next);
  if (to_ticks(until) == kNeverTick || end <= now_) return;
  books_.pass(end - now_);
  now_ = end;
}

bool ServingSession::step(Seconds until) {
  const Ticks next = next_tick();
  if (next == kNeverTick || next > std::min(to_ticks(until), kLongestTicks)) return false;
  advance_to(next);
  return true;
}

bool ServingSession::run(const std::function<bool(std::uint64_t)>& keep_going) {
  constexpr std::uint64_t kAsk = 256;
  Ticks next = next_tick();
  for (; next <= kLongestTicks; next = next_tick()) {
    advance_to(next);
    if (keep_going && events_ % kAsk == 0 && !keep_going(books_.requests())) return false;
  }
  cut_ = books_.live() > 0 || next != kNeverTick || flow_.more_to_come();
  return true;
}

// ------------------------------------------------------------------------------------------------- from outside

void ServingSession::submit(const Request& request) {
  flow_.submit(request);
  fleet_.wake();
}

std::vector<Unfinished> ServingSession::withdraw() {
  assert(!flow_.transfers().any());
  std::vector<JobId> all;
  flow_.abandon_incoming(all);
  for (std::size_t i = 0; i < fleet_.units().size(); ++i) {
    for (const JobId job : fleet_.units()[i].replica->abandon(now_)) all.push_back(job);
    fleet_.refresh(i);
  }
  return flow_.take_out(std::move(all));
}

std::vector<Unfinished> ServingSession::stop_from(std::size_t first) {
  assert(!flow_.transfers().any());
  std::vector<JobId> all;
  const FleetPool& pool = fleet_.pools().front();
  for (std::size_t i = pool.first + first; i < pool.first + pool.size; ++i) {
    FleetUnit& unit = fleet_.units()[i];
    for (const JobId job : unit.replica->abandon(now_)) all.push_back(job);
    fleet_.set_state(unit, UnitState::down);
    fleet_.refresh(i);
  }
  return flow_.take_out(std::move(all));
}

void ServingSession::start_from(std::size_t first) {
  for (FleetUnit& unit : fleet_.of(fleet_.pools().front()).subspan(first)) fleet_.set_state(unit, UnitState::up);
}

std::vector<Unfinished> ServingSession::even_out() {
  assert(!flow_.transfers().any());
  std::vector<Unfinished> out = flow_.take_out(above_their_share(fleet_, fleet_.pools().front(), now_));
  fleet_.wake();
  return out;
}

// ------------------------------------------------------------------------------------------------- results

SessionTotals ServingSession::totals() const {
  SessionTotals out;
  books_.add_to(out);
  flow_.transfers().add_to(out);
  for (const FleetPool& pool : fleet_.pools()) out.pools.push_back(fleet_.totals(pool, books_.counted_to()));
  sampler_.add_to(out, fleet_, books_, now_);
  out.gaps = gaps_;
  out.failures = faults_.failures();
  out.events = events_;
  out.cut = cut_;
  return out;
}

ReplicaCounters ServingSession::counters() const {
  ReplicaCounters out;
  for (const FleetUnit& unit : fleet_.of(fleet_.pools().front())) out += unit.replica->counters_at(now_);
  return out;
}

bool ServingSession::archive(StateArchive& state) {
  if (!flow_.archive(state)) return false;
  state(jobs_, gaps_, books_, fleet_, faults_, sampler_, now_, events_, cut_);
  next_control_ = next_control();
  return true;
}

}  // namespace flopcast
