#include "workloads/serving/session/request_flow.h"

#include <algorithm>
#include <utility>

namespace flopcast {
namespace {

/// Its tokens were shown before its stream's deadlines: the iteration that gave one may have ended after them.
bool in_time(const ClassRules* rules, const Job& job, Ticks shown) {
  if (rules == nullptr) return true;
  const ClassRule& rule = rules->of[job.request.request_class];
  const Ticks arrival = to_ticks(job.request.arrival);
  return shown <= later(arrival, rule.deadline) && job.first_token <= later(arrival, rule.first_token_deadline);
}

/// @param shown when its user had its last token
RequestResult result_of(const Job& job, RequestOutcome outcome, Ticks shown, Ticks now) {
  RequestResult result;
  result.id = job.request.id;
  result.request_class = job.request.request_class;
  result.outcome = outcome;
  result.input_tokens = job.request.input_tokens;
  result.cached_tokens = std::max(0, job.cached);
  result.output_tokens = job.generated;
  const auto moment = [&](Ticks ticks) { return ticks < 0 ? to_seconds(now) : to_seconds(ticks); };
  // As the session's clock has it: who is admitted at once has not waited for minus half a tick.
  result.arrival = moment(to_ticks(job.request.arrival));
  result.scheduled = moment(job.admitted);
  result.first_token = moment(job.first_token);
  result.queued = moment(job.queued);
  result.prompt_done = moment(job.prompt_done);
  result.finish = to_seconds(shown);
  return result;
}

}  // namespace

RequestFlow::RequestFlow(const SessionConfig& config, Ticks request_overhead, ReplicaFleet& fleet, JobTable& jobs,
                         RequestBooks& books, Topology* topology, RequestSource* source, const Ticks& now)
    : config_(config),
      fleet_(fleet),
      jobs_(jobs),
      books_(books),
      source_(source),
      now_(now),
      frontend_(request_overhead, to_ticks(config.pools.front().tokenise)),
      transfers_(config, fleet, jobs, topology, now) {
  for (std::size_t p = 0; p < config.pools.size(); ++p) routers_.emplace_back(config.pools[p], config.seed + p);
}

bool RequestFlow::archive(StateArchive& state) {
  bool sourced = source_ != nullptr;
  state(sourced);
  next_arrival_.reset();
  if (!sourced) source_ = nullptr;
  if (source_ && !source_->archive(state)) return false;
  for (PoolRouter& router : routers_)
    if (!router.archive(state)) return false;
  state(frontend_, transfers_);
  return true;
}

// ------------------------------------------------------------------------------------------------- arrivals

/// The source is asked again once a request was taken or has left.
Ticks RequestFlow::next_arrival() {
  if (!next_arrival_) next_arrival_ = source_ ? to_ticks(source_->next_arrival()) : kNeverTick;
  return *next_arrival_;
}

Ticks RequestFlow::next() { return std::min({next_arrival(), frontend_.next(), transfers_.next()}); }

void RequestFlow::submit(const Request& request) {
  arrive(request);
  if (frontend_.immediate()) take_arrivals();
}

void RequestFlow::arrive(const Request& request) {
  books_.arrived(request);
  Job job;
  job.request = request;
  frontend_.add(jobs_.add(std::move(job)), request);
}

void RequestFlow::take_arrivals() {
  while (source_ && next_arrival() <= now_) {
    next_arrival_.reset();
    arrive(source_->take());
  }
  while (frontend_.next() <= now_) {
    const JobId job = frontend_.take();
    jobs_[job].queued = now_;
    const std::span<const FleetPool> pools = fleet_.pools();
    const bool possible = std::all_of(pools.begin(), pools.end(), [&](const FleetPool& pool) {
      return fits(*fleet_.units()[pool.first].replica, jobs_[job].request);
    });
    if (!possible) {
      books_.too_long();
      leave(job, RequestOutcome::rejected, now_);
      continue;
    }
    route(job, 0);
  }
}

// ------------------------------------------------------------------------------------------------- from pool to pool

void RequestFlow::route(JobId id, std::size_t p) {
  const Job& job = jobs_[id];
  const FleetPool& pool = fleet_.pools()[p];
  std::size_t chosen = routers_[p].choose(job.request, fleet_.of(pool), now_);
  if (chosen == kNoReplica && turn_away_for(job, p)) chosen = routers_[p].choose(job.request, fleet_.of(pool), now_);
  if (chosen == kNoReplica) {
    // What has been worked on is lost, what has not is turned away.
    transfers_.drop_source(id);
    return leave(id, job.retries > 0 || p > 0 ? RequestOutcome::lost : RequestOutcome::rejected, now_);
  }
  const std::size_t unit = pool.first + chosen;
  if (job.source != Job::kNoSource && pool.config.replica.role != ReplicaRole::decode) return transfers_.send(id, unit);
  fleet_.units()[unit].replica->submit(id, now_);
  fleet_.touch(unit);
}

/// Where queues are full, one that waits makes room for another of higher priority: of the lowest priority the one that
/// came last (SGLang, scheduler.py, _abort_on_queued_limit: pull request 8746, 2025-09).
bool RequestFlow::turn_away_for(const Job& job, std::size_t p) {
  if (!config_.classes || p > 0) return false;
  const auto priority = [&](const Job& of) { return config_.classes->of[of.request.request_class].priority; };
  JobId last;
  for (const FleetUnit& unit : fleet_.of(fleet_.pools()[p])) {
    if (unit.state != UnitState::up) continue;
    const JobId here = unit.replica->last_below(priority(job));
    if (!here.valid()) continue;
    if (!last.valid() || priority(jobs_[here]) < priority(jobs_[last]) ||
        (priority(jobs_[here]) == priority(jobs_[last]) && jobs_[here].request.id > jobs_[last].request.id))
      last = here;
  }
  if (!last.valid()) return false;
  const std::size_t unit = jobs_[last].replica;
  fleet_.units()[unit].replica->turn_away(last, now_);
  fleet_.touch(unit);
  const bool started = jobs_[last].retries > 0 || jobs_[last].preemptions > 0;
  leave(last, started ? RequestOutcome::lost : RequestOutcome::rejected, now_);
  return true;
}

void RequestFlow::handed_on(JobId id, Ticks) {
  route(id, *fleet_.pools()[fleet_.units()[jobs_[id].source].pool].config.next);
}

void RequestFlow::placed(JobId id, Ticks) { transfers_.send(id, jobs_[id].replica); }

// ------------------------------------------------------------------------------------------------- the end

void RequestFlow::finished(JobId id, Ticks shown) {
  books_.shown_later(shown - now_);
  const Job& job = jobs_[id];
  if (in_time(config_.classes.get(), job, shown)) return leave(id, RequestOutcome::completed, shown);
  books_.in_vain(job.request, job.generated);
  leave(id, RequestOutcome::expired, shown);
}

void RequestFlow::expired(JobId id, Ticks) {
  transfers_.drop_source(id);
  books_.in_vain(jobs_[id].request, jobs_[id].generated);
  leave(id, RequestOutcome::expired, now_);
}

void RequestFlow::leave(JobId id, RequestOutcome outcome, Ticks shown) {
  const Job& job = jobs_[id];
  const RequestResult result = result_of(job, outcome, shown, now_);
  books_.left(result, to_ticks(job.request.arrival), shown);
  if (source_) {
    source_->finished(job.request, result.finish, outcome);
    next_arrival_.reset();
  }
  if (sink_) sink_(job.request, result);
  jobs_.remove(id);
}

std::vector<Unfinished> RequestFlow::take_out(std::vector<JobId> all) {
  std::sort(all.begin(), all.end(), [this](JobId a, JobId b) { return jobs_[a].request.id < jobs_[b].request.id; });
  std::vector<Unfinished> out;
  ResultSink sink;
  std::swap(sink, sink_);
  for (const JobId job : all) {
    out.push_back({jobs_[job].request, jobs_[job].generated});
    leave(job, RequestOutcome::lost, now_);
  }
  std::swap(sink, sink_);
  return out;
}

// ------------------------------------------------------------------------------------------------- beginning again

void RequestFlow::recover(std::vector<JobId> homeless) {
  std::sort(homeless.begin(), homeless.end());
  for (const JobId id : homeless) start_again(id);
}

void RequestFlow::start_again(JobId id) {
  Job& job = jobs_[id];
  job.source = Job::kNoSource;
  books_.in_vain(job.request, job.generated);
  if (job.retries >= config_.failures.retries) return leave(id, RequestOutcome::lost, now_);
  ++job.retries;
  const std::int32_t computed = job.generated > 0 ? job.request.input_tokens : job.computed;
  books_.retried(std::max(0, computed - std::max(0, job.cached)));
  ++job.epoch;
  job.first_token = job.prompt_done = -1;
  job.generated = job.computed = 0;
  job.preemptions = 0;
  job.computing = 0;
  job.swapped = false;
  route(id, 0);
}

}  // namespace flopcast
