#include "workloads/serving/session.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <utility>

namespace flopcast {
namespace {

constexpr Ticks kFirstSamplePeriod = static_cast<Ticks>(kTicksPerSecond) / 16;

std::vector<int> gpus_of_units(const std::vector<PoolConfig>& pools) {
  std::vector<int> gpus;
  for (const PoolConfig& pool : pools)
    gpus.insert(gpus.end(), static_cast<std::size_t>(pool.replicas), pool.plan.gpus());
  return gpus;
}

ServiceLevel strictest(const std::vector<ServiceLevel>& levels) {
  ServiceLevel all;
  for (const ServiceLevel& level : levels) {
    all.ttft = std::min(all.ttft, level.ttft);
    all.tpot = std::min(all.tpot, level.tpot);
  }
  return all;
}

}  // namespace

ServingSession::ServingSession(SessionConfig config, std::vector<PoolPricers> pricers, Topology* topology,
                               RequestSource* source)
    : config_(std::move(config)),
      source_(source),
      topology_(topology),
      metrics_(config_.levels),
      failing_(config_.failures, gpus_of_units(config_.pools)) {
  assert(pricers.size() == config_.pools.size());
  for (std::size_t p = 0; p < config_.pools.size(); ++p) {
    const PoolConfig& pool = config_.pools[p];
    assert(hands_on(pool.replica.role) == pool.next.has_value() && (!pool.next || (*pool.next > p && topology)));
    if (pool.next && !moves_) moves_ = std::make_unique<CacheMoves>(*topology, config_.cache_pace);
  }
  for (std::size_t p = 0; p < config_.pools.size(); ++p) {
    Pool pool;
    pool.config = config_.pools[p];
    const RouterRow* row = pool.config.own_router ? pool.config.own_router.get() : find_router(pool.config.router);
    assert(row);
    pool.router = row->make(config_.seed + p);
    pool.router_sees_prefix = row->sees_prefix_match;
    pool.router_sees_kv = row->sees_kv;
    pool.levels = pricers[p].levels;
    pool.slow = pricers[p].slow;
    pool.config.replica.classes = config_.classes;
    if (pool.config.pace.size() > 1) pool.next_pace = to_ticks(pool.config.pace_period);
    pool.first = units_.size();
    pool.views.resize(static_cast<std::size_t>(pool.config.replicas));
    pool.scaler = std::make_unique<PoolScaler>(pool.config.autoscale, pool.views.size(), strictest(config_.levels));
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      Unit unit;
      if (i < pool.config.slow.size()) unit.slow = pool.config.slow[i];
      const auto& levels = unit.slow < 0 ? pool.levels : pool.slow.at(static_cast<std::size_t>(unit.slow));
      unit.replica = std::make_unique<Replica>(static_cast<std::uint32_t>(units_.size()), pool.config.replica,
                                               *levels.at(pool.config.pace.empty() ? 0 : pool.config.pace.front()),
                                               jobs_, gaps_, static_cast<ReplicaListener&>(*this));
      pool.views[i].kv_capacity_tokens = unit.replica->kv_capacity_tokens();
      unit.pool = p;
      units_.push_back(std::move(unit));
    }
    pools_.push_back(std::move(pool));
  }
  request_overhead_ = pricers.front().levels.front()->request_overhead();
  tokenise_ = to_ticks(config_.pools.front().tokenise);
  company_.resize(config_.levels.size());
  sample_period_ = next_sample_ = kFirstSamplePeriod;
}

ServingSession::~ServingSession() = default;

// ------------------------------------------------------------------------------------------------- the clock

Ticks ServingSession::next_tick() {
  Ticks next = kNeverTick;
  if (source_) next = std::min(next, to_ticks(source_->next_arrival()));
  if (!incoming_.empty()) next = std::min(next, incoming_.front().first);
  while (!queue_.empty() && units_[queue_.top().what].next != queue_.top().at) queue_.pop();
  if (!queue_.empty()) next = std::min(next, queue_.top().at);
  if (moves_) next = std::min(next, moves_->next(now_));
  // A session whose replicas are all down waits for the first to come back.
  if (next == kNeverTick && live_ > 0) next = next_change_;
  if (next == kNeverTick) return next;
  for (const Pool& pool : pools_) next = std::min({next, pool.next_pace, pool.scaler->next()});
  return std::min({next, next_sample_, next_change_, failing_.next(), next_fault()});
}

void ServingSession::advance_to(Ticks now) {
  in_system_ += WideTicks{now - now_} * live_;
  now_ = now;
  ++events_;
  control();
  land_caches();
  take_arrivals();
  advance_replicas();
  wake_dirty();
}

void ServingSession::run_until(Seconds until) {
  const Ticks end = std::min(to_ticks(until), kLongestTicks);
  for (Ticks next = next_tick(); next <= end && next != kNeverTick; next = next_tick()) advance_to(next);
  if (to_ticks(until) == kNeverTick || end <= now_) return;
  in_system_ += WideTicks{end - now_} * live_;
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
    if (keep_going && events_ % kAsk == 0 && !keep_going(requests_)) return false;
  }
  cut_ = live_ > 0 || next != kNeverTick || (source_ && is_finite(source_->next_arrival()));
  return true;
}

// ------------------------------------------------------------------------------------------------- arrivals

void ServingSession::submit(const Request& request) {
  enqueue(request);
  if (request_overhead_ == 0 && tokenise_ == 0) {
    take_arrivals();
    wake_dirty();
  }
}

void ServingSession::enqueue(const Request& request) {
  Job job;
  job.request = request;
  const Ticks arrival = to_ticks(request.arrival);
  metrics_.arrived(request);
  if (first_arrival_ < 0) first_arrival_ = arrival;
  ++requests_;
  ++live_;
  note_company(request.request_class, arrival);
  const std::pair ready(arrival + request_overhead_ + tokenise_ * request.input_tokens, jobs_.add(std::move(job)));
  // Shorter prompts overtake longer ones; most come in order.
  auto place = incoming_.end();
  while (place != incoming_.begin() && ready.first < std::prev(place)->first) --place;
  incoming_.insert(place, ready);
}

void ServingSession::note_company(std::uint16_t request_class, Ticks arrival) {
  Company& company = company_[request_class];
  if (company.at != arrival) {
    if (company.at > first_arrival_) company.end();
    company.here = 0;
    company.at = arrival;
  }
  ++company.here;
}

void ServingSession::take_arrivals() {
  while (source_ && to_ticks(source_->next_arrival()) <= now_) enqueue(source_->take());
  while (!incoming_.empty() && incoming_.front().first <= now_) {
    const JobId job = incoming_.front().second;
    incoming_.pop_front();
    jobs_[job].queued = now_;
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
    view.outstanding = unit.replica->load().outstanding + unit.coming;
    view.queued_tokens = unit.replica->load().queued_tokens;
    if (pool.router_sees_kv) view.kv_tokens = unit.replica->kv_tokens(now_);
    if (pool.router_sees_prefix) view.prefix_match_tokens = unit.replica->match(job.request);
  }
  // Draining replicas help out where nobody else is left.
  for (std::size_t i = 0; i < pool.views.size() && !open; ++i) {
    const Unit& unit = units_[pool.first + i];
    pool.views[i].accepting = unit.state == State::draining && !unit.replica->queue_full();
  }
  open = std::any_of(pool.views.begin(), pool.views.end(), [](const ReplicaView& view) { return view.accepting; });
  const std::size_t chosen = open ? pool.router->choose(job.request, pool.views) : kNoReplica;
  if (chosen == kNoReplica) {
    // Queues are full, or everything is down: what has been worked on is lost, what has not is turned away.
    if (job.source != Job::kNoSource) {
      touch(job.source);
      units_[job.source].replica->release(id, now_, 0);
    }
    return leave(id, job.retries > 0 || p > 0 ? RequestOutcome::lost : RequestOutcome::rejected);
  }
  const std::size_t unit = pool.first + chosen;
  if (job.source != Job::kNoSource && pool.config.replica.role != ReplicaRole::decode) {
    ++units_[unit].coming;
    return send(id, unit);
  }
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
  if (unit.state == State::draining && unit.empty()) {
    if (unit.restarts > 0) {
      set_state(unit, State::broken);
      change_at(unit, now_ + std::exchange(unit.restarts, Ticks{0}));
    } else {
      set_state(unit, State::down);
    }
  }
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

void ServingSession::handed_on(JobId id, Ticks) { route(id, *pools_[units_[jobs_[id].source].pool].config.next); }

RankId ServingSession::first_gpu(const Pool& pool, std::size_t unit, std::uint32_t group) const {
  const auto replica = static_cast<int>(unit - pool.first);
  return RankId::at(pool.config.first_gpu + replica * pool.config.plan.gpus() +
                    static_cast<int>(group) * pool.config.plan.tensor);
}

void ServingSession::placed(JobId id, Ticks) { send(id, jobs_[id].replica); }

/// What a replica has made of a job goes to another one: to the attention group that a decode replica has given it a
/// place in, to the first group of others, which choose one when it is there.
void ServingSession::send(JobId id, std::size_t unit) {
  Job& job = jobs_[id];
  const Pool &from = pools_[units_[job.source].pool], &to = pools_[units_[unit].pool];
  const bool has_place = to.config.replica.role == ReplicaRole::decode;
  CacheMove move;
  move.job = id;
  move.lanes = std::min(from.config.plan.tensor, to.config.plan.tensor);
  move.from = job.source;
  move.to = static_cast<std::uint32_t>(unit);
  move.sender = first_gpu(from, job.source, job.source_rank);
  move.receiver = first_gpu(to, unit, has_place ? job.rank : 0);
  move.bytes = from.config.kv_bytes_per_token * (static_cast<double>(job.request.input_tokens) / move.lanes);
  if (from.config.replica.role == ReplicaRole::prefill) {
    move.computing = job.computing;
    move.parts = config_.send_in_parts;
  }
  job.computing = 0;
  if (!topology_->same_node(move.sender, move.receiver)) {
    move.from_busy = units_[move.from].replica->exchange_share();
    move.to_busy = units_[move.to].replica->exchange_share();
  }
  moves_->start(move, now_);
}

void ServingSession::land_caches() {
  if (!moves_) return;
  for (const CacheMove& move : moves_->landed(now_)) {
    units_[move.from].replica->release(move.job, now_, move.from_busy);
    touch(move.from);
    Unit& to = units_[move.to];
    if (to.replica->config().role == ReplicaRole::decode) {
      to.replica->join(move.job, now_, move.to_busy);
    } else {
      --to.coming;
      to.replica->submit(move.job, now_);
    }
    touch(move.to);
  }
}

void ServingSession::finished(JobId id, Ticks shown) {
  in_system_ += WideTicks{shown - now_};
  const Job& job = jobs_[id];
  if (in_time(job, shown)) return leave(id, RequestOutcome::completed, shown);
  wasted_.answers += job.generated;
  wasted_.prompts += job.request.input_tokens;
  leave(id, RequestOutcome::expired, shown);
}

/// Its tokens were shown before its stream's deadlines: the iteration that gave one may have ended after them.
bool ServingSession::in_time(const Job& job, Ticks shown) const {
  if (!config_.classes) return true;
  const ClassRule& rule = config_.classes->of[job.request.request_class];
  const Ticks arrival = to_ticks(job.request.arrival);
  return shown <= later(arrival, rule.deadline) && job.first_token <= later(arrival, rule.first_token_deadline);
}

void ServingSession::expired(JobId id, Ticks) {
  const Job& job = jobs_[id];
  if (job.source != Job::kNoSource) {
    touch(job.source);
    units_[job.source].replica->release(id, now_, 0);
  }
  wasted_.answers += job.generated;
  if (job.generated > 0) wasted_.prompts += job.request.input_tokens;
  leave(id, RequestOutcome::expired);
}

void ServingSession::leave(JobId id, RequestOutcome outcome, Ticks shown) {
  const Job& job = jobs_[id];
  RequestResult result;
  result.id = job.request.id;
  result.request_class = job.request.request_class;
  result.outcome = outcome;
  result.input_tokens = job.request.input_tokens;
  result.cached_tokens = std::max(0, job.cached);
  result.output_tokens = job.generated;
  const auto moment = [&](Ticks ticks) { return ticks < 0 ? to_seconds(now_) : to_seconds(ticks); };
  // As the session's clock has it: who is admitted at once has not waited for minus half a tick.
  result.arrival = moment(to_ticks(job.request.arrival));
  result.scheduled = moment(job.admitted);
  result.first_token = moment(job.first_token);
  result.queued = moment(job.queued);
  result.prompt_done = moment(job.prompt_done);
  result.finish = to_seconds(shown);
  metrics_.finished(result);
  last_event_ = std::max(last_event_, shown);
  sojourns_ += shown - to_ticks(job.request.arrival);
  --live_;
  if (source_) source_->finished(job.request, result.finish, outcome);
  if (sink_) sink_(job.request, result);
  jobs_.remove(id);
}

std::vector<Unfinished> ServingSession::withdraw() {
  assert(!moves_);
  std::vector<JobId> all;
  for (const auto& [arrival, job] : incoming_) all.push_back(job);
  incoming_.clear();
  for (std::size_t i = 0; i < units_.size(); ++i) {
    for (const JobId job : units_[i].replica->abandon(now_)) all.push_back(job);
    refresh(i);
  }
  return take_out(std::move(all));
}

std::vector<Unfinished> ServingSession::stop_from(std::size_t first) {
  assert(!moves_);
  std::vector<JobId> all;
  const Pool& pool = pools_.front();
  for (std::size_t i = pool.first + first; i < pool.first + pool.views.size(); ++i) {
    for (const JobId job : units_[i].replica->abandon(now_)) all.push_back(job);
    set_state(units_[i], State::down);
    refresh(i);
  }
  return take_out(std::move(all));
}

void ServingSession::start_from(std::size_t first) {
  const Pool& pool = pools_.front();
  for (std::size_t i = pool.first + first; i < pool.first + pool.views.size(); ++i) set_state(units_[i], State::up);
}

/// In the order of their numbers; the sink does not hear of it.
std::vector<Unfinished> ServingSession::take_out(std::vector<JobId> all) {
  std::sort(all.begin(), all.end(), [this](JobId a, JobId b) { return jobs_[a].request.id < jobs_[b].request.id; });
  std::vector<Unfinished> out;
  ResultSink sink;
  std::swap(sink, sink_);
  for (const JobId job : all) {
    out.push_back({jobs_[job].request, jobs_[job].generated});
    leave(job, RequestOutcome::lost);
  }
  std::swap(sink, sink_);
  return out;
}

TokenSnapshot ServingSession::snapshot() const {
  TokenSnapshot out;
  out.at = to_seconds(now_);
  out.prompts = -wasted_.prompts;
  out.answers = -wasted_.answers;
  for (const Unit& unit : units_) {
    out.prompts += unit.replica->counters().prompt_tokens_done;
    out.answers += unit.replica->counters_at(now_).tokens_given();
  }
  return out;
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
  out.backlog = backlog_;
  out.failures = failures_;
  out.retried = retried_;
  out.retried_tokens = retried_tokens_;
  out.in_system = in_system_;
  out.sojourns = sojourns_;
  out.events = events_;
  out.too_long = too_long_;
  out.cut = cut_;
  out.live = live_;
  for (Company company : company_) {
    company.end();
    out.together.push_back(
        company.requests > 0 ? static_cast<double>(company.sum_of_squares) / static_cast<double>(company.requests) : 0);
  }
  if (moves_) {
    out.transfers = moves_->count();
    out.transfer_time = to_seconds(moves_->time());
    out.contended_transfers = static_cast<std::int64_t>(moves_->contended());
    out.transferred = moves_->delivered();
  }
  for (const Pool& pool : pools_) {
    PoolTotals totals;
    totals.name = pool.config.name;
    totals.role = pool.config.replica.role;
    totals.replicas = pool.config.replicas;
    totals.gpus = pool.config.plan.gpus();
    totals.kv_share = pool.kv_share;
    totals.busy = pool.busy;
    totals.running = pool.running;
    totals.waiting = pool.waiting;
    totals.up = pool.up;
    totals.scaled_up = pool.scaled_up;
    totals.scaled_down = pool.scaled_down;
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      const Unit& unit = units_[pool.first + i];
      totals.counters += unit.replica->counters();
      totals.kv += kv_counters(*unit.replica);
      totals.pages_in_use += pages_in_use(*unit.replica);
      totals.kv_capacity_tokens += unit.replica->kv_capacity_tokens();
      const Ticks since = counted_since(unit.since, last_event_);
      const bool broken = unit.state == State::broken, up = !broken && unit.state != State::down;
      totals.up_time += to_seconds(unit.up_time + (up ? since : 0));
      totals.broken_time += to_seconds(unit.broken_time + (broken ? since : 0));
      const bool starting = unit.state == State::starting;
      totals.starting_time += to_seconds(unit.starting_time + (starting ? counted_since(unit.starts, last_event_) : 0));
      if (pool.config.autoscale.standby)
        totals.standby_time += to_seconds(unit.down_time + (unit.state == State::down ? since : 0));
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
