#include "workloads/serving/replica/group/admission.h"

#include <algorithm>
#include <optional>

namespace flopcast {
namespace {

/// Room that a job gets beside its context.
std::int32_t reserve_of(const Job& job, const ReplicaConfig& config) {
  if (hands_on(config.role)) return 0;
  return config.scheduler.admission->reserved(job.request.output_tokens - job.generated);
}

}  // namespace

void Admission::compose(Ticks now) {
  GroupJobs& jobs = *jobs_;
  const ReplicaConfig& config = *jobs.config;
  now_ = now;
  if (jobs.deadlines.next() <= now) drop_late();
  provide_pages(jobs.state->iteration + 1);
  if (jobs.only_decodes()) return;  // nobody to be put together with: most groups of a wide replica, most of the time
  take_in();
  bring_back();
  if (config.role == ReplicaRole::decode) place();
  token_budget = config.tokens_under_way();
  decoding_requests = jobs.decode.size();
  decoding_tokens = decoding_requests * (1 + (jobs.state->drafts ? config.speculation.depth : 0));
  config.scheduler.batching->compose(*this);
  provide_pages(jobs.state->iteration + 1);
}

/// Who has not got what it wanted in time goes, wherever it stands; one on its way between replicas goes when it is
/// there.
void Admission::drop_late() {
  GroupJobs& jobs = *jobs_;
  for (JobId id = jobs.deadlines.take(*jobs.table, now_); id.valid(); id = jobs.deadlines.take(*jobs.table, now_))
    if (jobs[id].replica == jobs.state->id && jobs.take_out(id)) listener_->expired(id, now_);
}

/// Those whose caches have come, from other replicas or from lower tiers. The first token came with the cache, and is
/// shown when the request is taken in (SGLang's decode server streams it then: process_batch_result_prebuilt; vLLM's
/// computes it once more, an iteration later).
void Admission::take_in() {
  GroupJobs& jobs = *jobs_;
  for (const JobId id : jobs.arrived) {
    Job& job = jobs[id];
    if (job.first_token < 0 && jobs.config->first_step_token)
      jobs.fresh.push_back(id);
    else if (job.first_token < 0)
      job.first_token = now_;
    jobs.decode.add(id);
  }
  jobs.requests -= static_cast<std::int64_t>(jobs.arrived.size());
  jobs.arrived.clear();
  for (; jobs.next_restored() <= now_; jobs.restoring.pop_front())
    jobs.prompting.push_back(jobs.restoring.front().second);
}

/// Those that were swapped out.
void Admission::bring_back() {
  GroupJobs& jobs = *jobs_;
  while (!jobs.swapped.empty() && jobs.has_slot()) {
    const JobId id = jobs.swapped.front();
    Job& job = jobs[id];
    if (!jobs.cache.swap_in(job.sequence)) return;
    jobs.swapped.pop_front();
    --jobs.requests;
    job.swapped = false;
    jobs.state->debt += jobs.config->restore_ticks_per_token[KvTier::host] * job.context();
    jobs.decode.add(id);
  }
}

/// Decode replicas give the first in the queue pages for its cache, which is then sent; but not the last ones, which
/// answers under way will need: to give way later costs more than to wait.
void Admission::place() {
  GroupJobs& jobs = *jobs_;
  const PageSize& pages = jobs.cache.page();
  while (!jobs.waiting.empty() && jobs.swapped.empty()) {
    const JobId id = jobs.waiting.front();
    Job& job = jobs[id];
    // A preempted job's prompt is computed again here, by the engine that decodes.
    if (job.preemptions > 0) return;
    const auto there = jobs.decode.size() + static_cast<std::int64_t>(jobs.arrived.size()) + jobs.placed;
    const std::int64_t reserved = there * pages.blocks_of(jobs.config->reserved_tokens);
    const bool room =
        jobs.has_slot() && (pages.pages_of(job.context()) + reserved <= jobs.cache.available_pages() || there == 0);
    std::optional<KvCache::Start> started;
    if (room) started = jobs.cache.start(PrefixBlocks{}, job.context(), job.context() + reserve_of(job, *jobs.config));
    if (!started) {
      if (!make_way(id)) return;
      continue;
    }
    job.sequence = started->sequence;
    job.order = jobs.state->admissions++;
    jobs.waiting.pop_front();
    --jobs.state->load.waiting;
    jobs.state->load.queued_tokens -= job.context();
    ++jobs.placed;
    listener_->placed(id, now_);
  }
}

// ------------------------------------------------------------------------------------------------- prompts

std::int64_t Admission::continue_prompts(std::int64_t tokens) {
  GroupJobs& jobs = *jobs_;
  const std::size_t earlier = jobs.prompts.pieces().size();  // none, but where a policy asks again or admits first
  for (const JobId id : jobs.prompting)
    if (!jobs.prompts.take(id, tokens, jobs.config->scheduler.chunked_prefill, earlier)) break;
  return tokens;
}

std::int64_t Admission::admit_waiting(std::int64_t tokens) {
  GroupJobs& jobs = *jobs_;
  while (tokens > 0 && !jobs.waiting.empty() && jobs.swapped.empty()) {
    const JobId id = jobs.waiting.front();
    const Job& job = jobs[id];
    if (job.queued > jobs.state->seen_until) break;
    // Decode replicas compute again what was preempted, and nothing else.
    if (jobs.config->role == ReplicaRole::decode && job.preemptions == 0) break;
    if (!jobs.has_slot() || !admit(id)) {
      if (!make_way(id)) break;
      continue;
    }
    jobs.waiting.pop_front();
    if (job.preemptions == 0) jobs.waiting.served(job.request.request_class, job.context() - job.computed);
    --jobs.requests;
    --jobs.state->load.waiting;
    const bool ready = !jobs.prompting.empty() && jobs.prompting.back() == id;
    if (ready && !jobs.prompts.take(id, tokens, jobs.config->scheduler.chunked_prefill)) break;
  }
  return tokens;
}

/// Gives a job pages for its whole context, and beside others one to begin its answer in: it should not have
/// to give way at once. What lower tiers hold of it is brought up first.
bool Admission::admit(JobId id) {
  GroupJobs& jobs = *jobs_;
  const ReplicaConfig& config = *jobs.config;
  Job& job = jobs[id];
  const bool alone = jobs.decode.empty() && jobs.prompting.empty() && jobs.restoring.empty();
  const std::int32_t beginning = alone || hands_on(config.role) ? 0 : jobs.cache.page().tokens;
  const std::int32_t wanted = job.context() + std::max(beginning, reserve_of(job, config));
  const auto started = jobs.cache.start(job.request.prefix, job.context(), wanted);
  if (!started) return false;
  job.sequence = started->sequence;
  job.order = jobs.state->admissions++;
  const PerTier<std::int32_t>& hit = started->hit;
  const bool encodes = config.role == ReplicaRole::encode;
  const std::int32_t stated = encodes ? 0 : std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  job.computed = std::max(hit.total(), stated);
  if (job.admitted < 0) job.admitted = now_;
  if (job.cached < 0 && !encodes) job.cached = job.computed;
  jobs.state->load.prompting_tokens += job.computed;
  jobs.state->load.queued_tokens -= job.computed;
  const PerTier<Ticks>& per_token = config.restore_ticks_per_token;
  const Ticks restoring = per_token[KvTier::host] * hit[KvTier::host] +
                          per_token[KvTier::storage] * hit[KvTier::storage] +
                          config.restore_ticks_per_stated_token * std::max(0, stated - hit.total());
  if (restoring == 0) {
    jobs.prompting.push_back(id);
    return true;
  }
  jobs.restored_at = std::max(jobs.restored_at, now_) + restoring;
  jobs.restoring.emplace_back(jobs.restored_at, id);
  return true;
}

// ------------------------------------------------------------------------------------------------- giving way

void Admission::provide_pages(std::int64_t before) {
  DecodeBatch& decode = jobs_->decode;
  if (!decode.provide_at_once(before)) decode.provide_in_turn(before, [this](JobId id) { preempt(id, true); });
}

/// The youngest request of the lowest priority below that of `id` gives its place away: its prompt, and what it has of
/// its answer, are computed again later (SGLang's --enable-priority-scheduling). False: nobody does.
bool Admission::make_way(JobId id) {
  GroupJobs& jobs = *jobs_;
  const ClassRules* rules = jobs.config->classes.get();
  if (rules == nullptr || !rules->preempt || jobs.decode.empty()) return false;
  const JobId least = jobs.decode.youngest();
  const auto priority = [&](JobId job) { return rules->of[jobs[job].request.request_class].priority; };
  if (priority(least) >= priority(id)) return false;
  ++jobs.state->counters.made_way;
  preempt(least, false);
  return true;
}

/// @param keep its cache, where the preemption policy does. It lies elsewhere then; else it is computed again.
void Admission::preempt(JobId id, bool keep) {
  GroupJobs& jobs = *jobs_;
  ReplicaState& state = *jobs.state;
  Job& job = jobs[id];
  const std::int64_t iteration = state.iteration, length = jobs.decode.length_at(job, iteration);
  jobs.decode.remove(id);
  jobs.count_generated(job);
  ++job.preemptions;
  ++state.counters.preemptions;
  if (keep && jobs.config->scheduler.preemption->keep(jobs.cache, job.sequence)) {
    ++state.counters.swaps;
    job.swapped = true;
    state.debt += jobs.config->restore_ticks_per_token[KvTier::host] * length;
    jobs.swapped.push_back(id);
    ++jobs.requests;
    return;
  }
  jobs.cache.finish(job.sequence);
  job.computed = 0;
  state.counters.recomputed_tokens += job.context();
  jobs.waiting.push_front(id, job.request.request_class);
  ++jobs.requests;
  ++state.load.waiting;
  state.load.queued_tokens += job.context();
}

}  // namespace flopcast
