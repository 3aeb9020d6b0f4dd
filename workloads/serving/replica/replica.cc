#include "workloads/serving/replica/replica.h"

#include <algorithm>
#include <utility>

#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/group_choice.h"

namespace flopcast {

Replica::Replica(std::uint32_t id, const ReplicaConfig& config, IterationPricer& pricer, JobTable& jobs,
                 GapHistogram& gaps, ReplicaListener& listener)
    : config_(config),
      jobs_(&jobs),
      state_(id, static_cast<std::size_t>(config.groups)),
      outbox_(listener, config.results_behind_launch),
      loop_(config_, pricer, groups_, state_, gaps, outbox_) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(config.groups); ++i)
    groups_.emplace_back(config_, jobs, loop_.pattern(), state_, i, outbox_);
}

void Replica::archive(StateArchive& state, std::span<IterationPricer* const> pricers) {
  state(state_, outbox_);
  for (Batcher& group : groups_) state(group);
  loop_.archive(state, pricers);
}

// ------------------------------------------------------------------------------------------------- what others see

bool fits(const Replica& replica, const Request& request) {
  const KvCache& cache = replica.groups().front().jobs().cache;
  const std::int64_t context =
      std::int64_t{request.input_tokens} + request.output_tokens + replica.config().speculation.depth;
  return cache.page().pages_of(context) <= cache.capacity_pages();
}

std::int32_t match(const Replica& replica, const Request& request) {
  std::int32_t best = 0;
  if (request.prefix.empty()) return best;
  for (const Batcher& group : replica.groups())
    best = std::max(best, group.jobs().cache.match(request.prefix, request.input_tokens).total());
  return best;
}

std::int64_t kv_capacity_tokens(const Replica& replica) {
  const KvCache& cache = replica.groups().front().jobs().cache;
  return cache.capacity_pages() * cache.page().tokens * static_cast<std::int64_t>(replica.groups().size());
}

KvCounters kv_counters(const Replica& replica) {
  KvCounters sum;
  for (const Batcher& group : replica.groups()) sum += group.jobs().cache.counters();
  return sum;
}

std::int64_t pages_in_use(const Replica& replica) {
  std::int64_t pages = 0;
  for (const Batcher& group : replica.groups()) pages += group.jobs().cache.used_pages();
  return pages;
}

std::int64_t Replica::kv_tokens(Ticks now) const {
  const ReplicaLoad& load = state_.load;
  return load.decoding_tokens + load.decoding * loop_.pattern().tokens(state_.iteration, loop_.pacing().passed(now)) +
         load.prompting_tokens;
}

ReplicaCounters Replica::counters_at(Ticks now) const {
  ReplicaCounters counters = state_.counters;
  const std::int64_t passed = loop_.pacing().passed(now), decoding = state_.load.decoding;
  counters.iterations += passed;
  counters.decode_tokens += decoding * loop_.pattern().tokens(state_.iteration, passed);
  counters.decode_requests += decoding * passed;
  if (decoding > 0) counters.decode_iterations += passed;
  if (loop_.pacing().span().running) counters.busy += now - loop_.pacing().span().begin;
  return counters;
}

double Replica::exchange_share() const {
  const NicSharing& nic = loop_.nic();
  if (hands_on(config_.role)) return nic.prompt_share();
  const DecodeBatch& batch = loop_.pacing().batch();
  if (!nic.exchanges() || batch.empty()) return 0;
  return nic.decode_share(batch.size(), pricer().decode(batch.size(), state_.drafts).at(batch.kv()));
}

// ------------------------------------------------------------------------------------------------- coming and going

void Replica::submit(JobId id, Ticks now) {
  Job& job = (*jobs_)[id];
  const Ticks work = prompt_work(config_, pricer(), job);
  job.replica = state_.id;
  job.rank = static_cast<std::uint32_t>(choose_group(groups_, config_, state_, job, work));
  groups_[job.rank].submit(id, work);
  loop_.submitted(now);
}

void Replica::join(JobId id, Ticks now, double busy) {
  const Job& job = (*jobs_)[id];
  loop_.nic().moved(job.rank, job.request.input_tokens, busy);
  groups_[job.rank].join(id);
  loop_.heed(now);
}

void Replica::release(JobId id, Ticks now, double busy) {
  Job& job = (*jobs_)[id];
  loop_.nic().moved(job.source_rank, job.request.input_tokens, busy);
  groups_[job.source_rank].release(id);
  job.source = Job::kNoSource;
  loop_.heed(now);
}

void Replica::unplace(JobId id, Ticks now) {
  groups_[(*jobs_)[id].rank].unplace(id);
  loop_.heed(now);
}

std::vector<JobId> Replica::withdraw(std::uint32_t source) {
  std::vector<JobId> out;
  for (Batcher& group : groups_) group.withdraw(source, out);
  return out;
}

std::vector<JobId> Replica::give_away(std::size_t count, Ticks now) {
  if (loop_.pacing().span().running && loop_.pacing().span().prompts) return {};
  loop_.break_off(now);
  std::vector<JobId> all;
  for (const Batcher& group : groups_) group.jobs().list(all);
  const auto later_first = [this](JobId a, JobId b) {
    const Job &x = (*jobs_)[a], &y = (*jobs_)[b];
    const bool waits = x.admitted < 0, other = y.admitted < 0;
    if (waits != other) return waits;
    return x.order != y.order ? x.order > y.order : b < a;
  };
  std::sort(all.begin(), all.end(), later_first);
  all.resize(std::min(count, all.size()));
  for (const JobId id : all) groups_[(*jobs_)[id].rank].give_away(id);
  return all;
}

JobId Replica::last_below(int priority) const {
  JobId out;
  for (const Batcher& group : groups_) {
    const JobId last = group.jobs().waiting.last_below(priority);
    if (!last.valid()) continue;
    const auto rank = [&](JobId id) { return config_.classes->of[(*jobs_)[id].request.request_class].priority; };
    if (!out.valid() || rank(last) < rank(out) ||
        (rank(last) == rank(out) && (*jobs_)[last].request.id > (*jobs_)[out].request.id))
      out = last;
  }
  return out;
}

void Replica::turn_away(JobId id, Ticks now) {
  groups_[(*jobs_)[id].rank].give_away(id);
  loop_.heed(now);
}

std::vector<JobId> Replica::abandon(Ticks now) {
  loop_.break_off(now);
  std::vector<JobId> all;
  for (Batcher& group : groups_) group.abandon(all);
  std::sort(all.begin(), all.end());
  loop_.nic().idle();
  state_.joined = 0;
  state_.debt = 0;
  state_.load = {};
  return all;
}

}  // namespace flopcast
