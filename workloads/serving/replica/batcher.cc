#include "workloads/serving/replica/batcher.h"

#include <algorithm>

namespace flopcast {
namespace {

/// Room that a job gets beside its context.
std::int32_t reserve_of(const Job& job, const ReplicaConfig& config) {
  if (hands_on(config.role)) return 0;
  return config.scheduler.admission->reserved(job.request.output_tokens - job.generated);
}

}  // namespace

Batcher::Batcher(const ReplicaConfig& config, JobTable& jobs, const TokenPattern& pattern, ReplicaState& state,
                 std::size_t group, ReplicaListener& listener)
    : config_(&config),
      jobs_(&jobs),
      pattern_(pattern),
      state_(&state),
      listener_(&listener),
      cache_(config.cache),
      waiting_(config.classes && config.classes->ordered() ? config.classes.get() : nullptr),
      deadlines_(config.classes && config.classes->deadlines() ? config.classes.get() : nullptr),
      group_(group),
      requests_(state.groups.requests[group]),
      work_(state.groups.work[group]),
      decode_(config, cache_, jobs, pattern, state, requests_),
      prompts_(jobs, state.load) {}

// ------------------------------------------------------------------------------------------------- coming and going

void Batcher::submit(JobId id, Ticks work) {
  Job& job = (*jobs_)[id];
  waiting_.push_back(id, job.request.request_class);
  deadlines_.watch(id, job);
  ++requests_;
  work_ += job.work = work;
  ++state_->load.waiting;
  ++state_->load.outstanding;
  state_->load.queued_tokens += job.context();
  publish();
}

/// What the replica sees of the group without looking into it.
void Batcher::publish() {
  ReplicaState::Groups& all = state_->groups;
  const bool quiet = only_decodes() && fresh_.empty() && deadlines_.next() == kNeverTick;
  all.quiet_until[group_] = quiet ? decode_.quiet_until() : 0;
  all.decoding[group_] = decode_.size();
  all.kv_base[group_] = decode_.kv_base();
}

void Batcher::leave(KvSequence sequence, Ticks work) {
  cache_.finish(sequence);
  work_ -= work;
  --state_->load.outstanding;
}

void Batcher::join(JobId id) {
  --placed_;
  arrived_.push_back(id);
  deadlines_.watch(id, (*jobs_)[id]);  // it may have got late on its way
  publish();
}

void Batcher::unplace(JobId id) {
  const Job& job = (*jobs_)[id];
  leave(job.sequence, job.work);
  --placed_;
  --requests_;
  publish();
}

void Batcher::release(JobId id) {
  const Job& job = (*jobs_)[id];
  leave(job.source_sequence, job.source_work);
  --state_->load.handed_on;
  state_->load.prompting_tokens -= job.request.input_tokens;
  publish();
}

void Batcher::withdraw(std::uint32_t source, std::vector<JobId>& out) {
  waiting_.for_each([&](JobId id) {
    if ((*jobs_)[id].source != source) return;
    out.push_back(id);
    leave_queue((*jobs_)[id]);
  });
  waiting_.erase_if([&](JobId id) { return (*jobs_)[id].source == source; });
  publish();
}

/// The books of one that waited.
void Batcher::leave_queue(const Job& job) {
  --requests_;
  work_ -= job.work;
  state_->load.queued_tokens -= job.context();
  --state_->load.waiting;
  --state_->load.outstanding;
}

void Batcher::list(std::vector<JobId>& out) const {
  waiting_.for_each([&](JobId id) { out.push_back(id); });
  out.insert(out.end(), swapped_.begin(), swapped_.end());
  out.insert(out.end(), prompting_.begin(), prompting_.end());
  out.insert(out.end(), decode_.jobs().begin(), decode_.jobs().end());
  out.insert(out.end(), arrived_.begin(), arrived_.end());
  for (const auto& [ready, job] : restoring_) out.push_back(job);
}

void Batcher::give_away(JobId job) {
  std::erase(fresh_, job);
  std::erase(just_shown_, job);
  take_out(job);
  publish();
}

void Batcher::abandon(std::vector<JobId>& out) {
  for (const JobId id : decode_.jobs()) {
    Job& job = (*jobs_)[id];
    job.generated += static_cast<std::int32_t>(pattern_.tokens(job.joined, state_->iteration - job.joined));
  }
  list(out);
  waiting_.clear();
  swapped_.clear();
  prompting_.clear();
  arrived_.clear();
  restoring_.clear();
  placed_ = requests_ = 0;
  restored_at_ = work_ = 0;
  cache_ = KvCache(config_->cache);
  decode_.clear();
  prompts_.clear();
  fresh_.clear();
  just_shown_.clear();
  deadlines_.clear();
  publish();
}

// ------------------------------------------------------------------------------------------------- the next iteration

void Batcher::schedule(Ticks now) {
  put_together(now);
  publish();
}

void Batcher::put_together(Ticks now) {
  now_ = now;
  if (deadlines_.next() <= now) drop_late(now);
  provide_pages(state_->iteration + 1);
  if (only_decodes()) return;  // nobody to be put together with: most groups of a wide replica, most of the time
  // The first token came with the cache, and is shown when the request is taken in (SGLang's decode server streams it
  // then: process_batch_result_prebuilt; vLLM's computes it once more, an iteration later).
  for (const JobId id : arrived_) {
    Job& job = (*jobs_)[id];
    if (job.first_token < 0 && config_->first_step_token)
      fresh_.push_back(id);
    else if (job.first_token < 0)
      job.first_token = now;
    decode_.add(id);
  }
  requests_ -= static_cast<std::int64_t>(arrived_.size());
  arrived_.clear();
  for (; next_restored() <= now; restoring_.pop_front()) prompting_.push_back(restoring_.front().second);
  bring_back();
  if (config_->role == ReplicaRole::decode) place(now);
  token_budget = config_->tokens_under_way();
  decoding_requests = decode_.size();
  decoding_tokens = decoding_requests * (1 + (state_->drafts ? config_->speculation.depth : 0));
  config_->scheduler.batching->compose(*this);
  provide_pages(state_->iteration + 1);
}

/// Whoever decodes leaves the batch and joins it anew, with what it has got so far.
void Batcher::set_pattern(const TokenPattern& pattern) {
  const std::int64_t joined = state_->joined;
  const std::vector<JobId> jobs(decode_.jobs().begin(), decode_.jobs().end());
  for (const JobId id : jobs) {
    Job& job = (*jobs_)[id];
    const std::int64_t passed = state_->iteration - job.joined;
    decode_.remove(id);
    job.generated += static_cast<std::int32_t>(pattern_.tokens(job.joined, passed));
  }
  pattern_ = pattern;
  decode_.set_pattern(pattern);
  for (const JobId id : jobs) decode_.add(id);
  state_->joined = joined;
  if (!jobs.empty()) provide_pages(state_->iteration + 1);
  publish();
}

void Batcher::show_first_tokens(Ticks when) {
  if (fresh_.empty()) return;
  for (const JobId id : fresh_) (*jobs_)[id].first_token = when;
  fresh_.clear();
  publish();
}

void Batcher::delay_first_tokens(Ticks late) {
  for (const JobId id : just_shown_) (*jobs_)[id].first_token += late;
  just_shown_.clear();
}

std::int64_t Batcher::continue_prompts(std::int64_t tokens) {
  const std::size_t earlier = prompts_.pieces().size();  // none, but where a policy asks again or admits first
  for (const JobId id : prompting_)
    if (!prompts_.take(id, tokens, config_->scheduler.chunked_prefill, earlier)) break;
  return tokens;
}

std::int64_t Batcher::admit_waiting(std::int64_t tokens) {
  while (tokens > 0 && !waiting_.empty() && swapped_.empty()) {
    const JobId id = waiting_.front();
    const Job& job = (*jobs_)[id];
    if (job.queued > state_->seen_until) break;
    // Decode replicas compute again what was preempted, and nothing else.
    if (config_->role == ReplicaRole::decode && job.preemptions == 0) break;
    if (!has_slot() || !admit(id)) {
      if (!make_way(id)) break;
      continue;
    }
    waiting_.pop_front();
    if (job.preemptions == 0) waiting_.served(job.request.request_class, job.context() - job.computed);
    --requests_;
    --state_->load.waiting;
    const bool ready = !prompting_.empty() && prompting_.back() == id;
    if (ready && !prompts_.take(id, tokens, config_->scheduler.chunked_prefill)) break;
  }
  return tokens;
}

bool Batcher::has_slot() const {
  const auto taken = static_cast<std::size_t>(decode_.size() + placed_) + prompting_.size() + restoring_.size();
  return taken < static_cast<std::size_t>(config_->scheduler.max_batch);
}

/// Gives a job pages for its whole context, and beside others one to begin its answer in: it should not have
/// to give way at once. What lower tiers hold of it is brought up first.
bool Batcher::admit(JobId id) {
  Job& job = (*jobs_)[id];
  const bool alone = decode_.empty() && prompting_.empty() && restoring_.empty();
  const std::int32_t beginning = alone || hands_on(config_->role) ? 0 : cache_.page_tokens();
  const std::int32_t wanted = job.context() + std::max(beginning, reserve_of(job, *config_));
  const auto started = cache_.start(job.request.prefix, job.context(), wanted);
  if (!started) return false;
  job.sequence = started->sequence;
  job.order = state_->admissions++;
  const PerTier<std::int32_t>& hit = started->hit;
  const bool encodes = config_->role == ReplicaRole::encode;
  const std::int32_t stated = encodes ? 0 : std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  job.computed = std::max(hit.total(), stated);
  if (job.admitted < 0) job.admitted = now_;
  if (job.cached < 0 && !encodes) job.cached = job.computed;
  state_->load.prompting_tokens += job.computed;
  state_->load.queued_tokens -= job.computed;
  const PerTier<Ticks>& per_token = config_->restore_ticks_per_token;
  const Ticks restoring = per_token[KvTier::host] * hit[KvTier::host] +
                          per_token[KvTier::storage] * hit[KvTier::storage] +
                          config_->restore_ticks_per_stated_token * std::max(0, stated - hit.total());
  if (restoring == 0) {
    prompting_.push_back(id);
    return true;
  }
  restored_at_ = std::max(restored_at_, now_) + restoring;
  restoring_.emplace_back(restored_at_, id);
  return true;
}

/// Decode replicas give the first in the queue pages for its cache, which is then sent; but not the last ones, which
/// answers under way will need: to give way later costs more than to wait.
void Batcher::place(Ticks now) {
  while (!waiting_.empty() && swapped_.empty()) {
    const JobId id = waiting_.front();
    Job& job = (*jobs_)[id];
    // A preempted job's prompt is computed again here, by the engine that decodes.
    if (job.preemptions > 0) return;
    const auto there = decode_.size() + static_cast<std::int64_t>(arrived_.size()) + placed_;
    const std::int64_t reserved = there * cache_.pages_of(config_->reserved_tokens);
    const bool room =
        has_slot() && (cache_.pages_of(job.context()) + reserved <= cache_.available_pages() || there == 0);
    std::optional<KvCache::Start> started;
    if (room) started = cache_.start(PrefixBlocks{}, job.context(), job.context() + reserve_of(job, *config_));
    if (!started) {
      if (!make_way(id)) return;
      continue;
    }
    job.sequence = started->sequence;
    job.order = state_->admissions++;
    waiting_.pop_front();
    --state_->load.waiting;
    state_->load.queued_tokens -= job.context();
    ++placed_;
    listener_->placed(id, now);
  }
}

// ------------------------------------------------------------------------------------------------- its end

void Batcher::decoded(std::int64_t iterations) {
  // Pages that were needed on the way come first, then what ends here.
  provide_pages(state_->iteration + iterations);
  publish();
}

void Batcher::finish_due(Ticks now) {
  for (JobId id = decode_.take_finished(); id.valid(); id = decode_.take_finished()) {
    Job& job = (*jobs_)[id];
    job.generated = job.request.output_tokens;
    // Drafts that were accepted in the last iteration may have no page: what has none is shared with nobody.
    const std::int64_t paged = cache_.tokens_of(cache_.held_pages(job.sequence));
    if (!job.request.prefix.empty())
      cache_.computed(job.sequence, static_cast<std::int32_t>(std::min<std::int64_t>(job.context() - 1, paged)));
    waiting_.served(job.request.request_class, 2 * std::int64_t{job.generated});
    leave(job.sequence, job.work);
    listener_->finished(id, now);
  }
  publish();
}

void Batcher::prompts_computed(Ticks begin, Ticks now) {
  const std::int64_t tokens = prompts_.tokens();
  ReplicaCounters& counters = state_->counters;
  for (const PromptPiece& piece : prompts_.pieces()) {
    Job& job = (*jobs_)[piece.job];
    job.computing += static_cast<Ticks>(static_cast<double>(now - begin) * piece.tokens / static_cast<double>(tokens));
    job.computed += piece.tokens;
    counters.prompt_tokens += piece.tokens;
    state_->load.prompting_tokens += piece.tokens;
    cache_.computed(job.sequence, job.computed);
    if (job.computed < job.context()) continue;
    std::erase(prompting_, piece.job);
    if (config_->role != ReplicaRole::encode) {
      if (job.prompt_done < 0) job.prompt_done = now;
      ++job.generated;
      ++counters.prompts_done;
      if (job.first_token < 0) {
        counters.prompt_tokens_done += job.request.input_tokens;
        counters.prompt_waits += now - to_ticks(job.request.arrival);
      }
    }
    const bool more = job.generated < job.request.output_tokens;
    const bool goes_on = more && hands_on(config_->role);
    if (job.first_token < 0 && !goes_on) {
      job.first_token = now;
      if (config_->results_behind_launch) just_shown_.push_back(piece.job);
    }
    if (goes_on) {
      ++state_->load.handed_on;
      job.source = state_->id;
      job.source_rank = job.rank;
      job.source_work = job.work;
      job.source_sequence = job.sequence;
      listener_->handed_on(piece.job, now);
      continue;
    }
    state_->load.prompting_tokens -= job.computed;
    if (more) {
      decode_.add(piece.job);
      continue;
    }
    leave(job.sequence, job.work);
    listener_->finished(piece.job, now);
  }
  prompts_.clear();
  publish();
}

// ------------------------------------------------------------------------------------------------- giving way

void Batcher::provide_pages(std::int64_t before) {
  if (!decode_.provide_at_once(before)) decode_.provide_in_turn(before, [this](JobId id) { preempt(id, true); });
}

/// The youngest request of the lowest priority below that of `id` gives its place away: its prompt, and what it has of
/// its answer, are computed again later (SGLang's --enable-priority-scheduling). False: nobody does.
bool Batcher::make_way(JobId id) {
  const ClassRules* rules = config_->classes.get();
  if (rules == nullptr || !rules->preempt || decode_.empty()) return false;
  const JobId least = decode_.youngest();
  const auto priority = [&](JobId job) { return rules->of[(*jobs_)[job].request.request_class].priority; };
  if (priority(least) >= priority(id)) return false;
  ++state_->counters.made_way;
  preempt(least, false);
  return true;
}

/// Who has not got what it wanted in time goes, wherever it stands; one on its way between replicas goes when it is
/// there.
void Batcher::drop_late(Ticks now) {
  for (JobId id = deadlines_.take(*jobs_, now); id.valid(); id = deadlines_.take(*jobs_, now))
    if ((*jobs_)[id].replica == state_->id && take_out(id)) listener_->expired(id, now);
}

bool Batcher::take_out(JobId id) {
  Job& job = (*jobs_)[id];
  const auto among = [id](const auto& jobs) { return std::find(jobs.begin(), jobs.end(), id) != jobs.end(); };
  if (job.place < decode_.jobs().size() && decode_.jobs()[job.place] == id) {
    const std::int64_t passed = state_->iteration - job.joined;
    decode_.remove(id);
    job.generated += static_cast<std::int32_t>(pattern_.tokens(job.joined, passed));
    leave(job.sequence, job.work);
    return true;
  }
  if (among(prompting_)) {
    std::erase(prompting_, id);
    leave_prompting(job);
    return true;
  }
  if (among(arrived_)) {
    std::erase(arrived_, id);
    --requests_;
    leave(job.sequence, job.work);
    return true;
  }
  if (among(swapped_)) {
    swapped_.erase_if([id](JobId other) { return other == id; });
    --requests_;
    leave(job.sequence, job.work);
    return true;
  }
  if (restoring_.erase_if([id](const auto& one) { return one.second == id; }) > 0) {
    leave_prompting(job);
    return true;
  }
  bool waits = false;
  waiting_.erase_if([&](JobId other) {
    waits = waits || other == id;
    return other == id;
  });
  if (waits) leave_queue(job);
  return waits;
}

/// The books of one whose prompt was being computed.
void Batcher::leave_prompting(const Job& job) {
  state_->load.prompting_tokens -= job.computed;
  state_->load.queued_tokens -= job.context() - job.computed;
  leave(job.sequence, job.work);
}

/// @param keep its cache, where the preemption policy does. It lies elsewhere then; else it is computed again.
void Batcher::preempt(JobId id, bool keep) {
  Job& job = (*jobs_)[id];
  const std::int64_t iteration = state_->iteration, length = decode_.length_at(job, iteration);
  decode_.remove(id);
  job.generated += static_cast<std::int32_t>(pattern_.tokens(job.joined, iteration - job.joined));
  ++job.preemptions;
  ++state_->counters.preemptions;
  if (keep && config_->scheduler.preemption->keep(cache_, job.sequence)) {
    ++state_->counters.swaps;
    job.swapped = true;
    state_->debt += config_->restore_ticks_per_token[KvTier::host] * length;
    swapped_.push_back(id);
    ++requests_;
    return;
  }
  cache_.finish(job.sequence);
  job.computed = 0;
  state_->counters.recomputed_tokens += job.context();
  waiting_.push_front(id, job.request.request_class);
  ++requests_;
  ++state_->load.waiting;
  state_->load.queued_tokens += job.context();
}

void Batcher::bring_back() {
  while (!swapped_.empty() && has_slot()) {
    const JobId id = swapped_.front();
    Job& job = (*jobs_)[id];
    if (!cache_.swap_in(job.sequence)) return;
    swapped_.pop_front();
    --requests_;
    job.swapped = false;
    state_->debt += config_->restore_ticks_per_token[KvTier::host] * job.context();
    decode_.add(id);
  }
}

}  // namespace flopcast
