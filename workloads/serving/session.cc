#include "workloads/serving/session.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <utility>

namespace flopcast {
namespace {

constexpr Ticks kFirstSamplePeriod = static_cast<Ticks>(kTicksPerSecond) / 16;
/// The period doubles when there have been so many samples: curves over time cost the same for a minute and
/// for a month.
constexpr int kSamplesPerPeriod = 4096;

std::vector<int> gpus_of_units(const std::vector<PoolConfig>& pools) {
  std::vector<int> gpus;
  for (const PoolConfig& pool : pools)
    gpus.insert(gpus.end(), static_cast<std::size_t>(pool.replicas), pool.plan.gpus());
  return gpus;
}

Seconds strictest_tpot(const std::vector<ServiceLevel>& levels) {
  Seconds tpot = kNever;
  for (const ServiceLevel& level : levels) tpot = std::min(tpot, level.tpot);
  return tpot;
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
    if (pool.config.pace.size() > 1) pool.next_pace = to_ticks(pool.config.pace_period);
    pool.first = units_.size();
    pool.views.resize(static_cast<std::size_t>(pool.config.replicas));
    pool.scaler =
        std::make_unique<PoolScaler>(pool.config.autoscale, pool.views.size(), strictest_tpot(config_.levels));
    for (int i = 0; i < pool.config.replicas; ++i) {
      Unit unit;
      unit.replica =
          std::make_unique<Replica>(static_cast<std::uint32_t>(units_.size()), pool.config.replica,
                                    *pricers[p].levels.at(pool.config.pace.empty() ? 0 : pool.config.pace.front()),
                                    jobs_, gaps_, static_cast<ReplicaListener&>(*this));
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
    view.kv_capacity_tokens = unit.replica->kv_capacity_tokens();
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

void ServingSession::finished(JobId id, Ticks) { leave(id, RequestOutcome::completed); }

void ServingSession::leave(JobId id, RequestOutcome outcome) {
  const Job& job = jobs_[id];
  RequestResult result;
  result.id = job.request.id;
  result.request_class = job.request.request_class;
  result.outcome = outcome;
  result.input_tokens = job.request.input_tokens;
  result.cached_tokens = std::max(0, job.cached);
  result.output_tokens = job.generated;
  result.arrival = job.request.arrival;
  const auto moment = [&](Ticks ticks) { return ticks < 0 ? to_seconds(now_) : to_seconds(ticks); };
  result.scheduled = moment(job.admitted);
  result.first_token = moment(job.first_token);
  result.queued = moment(job.queued);
  result.prompt_done = moment(job.prompt_done);
  result.finish = to_seconds(now_);
  metrics_.finished(result);
  last_event_ = now_;
  sojourns_ += now_ - to_ticks(job.request.arrival);
  --live_;
  if (source_) source_->finished(job.request, result.finish, outcome);
  if (sink_) sink_(job.request, result);
  jobs_.remove(id);
}

// ------------------------------------------------------------------------------------------------- what goes
// on beside

void ServingSession::set_state(Unit& unit, State state) {
  // One that is broken or starting is paid for; one that autoscaling has given back is not.
  const auto span = [&unit](State s) -> Ticks* {
    return s == State::broken ? &unit.broken_time : s == State::down ? &unit.down_time : &unit.up_time;
  };
  if (span(unit.state) != span(state)) {
    *span(unit.state) += now_ - unit.since;
    unit.since = now_;
  }
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
    units_[pool.first + i].replica->set_pricer(*pool.levels[now], now_);
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
  if (next_sample_ >= sample_period_ * kSamplesPerPeriod) sample_period_ *= 2;
  next_sample_ += sample_period_;
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

Ticks ServingSession::next_fault() const {
  const std::vector<StatedFault>& stated = config_.failures.stated;
  Ticks next = next_stated_ < stated.size() ? to_ticks(stated[next_stated_].at) : kNeverTick;
  for (const Restart& restart : restarts_) next = std::min(next, restart.at);
  return next;
}

/// What was stated to stop now; rolling restarts go on to their next replica when the one before is back.
void ServingSession::stated_faults() {
  const std::vector<StatedFault>& stated = config_.failures.stated;
  for (; next_stated_ < stated.size() && to_ticks(stated[next_stated_].at) <= now_; ++next_stated_) {
    const StatedFault& fault = stated[next_stated_];
    if (fault.one_by_one)
      restarts_.push_back({now_, next_stated_, 0});
    else
      for (const std::size_t unit : fault.replicas) fail(unit, fault.repair);
  }
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

/// Gets no further requests, answers those it has, and is then away for as long as a start takes.
void ServingSession::restart(std::size_t index, Seconds repair) {
  Unit& unit = units_[index];
  if (unit.state != State::up) return;
  unit.restarts = std::max<Ticks>(1, to_ticks(repair));
  set_state(unit, State::draining);
  refresh(index);
}

void ServingSession::fail(std::size_t index, Seconds repair) {
  Unit& unit = units_[index];
  if (unit.state != State::up && unit.state != State::draining) return;
  ++failures_;
  unit.restarts = 0;
  set_state(unit, State::broken);
  change_at(unit, now_ + to_ticks(repair));
  std::vector<JobId> homeless;
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
  std::sort(homeless.begin(), homeless.end());
  for (const JobId id : homeless) recover(id);
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

std::vector<Unfinished> ServingSession::withdraw() {
  assert(!moves_);
  std::vector<JobId> all;
  for (const auto& [arrival, job] : incoming_) all.push_back(job);
  incoming_.clear();
  for (std::size_t i = 0; i < units_.size(); ++i) {
    for (const JobId job : units_[i].replica->abandon(now_)) all.push_back(job);
    refresh(i);
  }
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

/// Surplus replicas are drained from the last on; those that are draining are the first to be wanted again.
void ServingSession::autoscale(Pool& pool) {
  std::vector<PoolScaler::Unit> seen;
  int working = 0;
  for (std::size_t i = 0; i < pool.views.size(); ++i) {
    const Unit& unit = units_[pool.first + i];
    seen.push_back({unit.replica.get(), unit.state == State::up});
    working += unit.state == State::up || unit.state == State::starting;
  }
  const int wanted = pool.scaler->wanted(seen, now_);
  for (const State from : {State::draining, State::down}) {
    for (std::size_t i = 0; i < pool.views.size() && working < wanted; ++i) {
      Unit& unit = units_[pool.first + i];
      if (unit.state != from || unit.changes != kNeverTick || unit.restarts > 0) continue;
      if (from == State::down) change_at(unit, now_ + to_ticks(pool.scaler->config().startup));
      set_state(unit, from == State::down ? State::starting : State::up);
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
      --working;
    }
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
    for (std::size_t i = 0; i < pool.views.size(); ++i) {
      const Unit& unit = units_[pool.first + i];
      totals.counters += unit.replica->counters();
      totals.kv += kv_counters(*unit.replica);
      totals.pages_in_use += pages_in_use(*unit.replica);
      totals.kv_capacity_tokens += unit.replica->kv_capacity_tokens();
      const Ticks since = std::max<Ticks>(0, last_event_ - unit.since);
      const bool broken = unit.state == State::broken, up = !broken && unit.state != State::down;
      totals.up_time += to_seconds(unit.up_time + (up ? since : 0));
      totals.broken_time += to_seconds(unit.broken_time + (broken ? since : 0));
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
