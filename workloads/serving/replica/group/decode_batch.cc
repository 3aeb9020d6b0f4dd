#include "workloads/serving/replica/group/decode_batch.h"

#include <algorithm>
#include <limits>

namespace flopcast {
namespace {

bool alive(const JobTable& jobs, const JobEvent& event) { return jobs[event.job].epoch == event.epoch; }

/// What a job's place in its pages depends on, whatever the iteration.
std::int64_t page_offset(const TokenPattern& pattern, const Job& job) { return job.base - pattern.tokens(job.joined); }

}  // namespace

DecodeBatch::DecodeBatch(const ReplicaConfig& config, KvCache& cache, JobTable& jobs, const TokenPattern& pattern,
                         ReplicaState& state, std::int64_t& requests)
    : grows_(config.scheduler.admission->grows),
      classes_(config.classes && config.classes->ordered() ? config.classes.get() : nullptr),
      cache_(&cache),
      jobs_(&jobs),
      pattern_(pattern),
      state_(&state),
      requests_(&requests),
      demand_(config.cache.page_tokens) {}

void DecodeBatch::clear() {
  jobs_in_.clear();
  kv_base_ = 0;
  finishes_.clear();
  next_finish_ = kNeverIteration;
  page_needs_.clear();
  demand_ = PageDemand(cache_->page().tokens);
  provided_ = 0;
}

void DecodeBatch::add(JobId id) {
  Job& job = (*jobs_)[id];
  const std::int64_t iteration = state_->iteration;
  job.base = job.context();
  job.joined = iteration;
  job.paged = false;
  ++job.epoch;
  job.place = static_cast<std::uint32_t>(jobs_in_.size());
  jobs_in_.push_back(id);
  ++*requests_;
  kv_base_ += job.base - pattern_.tokens(iteration);
  state_->load.decoding_tokens += job.base;
  ++state_->load.decoding;
  const std::int64_t left = job.request.output_tokens - job.generated;
  finishes_.push({iteration + pattern_.iterations(iteration, left), id, job.epoch});
  next_finish_ = finishes_.top().at;
  // The token to be processed first may need a page of its own.
  if (grows_) page_needs_.push({iteration, id, job.epoch});
  state_->batch_changed = true;
  ++state_->joined;
}

void DecodeBatch::remove(JobId id) {
  Job& job = (*jobs_)[id];
  const std::int64_t length = length_at(job, state_->iteration);
  if (job.paged) {
    demand_.remove(page_offset(pattern_, job));
    cache_->assign(job.sequence, length_at(job, provided_ - 1));
    job.paged = false;
  }
  kv_base_ -= page_offset(pattern_, job);
  state_->load.decoding_tokens -= length;
  --state_->load.decoding;
  const JobId last = jobs_in_.back();
  jobs_in_[job.place] = last;
  (*jobs_)[last].place = job.place;
  jobs_in_.pop_back();
  --*requests_;
  ++job.epoch;
  state_->batch_changed = true;
}

/// A request of n tokens more needs n / page pages more and perhaps one: as long as so many are there for each, none
/// has to be looked for.
std::int64_t DecodeBatch::quiet_until() const {
  if (empty()) return kNeverIteration;
  std::int64_t until = next_finish_;
  if (!page_needs_.empty()) until = std::min(until, page_needs_.top().at);
  if (demand_.empty()) return until;
  const std::int64_t each = cache_->available_pages() / size();
  return std::min(until, provided_ + pattern_.iterations(provided_ - 1, each * cache_->page().tokens) - 1);
}

JobId DecodeBatch::take_first_finished() {
  JobId finished;
  while (!finished.valid() && next_finish_ <= state_->iteration) {
    const JobEvent event = finishes_.top();
    finishes_.pop();
    next_finish_ = finishes_.empty() ? kNeverIteration : finishes_.top().at;
    if (!alive(*jobs_, event)) continue;
    remove(event.job);
    finished = event.job;
  }
  return finished;
}

// ------------------------------------------------------------------------------------------------- pages

void DecodeBatch::take_page_needs(std::int64_t before) {
  due_.clear();
  for (; !page_needs_.empty() && page_needs_.top().at < before; page_needs_.pop())
    if (alive(*jobs_, page_needs_.top())) due_.push_back(page_needs_.top());
}

bool DecodeBatch::provide_now(std::int64_t before) {
  const std::int64_t counted =
      before > provided_ ? demand_.pages(pattern_.tokens(provided_ - 1), pattern_.tokens(before - 1)) : 0;
  take_page_needs(before);
  std::int64_t wanted = counted;
  const auto length = [&](const JobEvent& event) { return length_at((*jobs_)[event.job], before - 1); };
  for (const JobEvent& event : due_)
    wanted += std::max<std::int64_t>(
        0, cache_->page().pages_of(length(event)) - cache_->held_pages((*jobs_)[event.job].sequence));
  if (wanted > cache_->available_pages()) {
    for (const JobEvent& event : due_) page_needs_.push(event);
    return false;
  }
  cache_->take_pages(counted);
  for (const JobEvent& event : due_) {
    cache_->reserve((*jobs_)[event.job].sequence, static_cast<std::int32_t>(length(event)));
    count_pages(event.job, before - 1);
  }
  provided_ = std::max(provided_, before);
  return true;
}

void DecodeBatch::provide_in_turn(std::int64_t before, const std::function<void(JobId)>& give_way) {
  const std::int64_t first = page_needs_.empty() ? provided_ : std::min(provided_, page_needs_.top().at);
  for (std::int64_t i = first; i < before; ++i) provide_iteration(i, give_way);
  provided_ = std::max(provided_, before);
}

void DecodeBatch::provide_iteration(std::int64_t iteration, const std::function<void(JobId)>& give_way) {
  take_page_needs(iteration + 1);
  if (iteration >= provided_) {
    provided_ = iteration;
    const std::int64_t from = pattern_.tokens(iteration - 1), to = pattern_.tokens(iteration);
    for (const JobId id : jobs_in_) {
      const Job& job = (*jobs_)[id];
      if (job.paged && demand_.needs(page_offset(pattern_, job), from, to)) due_.push_back({iteration, id, job.epoch});
    }
  }
  std::sort(due_.begin(), due_.end());
  for (const JobEvent& event : due_) {
    if (!alive(*jobs_, event)) continue;
    Job& job = (*jobs_)[event.job];
    if (job.paged) cache_->assign(job.sequence, length_at(job, iteration - 1));
    bool kept = true;
    while (kept && !cache_->reserve(job.sequence, static_cast<std::int32_t>(length_at(job, event.at)))) {
      const JobId victim = youngest();
      kept = victim != event.job;
      give_way(victim);
    }
    if (kept && !job.paged) count_pages(event.job, event.at);
  }
  provided_ = std::max(provided_, iteration + 1);
}

JobId DecodeBatch::youngest() const {
  const auto priority = [&](const Job& job) {
    return classes_ == nullptr ? 0 : classes_->of[job.request.request_class].priority;
  };
  return *std::max_element(jobs_in_.begin(), jobs_in_.end(), [&](JobId left, JobId right) {
    const Job &a = (*jobs_)[left], &b = (*jobs_)[right];
    const int first = priority(a), second = priority(b);
    return first != second ? first > second : a.order < b.order;
  });
}

/// A job that has the pages of iteration `at` is counted from then on; one that has more, or whose window still fills,
/// is looked at again when it needs its next page, unless it finishes before.
void DecodeBatch::count_pages(JobId id, std::int64_t at) {
  Job& job = (*jobs_)[id];
  const std::int64_t held = cache_->held_pages(job.sequence);
  const PageSize& page = cache_->page();
  if (held <= page.pages_of(length_at(job, at)) && page.window_is_full(length_at(job, at))) {
    job.paged = true;
    demand_.add(page_offset(pattern_, job));
    return;
  }
  const std::int64_t needed = job.joined + pattern_.iterations(job.joined, page.tokens_of(held) + 1 - job.base);
  const std::int64_t done = job.joined + pattern_.iterations(job.joined, job.request.output_tokens - job.generated);
  if (needed < done) page_needs_.push({needed, id, job.epoch});
}

std::int64_t DecodeBatch::provided_for(std::int64_t iterations) const {
  if (empty()) return iterations;
  const PageSize& page = cache_->page();
  const std::int64_t blocks = pattern_.tokens(state_->iteration, iterations) / page.tokens + 1;
  const std::int64_t per_request = page_needs_.empty() ? blocks : blocks * page.most_per_block();
  if (size() * per_request <= cache_->available_pages()) return iterations;
  // The first iteration that may need a page, of those not provided for.
  std::int64_t next = page_needs_.empty() ? kNeverIteration : page_needs_.top().at;
  if (!demand_.empty()) {
    const std::int64_t last = provided_ - 1, given = pattern_.tokens(last);
    next = std::min(next, last + pattern_.iterations(last, demand_.next(given) - given));
  }
  return std::min(iterations, next - state_->iteration);
}

}  // namespace flopcast
