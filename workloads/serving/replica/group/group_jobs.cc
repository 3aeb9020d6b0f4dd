#include "workloads/serving/replica/group/group_jobs.h"

#include <algorithm>

namespace flopcast {

GroupJobs::GroupJobs(const ReplicaConfig& replica, JobTable& jobs, const TokenPattern& tokens, ReplicaState& shared,
                     std::size_t group)
    : config(&replica),
      table(&jobs),
      pattern(tokens),
      state(&shared),
      number(group),
      requests(shared.groups.requests[group]),
      work(shared.groups.work[group]),
      cache(replica.cache),
      waiting(replica.classes && replica.classes->ordered() ? replica.classes.get() : nullptr),
      deadlines(replica.classes && replica.classes->deadlines() ? replica.classes.get() : nullptr),
      decode(replica, cache, jobs, tokens, shared, requests),
      prompts(jobs, shared.load) {}

void GroupJobs::publish() {
  ReplicaState::Groups& all = state->groups;
  // Dates of requests that have been answered wake nobody: means over time would go on to the last of them.
  if (only_decodes() && decode.size() == 0) deadlines.clear();
  const bool quiet = only_decodes() && fresh.empty() && deadlines.next() == kNeverTick;
  all.quiet_until[number] = quiet ? decode.quiet_until() : 0;
  all.decoding[number] = decode.size();
  all.kv_base[number] = decode.kv_base();
}

void GroupJobs::fetch_next() const {
  for (const JobId id : arrived) table->fetch_job(id);
  for (const JobId id : prompting) table->fetch_job(id);
  constexpr std::size_t kFew = 4;  // an iteration seldom takes more in
  for (const JobId id : waiting.first(kFew)) table->fetch_job(id);
}

void GroupJobs::leave(KvSequence sequence, Ticks reckoned) {
  cache.finish(sequence);
  work -= reckoned;
  --state->load.outstanding;
}

void GroupJobs::leave_queue(const Job& job) {
  --requests;
  work -= job.work;
  state->load.queued_tokens -= job.context();
  --state->load.waiting;
  --state->load.outstanding;
}

/// One whose prompt was being computed.
void GroupJobs::leave_prompting(const Job& job) {
  state->load.prompting_tokens -= job.computed;
  state->load.queued_tokens -= job.context() - job.computed;
  leave(job.sequence, job.work);
}

void GroupJobs::list(std::vector<JobId>& out) const {
  waiting.for_each([&](JobId id) { out.push_back(id); });
  out.insert(out.end(), swapped.begin(), swapped.end());
  out.insert(out.end(), prompting.begin(), prompting.end());
  out.insert(out.end(), decode.jobs().begin(), decode.jobs().end());
  out.insert(out.end(), arrived.begin(), arrived.end());
  for (const auto& [ready, job] : restoring) out.push_back(job);
}

bool GroupJobs::take_out(JobId id) {
  Job& job = (*table)[id];
  const auto among = [id](const auto& jobs) { return std::find(jobs.begin(), jobs.end(), id) != jobs.end(); };
  if (job.place < decode.jobs().size() && decode.jobs()[job.place] == id) {
    decode.remove(id);
    count_generated(job);
    leave(job.sequence, job.work);
    return true;
  }
  if (among(prompting)) {
    std::erase(prompting, id);
    leave_prompting(job);
    return true;
  }
  if (among(arrived)) {
    std::erase(arrived, id);
    --requests;
    leave(job.sequence, job.work);
    return true;
  }
  if (among(swapped)) {
    swapped.erase_if([id](JobId other) { return other == id; });
    --requests;
    leave(job.sequence, job.work);
    return true;
  }
  if (restoring.erase_if([id](const auto& one) { return one.second == id; }) > 0) {
    leave_prompting(job);
    return true;
  }
  bool waits = false;
  waiting.erase_if([&](JobId other) {
    waits = waits || other == id;
    return other == id;
  });
  if (waits) leave_queue(job);
  return waits;
}

void GroupJobs::clear() {
  waiting.clear();
  swapped.clear();
  prompting.clear();
  arrived.clear();
  restoring.clear();
  placed = requests = 0;
  restored_at = work = 0;
  cache = KvCache(config->cache);
  decode.clear();
  prompts.clear();
  fresh.clear();
  just_shown.clear();
  deadlines.clear();
}

}  // namespace flopcast
