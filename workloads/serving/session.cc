#include "workloads/serving/session.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace flopcast {
namespace {

constexpr Ticks kFirstSamplePeriod = static_cast<Ticks>(kTicksPerSecond) / 16;
/// The period doubles when there have been so many samples: curves over time cost the same for a minute and
/// for a month.
constexpr int kSamplesPerPeriod = 4096;

}  // namespace

ServingSession::ServingSession(SessionConfig config, std::vector<PoolPricers> pricers,
                               Topology* topology, RequestSource* source)
    : config_(std::move(config)),
      source_(source),
      topology_(topology),
      metrics_(config_.levels),
      failure_stream_(config_.failures.seed, 17) {
  assert(pricers.size() == config_.pools.size() && (topology || config_.pools.size() == 1));
  if (config_.pools.size() > 1) fabric_ = std::make_unique<FairShare>(topology->network());
  for (std::size_t p = 0; p < config_.pools.size(); ++p) {
    Pool pool;
    pool.config = config_.pools[p];
    const RouterRow* row = find_router(pool.config.router);
    assert(row);
    pool.router = row->make(config_.seed + p);
    pool.router_sees_prefix = row->sees_prefix_match;
    pool.levels = pricers[p].levels;
    if (pool.config.pace.size() > 1) pool.next_pace = to_ticks(pool.config.pace_period);
    pool.first = units_.size();
    pool.views.resize(static_cast<std::size_t>(pool.config.replicas));
    pool.busy_before.resize(pool.views.size());
    for (int i = 0; i < pool.config.replicas; ++i) {
      Unit unit;
      unit.replica =
          std::make_unique<Replica>(static_cast<std::uint32_t>(units_.size()), pool.config.replica,
                                    *pricers[p].levels.at(pool.config.pace.empty() ? 0 : pool.config.pace.front()), jobs_, gaps_, static_cast<ReplicaListener&>(*this));
      unit.pool = p;
      units_.push_back(std::move(unit));
    }
    pools_.push_back(std::move(pool));
  }
  request_overhead_ = pricers.front().levels.front()->request_overhead();
  sample_period_ = next_sample_ = kFirstSamplePeriod;
  if (config_.autoscale.on) next_scale_ = to_ticks(config_.autoscale.interval);
  if (config_.failures.failures_per_gpu_hour > 0) schedule_failure();
}

ServingSession::~ServingSession() = default;

// ------------------------------------------------------------------------------------------------- the clock

Ticks ServingSession::next_tick() {
  Ticks next = kNeverTick;
  if (source_) next = std::min(next, to_ticks(source_->next_arrival()));
  if (!incoming_.empty()) next = std::min(next, incoming_.front().first);
  while (!queue_.empty() && units_[queue_.top().what].next != queue_.top().at) queue_.pop();
  if (!queue_.empty()) next = std::min(next, queue_.top().at);
  if (!landing_.empty()) next = std::min(next, landing_.top().at);
  if (fabric_) {
    const Seconds end = fabric_->next_end();
    // Rounded up: what is told of a flow's end happens after it.
    if (end < kNever)
      next = std::min(next, std::max(now_, static_cast<Ticks>(std::ceil(end.value() * kTicksPerSecond))));
  }
  // A session whose replicas are all down waits for the first to come back.
  if (next == kNeverTick && live_ > 0)
    for (const Unit& unit : units_) next = std::min(next, unit.changes);
  if (next == kNeverTick) return next;
  for (const Pool& pool : pools_) next = std::min(next, pool.next_pace);
  return std::min({next, next_sample_, next_scale_, next_failure_,
                   std::min_element(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
                     return a.changes < b.changes;
                   })->changes});
}

void ServingSession::advance_to(Ticks now) {
  now_ = now;
  ++events_;
  control();
  end_transfers();
  take_arrivals();
  advance_replicas();
  wake_dirty();
}

void ServingSession::run_until(Seconds until) {
  const Ticks end = to_ticks(until);
  for (Ticks next = next_tick(); next <= end && next != kNeverTick; next = next_tick()) advance_to(next);
  if (end != kNeverTick) now_ = std::max(now_, end);
}

bool ServingSession::run(const std::function<bool(std::uint64_t)>& keep_going) {
  constexpr std::uint64_t kAsk = 1 << 14;
  for (Ticks next = next_tick(); next != kNeverTick; next = next_tick()) {
    advance_to(next);
    if (keep_going && events_ % kAsk == 0 && !keep_going(requests_)) return false;
  }
  return true;
}

// ------------------------------------------------------------------------------------------------- arrivals

void ServingSession::submit(const Request& request) {
  enqueue(request);
  if (request_overhead_ == 0) {
    take_arrivals();
    wake_dirty();
  }
}

void ServingSession::enqueue(const Request& request) {
  Job job;
  job.request = request;
  job.arrival = to_ticks(request.arrival);
  metrics_.arrived(request);
  if (first_arrival_ < 0) first_arrival_ = job.arrival;
  ++requests_;
  queued_at_last_arrival_ = live_;
  ++live_;
  incoming_.emplace_back(job.arrival + request_overhead_, jobs_.add(std::move(job)));
}

void ServingSession::take_arrivals() {
  while (source_ && to_ticks(source_->next_arrival()) <= now_) enqueue(source_->take());
  while (!incoming_.empty() && incoming_.front().first <= now_) {
    const JobId job = incoming_.front().second;
    incoming_.pop_front();
    const bool possible = std::all_of(pools_.begin(), pools_.end(), [&](const Pool& pool) {
      return units_[pool.first].replica->fits(jobs_[job].request);
    });
    if (!possible) {
      ++too_long_;
      leave(job, RequestOutcome::rejected);
      continue;
    }
    route(job, 0);
  }
}

void ServingSession::route(JobId id, std::size_t p) {
  Pool& pool = pools_[p];
  const Job& job = jobs_[id];
  bool open = false;
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    const Unit& unit = units_[pool.first + i];
    ReplicaView& view = pool.views[i];
    view.accepting = unit.state == State::up && !unit.replica->queue_full();
    open = open || view.accepting;
    view.outstanding = unit.replica->outstanding();
    view.queued_tokens = unit.replica->queued_tokens();
    view.kv_tokens = unit.replica->kv_tokens(now_);
    view.kv_capacity_tokens = unit.replica->kv_capacity_tokens();
    if (pool.router_sees_prefix) view.prefix_match_tokens = unit.replica->match(job.request);
  }
  const std::size_t chosen = open ? pool.router->choose(job.request, pool.views) : kNoReplica;
  if (chosen == kNoReplica) {
    // Queues are full, or everything is down: what has been worked on is lost, what has not is turned away.
    if (job.source != Job::kNoSource) {
      units_[job.source].replica->release(id, now_);
      touch(job.source);
    }
    return leave(id, job.retries > 0 || p > 0 ? RequestOutcome::lost : RequestOutcome::rejected);
  }
  const std::size_t unit = pool.first + chosen;
  units_[unit].replica->submit(id, now_);
  touch(unit);
}

// ------------------------------------------------------------------------------------------------- replicas

void ServingSession::touch(std::size_t unit) {
  if (units_[unit].dirty) return;
  units_[unit].dirty = true;
  dirty_.push_back(static_cast<std::uint32_t>(unit));
}

void ServingSession::wake_dirty() {
  // Waking a replica may place caches and so touch no other; the list is in the order of what happened.
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    Unit& unit = units_[dirty_[i]];
    unit.dirty = false;
    unit.replica->wake(now_);
    refresh(dirty_[i]);
  }
  dirty_.clear();
}

void ServingSession::refresh(std::size_t index) {
  Unit& unit = units_[index];
  if (unit.state == State::draining && unit.replica->outstanding() == 0) set_state(unit, State::down);
  const Ticks next = unit.replica->next_event();
  if (next == unit.next) return;
  unit.next = next;
  if (next != kNeverTick) queue_.push({next, static_cast<std::uint32_t>(index)});
}

void ServingSession::advance_replicas() {
  while (!queue_.empty() && queue_.top().at <= now_) {
    const Due due = queue_.top();
    queue_.pop();
    Unit& unit = units_[due.what];
    if (unit.next != due.at) continue;
    unit.next = kNeverTick;
    unit.replica->advance(now_);
    refresh(due.what);
  }
}

void ServingSession::prefilled(JobId id, Ticks) { route(id, 1); }

/// The cache goes from the GPUs of one attention group to those of another. Where several GPUs share the
/// heads, each pair carries its part at the same time; one of them stands for all.
void ServingSession::placed(JobId id, Ticks now) {
  const Job& job = jobs_[id];
  const PoolConfig& from = pools_.front().config;
  const PoolConfig& to = pools_.back().config;
  const auto gpu = [&](const PoolConfig& pool, std::uint32_t unit, std::size_t first, std::uint32_t group) {
    return RankId::at(static_cast<std::uint32_t>(pool.first_gpu) +
                      (unit - static_cast<std::uint32_t>(first)) *
                          static_cast<std::uint32_t>(pool.plan.gpus()) +
                      group * static_cast<std::uint32_t>(pool.plan.tensor));
  };
  const RankId sender = gpu(from, job.source, pools_.front().first, job.source_rank);
  const RankId receiver = gpu(to, job.replica, pools_.back().first, job.rank);
  const int lanes = std::min(from.plan.tensor, to.plan.tensor);
  if (free_moves_.empty()) {
    free_moves_.push_back(static_cast<std::uint32_t>(moves_.size()));
    moves_.emplace_back();
  }
  const std::uint32_t index = free_moves_.back();
  free_moves_.pop_back();
  Move& move = moves_[index];
  const Bytes bytes = from.kv_bytes_per_token * (static_cast<double>(job.request.input_tokens) / lanes);
  move = {id,
          job.source,
          fabric_->start(to_seconds(now), topology_->route(sender, receiver), bytes),
          now,
          to_ticks(topology_->latency(sender, receiver)),
          true,
          true};
  if (move.flow >= move_of_flow_.size()) move_of_flow_.resize(move.flow + 1);
  move_of_flow_[move.flow] = index;
}

void ServingSession::end_transfers() {
  if (!fabric_) return;
  const Seconds end = fabric_->next_end();
  if (end < kNever && static_cast<Ticks>(std::ceil(end.value() * kTicksPerSecond)) <= now_) {
    for (const FairShare::Flow flow : fabric_->ended_by(std::max(end, to_seconds(now_)))) {
      Move& move = moves_[move_of_flow_[flow]];
      move.flowing = false;
      landing_.push({now_ + move.latency, move_of_flow_[flow]});
    }
  }
  while (!landing_.empty() && landing_.top().at <= now_) {
    const std::uint32_t move = landing_.top().what;
    landing_.pop();
    if (moves_[move].active && !moves_[move].flowing) end_move(move);
  }
}

void ServingSession::end_move(std::uint32_t index) {
  Move& move = moves_[index];
  ++transfers_;
  transfer_ticks_ += now_ - move.begin;
  move.active = false;
  free_moves_.push_back(index);
  const std::uint32_t unit = jobs_[move.job].replica;
  units_[move.from].replica->release(move.job, now_);
  touch(move.from);
  units_[unit].replica->join(move.job, now_);
  touch(unit);
}

void ServingSession::finished(JobId id, Ticks) { leave(id, RequestOutcome::completed); }

void ServingSession::leave(JobId id, RequestOutcome outcome) {
  const Job& job = jobs_[id];
  RequestResult result;
  result.id = job.request.id;
  result.request_class = job.request.request_class;
  result.outcome = outcome;
  result.input_tokens = job.request.input_tokens;
  result.cached_tokens = job.cached;
  result.output_tokens = job.generated;
  result.arrival = job.request.arrival;
  const auto moment = [&](Ticks ticks) { return ticks < 0 ? to_seconds(now_) : to_seconds(ticks); };
  result.scheduled = moment(job.admitted);
  result.first_token = moment(job.first_token);
  result.finish = to_seconds(now_);
  metrics_.finished(result);
  last_event_ = now_;
  --live_;
  if (source_) source_->finished(job.request, result.finish, outcome);
  if (sink_) sink_(job.request, result);
  jobs_.remove(id);
}

// ------------------------------------------------------------------------------------------------- what goes
// on beside

void ServingSession::set_state(Unit& unit, State state) {
  const auto works = [](State s) { return s == State::up || s == State::draining || s == State::starting; };
  if (works(unit.state) && !works(state)) unit.up_time += now_ - unit.up_since;
  if (!works(unit.state) && works(state)) unit.up_since = now_;
  unit.state = state;
}

void ServingSession::control() {
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (units_[i].changes > now_) continue;
    units_[i].changes = kNeverTick;
    set_state(units_[i], State::up);
  }
  for (std::size_t p = 0; p < pools_.size(); ++p)
    while (pools_[p].next_pace <= now_) change_pace(p);
  if (next_failure_ <= now_) {
    fail(failing_);
    schedule_failure();
  }
  if (next_scale_ <= now_) {
    for (std::size_t p = 0; p < pools_.size(); ++p) autoscale(p);
    next_scale_ += to_ticks(config_.autoscale.interval);
  }
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
    units_[pool.first + i].replica->set_pricer(*pool.levels[now], now_);
    touch(pool.first + i);
  }
}

void ServingSession::sample() {
  const Seconds end = to_seconds(next_sample_), begin = to_seconds(next_sample_ - sample_period_);
  const double period = (end - begin).value();
  for (Pool& pool : pools_) {
    double kv = 0, capacity = 0, running = 0, waiting = 0, up = 0;
    Ticks busy = 0;
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      const Unit& unit = units_[pool.first + i];
      busy += unit.replica->busy(now_);
      if (unit.state != State::up && unit.state != State::draining) continue;
      kv += static_cast<double>(unit.replica->kv_tokens(now_));
      capacity += static_cast<double>(unit.replica->kv_capacity_tokens());
      running += static_cast<double>(unit.replica->running());
      waiting += static_cast<double>(unit.replica->waiting());
      ++up;
    }
    const double share = capacity > 0 ? kv / capacity : 0;
    pool.kv_share.add(begin, end, share);
    pool.running.add(begin, end, running);
    pool.waiting.add(begin, end, waiting);
    pool.up.add(begin, end, up);
    if (up > 0) pool.busy.add(begin, end, std::clamp(to_seconds(busy - pool.busy_sampled).value() / (period * up), 0.0, 1.0));
    pool.busy_sampled = busy;
    pool.sum_kv_share += share * period;
    pool.sum_up += up * period;
  }
  sampled_seconds_ += period;
  if (requests_ > requests_at_sample_) {
    const bool warm = first_arrival_ >= 0 && now_ >= first_arrival_ + to_ticks(config_.warm_up);
    if (warm) {
      steady_end_ = snapshot();
      if (steady_begin_.at <= Seconds(0)) steady_begin_ = steady_end_;
    }
    requests_at_sample_ = requests_;
  }
  if (next_sample_ >= sample_period_ * kSamplesPerPeriod) sample_period_ *= 2;
  next_sample_ += sample_period_;
}

TokenSnapshot ServingSession::snapshot() const {
  TokenSnapshot out;
  out.at = to_seconds(now_);
  for (const Unit& unit : units_) {
    out.prompts += unit.replica->counters().prompt_tokens_done;
    out.answers += unit.replica->tokens_given(now_);
  }
  return out;
}

/// GPUs fail independently; the replica of the one that does is down for the time of a repair.
void ServingSession::schedule_failure() {
  double gpus = 0;
  for (const Pool& pool : pools_) gpus += pool.config.plan.gpus() * pool.config.replicas;
  const double per_second = config_.failures.failures_per_gpu_hour / 3600 * gpus;
  next_failure_ = now_ + to_ticks(Seconds(failure_stream_.exponential() / per_second));
  double which = failure_stream_.uniform() * gpus;
  failing_ = 0;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    failing_ = i;
    which -= pools_[units_[i].pool].config.plan.gpus();
    if (which < 0) break;
  }
}

void ServingSession::fail(std::size_t index) {
  Unit& unit = units_[index];
  if (unit.state == State::down || unit.state == State::starting) return;
  ++failures_;
  set_state(unit, State::down);
  unit.changes = now_ + to_ticks(config_.failures.repair);
  std::vector<JobId> homeless;
  cancel_moves(index, homeless);
  const bool prefill = unit.replica->config().role == ReplicaRole::prefill;
  if (prefill) {
    for (std::size_t i = 0; i < pools_.back().views.size(); ++i) {
      for (const JobId id :
           units_[pools_.back().first + i].replica->withdraw(static_cast<std::uint32_t>(index)))
        homeless.push_back(id);
      touch(pools_.back().first + i);
    }
  }
  for (const JobId id : unit.replica->abandon(now_)) {
    Job& job = jobs_[id];
    if (!prefill && job.source != Job::kNoSource) {
      touch(job.source);
      units_[job.source].replica->release(id, now_);
    }
    homeless.push_back(id);
  }
  refresh(index);
  std::sort(homeless.begin(), homeless.end());
  for (const JobId id : homeless) recover(id);
}

/// Caches that were on their way to or from a replica that has failed.
void ServingSession::cancel_moves(std::size_t unit, std::vector<JobId>& homeless) {
  for (std::uint32_t i = 0; i < moves_.size(); ++i) {
    Move& move = moves_[i];
    if (!move.active || (move.from != unit && jobs_[move.job].replica != unit)) continue;
    if (move.flowing) fabric_->cancel(to_seconds(now_), move.flow);
    move.active = false;
    // One whose last byte is under way is still in `landing_`: its number may not be given again before that.
    if (move.flowing) free_moves_.push_back(i);
    const std::uint32_t to = jobs_[move.job].replica;
    if (move.from != unit) units_[move.from].replica->release(move.job, now_), touch(move.from);
    if (to != unit) units_[to].replica->unplace(move.job, now_), touch(to);
    homeless.push_back(move.job);
  }
}

/// Starts a request again from its prompt, or gives it up.
void ServingSession::recover(JobId id) {
  Job& job = jobs_[id];
  job.source = Job::kNoSource;
  if (job.retries >= config_.failures.retries) return leave(id, RequestOutcome::lost);
  ++job.retries;
  ++retried_;
  ++job.epoch;
  job.first_token = -1;
  job.generated = job.computed = 0;
  job.preemptions = 0;
  job.swapped = false;
  route(id, 0);
}

/// As many replicas as keep the fullest resource at the target. Prefill replicas: the time they computed;
/// others: slots and KV.
void ServingSession::autoscale(std::size_t p) {
  Pool& pool = pools_[p];
  const AutoscaleConfig& scale = config_.autoscale;
  double busy = 0, kv = 0, requests = 0, up = 0;
  int working = 0;
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    const Unit& unit = units_[pool.first + i];
    const Ticks spent = unit.replica->counters().busy;
    busy += (to_seconds(spent - pool.busy_before[i]) / scale.interval);
    pool.busy_before[i] = spent;
    working += unit.state == State::up || unit.state == State::starting;
    if (unit.state != State::up) continue;
    ++up;
    kv += static_cast<double>(unit.replica->kv_tokens(now_)) /
          static_cast<double>(unit.replica->kv_capacity_tokens());
    requests +=
        static_cast<double>(unit.replica->outstanding()) /
        (static_cast<double>(unit.replica->config().scheduler.max_batch) * unit.replica->config().groups);
  }
  if (up == 0) return;
  const double needed = pool.config.replica.role == ReplicaRole::prefill ? busy : std::max(kv, requests);
  const int wanted =
      std::clamp(static_cast<int>(std::ceil(needed / scale.target)), scale.minimum, pool.config.replicas);
  for (std::size_t i = 0; i < pool.views.size() && working < wanted; ++i) {
    Unit& unit = units_[pool.first + i];
    if (unit.state == State::draining) {
      set_state(unit, State::up);
      ++working;
    } else if (unit.state == State::down && unit.changes == kNeverTick) {
      set_state(unit, State::starting);
      unit.changes = now_ + to_ticks(scale.startup);
      ++working;
    }
  }
  for (std::size_t i = pool.views.size(); i-- > 0 && working > wanted;) {
    Unit& unit = units_[pool.first + i];
    if (unit.state != State::up) continue;
    set_state(unit, unit.replica->outstanding() == 0 ? State::down : State::draining);
    --working;
  }
}

// ------------------------------------------------------------------------------------------------- results

SessionTotals ServingSession::totals() const {
  SessionTotals out;
  out.metrics = metrics_;
  out.gaps = gaps_;
  out.begin = to_seconds(std::max<Ticks>(0, first_arrival_));
  out.end = to_seconds(last_event_);
  out.steady_begin = steady_begin_;
  out.steady_end = steady_end_;
  out.queued_at_last_arrival = queued_at_last_arrival_;
  out.transfers = transfers_;
  out.failures = failures_;
  out.retried = retried_;
  out.transfer_time = to_seconds(transfer_ticks_);
  out.events = events_;
  out.too_long = too_long_;
  if (fabric_) {
    out.contended_transfers = static_cast<std::int64_t>(fabric_->shared());
    out.transferred =
        fabric_->delivered() * std::min(pools_.front().config.plan.tensor, pools_.back().config.plan.tensor);
  }
  for (const Pool& pool : pools_) {
    PoolTotals totals;
    totals.name = pool.config.name;
    totals.replicas = pool.config.replicas;
    totals.gpus = pool.config.plan.gpus();
    totals.kv_share = pool.kv_share;
    totals.busy = pool.busy;
    totals.running = pool.running;
    totals.waiting = pool.waiting;
    totals.up = pool.up;
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      const Unit& unit = units_[pool.first + i];
      totals.counters += unit.replica->counters();
      totals.kv += unit.replica->kv_counters();
      totals.pages_in_use += unit.replica->pages_in_use();
      totals.kv_capacity_tokens += unit.replica->kv_capacity_tokens();
      const bool works = unit.state != State::down;
      totals.replica_time +=
          to_seconds(unit.up_time + (works ? std::max<Ticks>(0, last_event_ - unit.up_since) : 0));
    }
    if (sampled_seconds_ > 0) {
      totals.mean_kv_share = pool.sum_kv_share / sampled_seconds_;
      totals.mean_replicas = pool.sum_up / sampled_seconds_;
    } else {
      totals.mean_replicas = pool.config.replicas;
    }
    out.pools.push_back(std::move(totals));
  }
  return out;
}

}  // namespace flopcast
