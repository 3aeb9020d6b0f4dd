#include "workloads/serving/replica/group/batcher.h"

#include <algorithm>

namespace flopcast {

Batcher::Batcher(const ReplicaConfig& config, JobTable& jobs, const TokenPattern& pattern, ReplicaState& state,
                 std::size_t group, ReplicaListener& listener)
    : jobs_(config, jobs, pattern, state, group), admission_(jobs_, listener), listener_(&listener) {}

// ------------------------------------------------------------------------------------------------- coming and going

void Batcher::submit(JobId id, Ticks work) {
  Job& job = jobs_[id];
  jobs_.waiting.push_back(id, job.request.request_class);
  jobs_.deadlines.watch(id, job);
  ++jobs_.requests;
  jobs_.work += job.work = work;
  ReplicaLoad& load = jobs_.state->load;
  ++load.waiting;
  ++load.outstanding;
  load.queued_tokens += job.context();
  jobs_.publish();
}

void Batcher::join(JobId id) {
  --jobs_.placed;
  jobs_.arrived.push_back(id);
  jobs_.deadlines.watch(id, jobs_[id]);  // it may have got late on its way
  jobs_.publish();
}

void Batcher::unplace(JobId id) {
  const Job& job = jobs_[id];
  jobs_.leave(job.sequence, job.work);
  --jobs_.placed;
  --jobs_.requests;
  jobs_.publish();
}

void Batcher::release(JobId id) {
  const Job& job = jobs_[id];
  jobs_.leave(job.source_sequence, job.source_work);
  --jobs_.state->load.handed_on;
  jobs_.state->load.prompting_tokens -= job.request.input_tokens;
  jobs_.publish();
}

void Batcher::withdraw(std::uint32_t source, std::vector<JobId>& out) {
  jobs_.waiting.for_each([&](JobId id) {
    if (jobs_[id].source != source) return;
    out.push_back(id);
    jobs_.leave_queue(jobs_[id]);
  });
  jobs_.waiting.erase_if([&](JobId id) { return jobs_[id].source == source; });
  jobs_.publish();
}

void Batcher::give_away(JobId job) {
  std::erase(jobs_.fresh, job);
  std::erase(jobs_.just_shown, job);
  jobs_.take_out(job);
  jobs_.publish();
}

void Batcher::abandon(std::vector<JobId>& out) {
  for (const JobId id : jobs_.decode.jobs()) jobs_.count_generated(jobs_[id]);
  jobs_.list(out);
  jobs_.clear();
  jobs_.publish();
}

// ------------------------------------------------------------------------------------------------- the next iteration

void Batcher::schedule(Ticks now) {
  admission_.compose(now);
  jobs_.publish();
}

/// Whoever decodes leaves the batch and joins it anew, with what it has got so far.
void Batcher::set_pattern(const TokenPattern& pattern) {
  const std::int64_t joined = jobs_.state->joined;
  const std::vector<JobId> jobs(jobs_.decode.jobs().begin(), jobs_.decode.jobs().end());
  for (const JobId id : jobs) {
    jobs_.decode.remove(id);
    jobs_.count_generated(jobs_[id]);
  }
  jobs_.pattern = pattern;
  jobs_.decode.set_pattern(pattern);
  for (const JobId id : jobs) jobs_.decode.add(id);
  jobs_.state->joined = joined;
  if (!jobs.empty()) admission_.provide_pages(jobs_.state->iteration + 1);
  jobs_.publish();
}

void Batcher::show_first_tokens(Ticks when) {
  if (jobs_.fresh.empty()) return;
  for (const JobId id : jobs_.fresh) jobs_[id].first_token = when;
  jobs_.fresh.clear();
  jobs_.publish();
}

void Batcher::delay_first_tokens(Ticks late) {
  for (const JobId id : jobs_.just_shown) jobs_[id].first_token += late;
  jobs_.just_shown.clear();
}

// ------------------------------------------------------------------------------------------------- its end

void Batcher::decoded(std::int64_t iterations) {
  // Pages that were needed on the way come first, then what ends here.
  admission_.provide_pages(jobs_.state->iteration + iterations);
}

void Batcher::finish_due(Ticks now) {
  KvCache& cache = jobs_.cache;
  for (JobId id = jobs_.decode.take_finished(); id.valid(); id = jobs_.decode.take_finished()) {
    Job& job = jobs_[id];
    job.generated = job.request.output_tokens;
    // Drafts that were accepted in the last iteration may have no page: what has none is shared with nobody.
    const std::int64_t paged = cache.page().tokens_of(cache.held_pages(job.sequence));
    if (!job.request.prefix.empty())
      cache.computed(job.sequence, static_cast<std::int32_t>(std::min<std::int64_t>(job.context() - 1, paged)));
    jobs_.waiting.served(job.request.request_class, 2 * std::int64_t{job.generated});
    jobs_.leave(job.sequence, job.work);
    listener_->finished(id, now);
  }
  jobs_.publish();
}

void Batcher::prompts_computed(Ticks begin, Ticks now) {
  const ReplicaConfig& config = *jobs_.config;
  ReplicaState& state = *jobs_.state;
  const std::int64_t tokens = jobs_.prompts.tokens();
  ReplicaCounters& counters = state.counters;
  for (const PromptPiece& piece : jobs_.prompts.pieces()) {
    Job& job = jobs_[piece.job];
    job.computing += static_cast<Ticks>(static_cast<double>(now - begin) * piece.tokens / static_cast<double>(tokens));
    job.computed += piece.tokens;
    counters.prompt_tokens += piece.tokens;
    state.load.prompting_tokens += piece.tokens;
    jobs_.cache.computed(job.sequence, job.computed);
    if (job.computed < job.context()) continue;
    std::erase(jobs_.prompting, piece.job);
    if (config.role != ReplicaRole::encode) {
      if (job.prompt_done < 0) job.prompt_done = now;
      ++job.generated;
      ++counters.prompts_done;
      if (job.first_token < 0) {
        counters.prompt_tokens_done += job.request.input_tokens;
        counters.prompt_waits += now - to_ticks(job.request.arrival);
      }
    }
    const bool more = job.generated < job.request.output_tokens;
    const bool goes_on = more && hands_on(config.role);
    if (job.first_token < 0 && !goes_on) {
      job.first_token = now;
      if (config.results_behind_launch) jobs_.just_shown.push_back(piece.job);
    }
    if (goes_on) {
      ++state.load.handed_on;
      job.source = state.id;
      job.source_rank = job.rank;
      job.source_work = job.work;
      job.source_sequence = job.sequence;
      listener_->handed_on(piece.job, now);
      continue;
    }
    state.load.prompting_tokens -= job.computed;
    if (more) {
      jobs_.decode.add(piece.job);
      continue;
    }
    jobs_.leave(job.sequence, job.work);
    listener_->finished(piece.job, now);
  }
  jobs_.prompts.clear();
  jobs_.publish();
}

}  // namespace flopcast
