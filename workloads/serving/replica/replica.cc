#include "workloads/serving/replica/replica.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

namespace flopcast {
namespace {

/// Longest jump: sums over it stay far from the end of 64 bits.
constexpr std::int64_t kLongestJump = 1 << 15;

}  // namespace

ReplicaCounters& ReplicaCounters::operator+=(const ReplicaCounters& o) {
  iterations += o.iterations;
  prompt_iterations += o.prompt_iterations;
  prompt_tokens += o.prompt_tokens;
  recomputed_tokens += o.recomputed_tokens;
  decode_tokens += o.decode_tokens;
  decode_requests += o.decode_requests;
  preemptions += o.preemptions;
  swaps += o.swaps;
  steps += o.steps;
  busy += o.busy;
  prompt_time += o.prompt_time;
  prompts_done += o.prompts_done;
  prompt_tokens_done += o.prompt_tokens_done;
  return *this;
}

ReplicaCounters ReplicaCounters::operator-(const ReplicaCounters& o) const {
  ReplicaCounters d = *this;
  d.iterations -= o.iterations;
  d.prompt_iterations -= o.prompt_iterations;
  d.prompt_tokens -= o.prompt_tokens;
  d.recomputed_tokens -= o.recomputed_tokens;
  d.decode_tokens -= o.decode_tokens;
  d.decode_requests -= o.decode_requests;
  d.preemptions -= o.preemptions;
  d.swaps -= o.swaps;
  d.steps -= o.steps;
  d.busy -= o.busy;
  d.prompt_time -= o.prompt_time;
  d.prompts_done -= o.prompts_done;
  d.prompt_tokens_done -= o.prompt_tokens_done;
  return d;
}

void Replica::EventHeap::push(Event event) {
  events_.push_back(event);
  std::push_heap(events_.begin(), events_.end(), std::greater<>());
}

void Replica::EventHeap::pop() {
  std::pop_heap(events_.begin(), events_.end(), std::greater<>());
  events_.pop_back();
}

Replica::Replica(std::uint32_t id, const ReplicaConfig& config, IterationPricer& pricer, JobTable& jobs,
                 GapHistogram& gaps, ReplicaListener& listener)
    : id_(id),
      config_(config),
      pricer_(&pricer),
      jobs_(&jobs),
      gaps_(&gaps),
      listener_(&listener),
      pattern_(config.speculation.tokens_per_iteration()) {
  groups_.reserve(static_cast<std::size_t>(config.groups));
  for (int i = 0; i < config.groups; ++i) groups_.emplace_back(config.cache);
}

// ------------------------------------------------------------------------------------------- what others see

bool Replica::fits(const Request& request) const {
  const KvCache& cache = groups_.front().cache;
  const std::int64_t context = std::int64_t{request.input_tokens} + request.output_tokens + config_.speculation.depth;
  return cache.pages_of(context) <= cache.capacity_pages();
}

std::int64_t Replica::kv_capacity_tokens() const {
  const KvCache& cache = groups_.front().cache;
  return cache.capacity_pages() * cache.page_tokens() * static_cast<std::int64_t>(groups_.size());
}

/// Iterations of a jump that are over; one that ends just now is not, as when it runs alone.
std::int64_t Replica::iterations_passed(Ticks now) const {
  if (!running_ || !decodes_ || jump_ <= 1) return 0;
  std::int64_t low = 0, high = jump_;
  const std::int64_t kv = groups_[pace_group_].kv;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (begin_ + pace_->sum(kv, middle, pattern_, iteration_) < now ? low : high) = middle;
  }
  return low;
}

std::int64_t Replica::kv_tokens(Ticks now) const {
  return decoding_tokens_ + decoding_ * pattern_.tokens(iteration_, iterations_passed(now)) + prompting_tokens_;
}

std::int64_t Replica::tokens_given(Ticks now) const {
  return counters_.decode_tokens + counters_.prompts_done +
         decoding_ * pattern_.tokens(iteration_, iterations_passed(now));
}

ReplicaCounters Replica::counters_at(Ticks now) const {
  ReplicaCounters counters = counters_;
  const std::int64_t passed = iterations_passed(now);
  counters.iterations += passed;
  counters.decode_tokens += decoding_ * pattern_.tokens(iteration_, passed);
  counters.decode_requests += decoding_ * passed;
  if (running_) counters.busy += now - begin_;
  return counters;
}

/// Of the group with most to exchange.
double Replica::exchange_ticks() const {
  double ticks = config_.nic.prompt_token * static_cast<double>(prompts_ ? prompt_tokens_ : 0);
  if (decodes_ && pace_) ticks += config_.nic.request * static_cast<double>(groups_[pace_group_].batch());
  return ticks;
}

double Replica::exchange_share() const {
  if (config_.role == ReplicaRole::prefill) return prompt_share_;
  const Group& group = groups_[pace_group_];
  if (config_.nic.request == 0 || group.decoding.empty()) return 0;
  const Ticks iteration = pricer_->decode(group.batch()).at(group.kv);
  return std::min(1.0, config_.nic.request * static_cast<double>(group.batch()) / static_cast<double>(iteration));
}

/// KV caches and the exchange of experts share the NIC as two flows do (cache_moves.h): busy a share f of the time, the
/// exchange gives half of that away, f / 2 of the time in all to the caches, which have it alone for 1 - f. So of a
/// cache's time on the NIC, (f / 2) / (1 - f / 2) is taken from the exchange.
double Replica::lost_exchange(const Job& job, double busy) const {
  return config_.nic.cached_token * job.request.input_tokens * (busy / 2) / (1 - busy / 2);
}

/// What caches have taken from the exchange since the last iteration began, on the GPU that lost most. Two
/// micro-batches hide it as long as both fit into an iteration of `duration`.
Ticks Replica::slowed_exchange(Ticks duration) {
  const double length = static_cast<double>(duration), exchange = std::min(exchange_ticks(), length);
  prompt_share_ = prompts_ && duration > 0 ? exchange / length : 0;
  double most = 0;
  for (Group& group : groups_) most = std::max(most, std::exchange(group.lost, 0.0));
  return static_cast<Ticks>(config_.nic.overlapped ? std::max(0.0, exchange + most - length) : most);
}

std::int32_t Replica::match(const Request& request) const {
  std::int32_t best = 0;
  if (request.prefix.empty()) return best;
  for (const Group& group : groups_)
    best = std::max(best, group.cache.match(request.prefix, request.input_tokens).total());
  return best;
}

Ticks Replica::full_prompt_iteration(std::int64_t computed, std::int64_t cached) const {
  const std::int64_t budget = config_.scheduler.token_budget;
  PromptLoad load;
  load.add(std::clamp<std::int64_t>(computed, 1, budget), cached, true);
  const std::int64_t prompts = std::max<std::int64_t>(1, budget / load.tokens);
  load = {load.tokens * prompts, prompts, prompts, load.twice_pairs * prompts};
  return pricer_->prompt(load, 0, 0);
}

KvCounters Replica::kv_counters() const {
  KvCounters sum;
  for (const Group& group : groups_) sum += group.cache.counters();
  return sum;
}

std::int64_t Replica::pages_in_use() const {
  std::int64_t pages = 0;
  for (const Group& group : groups_) pages += group.cache.used_pages();
  return pages;
}

// ------------------------------------------------------------------------------------------- coming and
// going

std::int64_t Replica::group_of(const Job& job) const {
  // Decoding: the group with fewest requests. Prompts: the group with least to compute, less what its cache
  // would save.
  std::size_t best = 0;
  std::int64_t least = 0;
  const Ticks work = config_.role == ReplicaRole::decode || groups_.size() == 1 ? 0 : work_of(job);
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Group& group = groups_[i];
    Ticks cost = group.load;
    if (config_.role == ReplicaRole::decode) {
      cost = group.batch() + group.placed +
             static_cast<std::int64_t>(group.waiting.size() + group.arrived.size() + group.swapped.size());
    } else if (groups_.size() > 1 && !job.request.prefix.empty()) {
      cost -= work * group.cache.match(job.request.prefix, job.request.input_tokens).total() / job.request.input_tokens;
    }
    if (i > 0 && cost >= least) continue;
    best = i;
    least = cost;
  }
  return static_cast<std::int64_t>(best);
}

Ticks Replica::work_of(const Job& job) const {
  if (groups_.size() == 1 || config_.role == ReplicaRole::decode) return 0;
  const std::int32_t cached = std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  PromptLoad load;
  load.add(job.context() - cached, cached, true);
  return pricer_->prompt(load, 0, 0);
}

void Replica::submit(JobId id, Ticks now) {
  Job& job = (*jobs_)[id];
  job.replica = id_;
  job.rank = static_cast<std::uint32_t>(group_of(job));
  Group& group = groups_[job.rank];
  group.waiting.push_back(id);
  group.load += job.work = work_of(job);
  ++waiting_;
  ++outstanding_;
  queued_tokens_ += job.context();
  truncate(now);
}

void Replica::join(JobId id, Ticks now, double busy) {
  Group& group = groups_[(*jobs_)[id].rank];
  --group.placed;
  group.lost += lost_exchange((*jobs_)[id], busy);
  group.arrived.push_back(id);
  truncate(now);
}

void Replica::release(JobId id, Ticks now, double busy) {
  Job& job = (*jobs_)[id];
  Group& group = groups_[job.source_rank];
  group.cache.finish(job.source_sequence);
  group.lost += lost_exchange(job, busy);
  group.load -= job.source_work;
  prompting_tokens_ -= job.request.input_tokens;
  --outstanding_;
  job.source = Job::kNoSource;
  truncate(now);
}

void Replica::unplace(JobId id, Ticks now) {
  const Job& job = (*jobs_)[id];
  Group& group = groups_[job.rank];
  group.cache.finish(job.sequence);
  group.load -= job.work;
  --group.placed;
  --outstanding_;
  truncate(now);
}

std::vector<JobId> Replica::withdraw(std::uint32_t source) {
  std::vector<JobId> out;
  for (Group& group : groups_) {
    for (const JobId id : group.waiting) {
      const Job& job = (*jobs_)[id];
      if (job.source != source) continue;
      out.push_back(id);
      group.load -= job.work;
      queued_tokens_ -= job.context();
      --waiting_;
      --outstanding_;
    }
    std::erase_if(group.waiting, [&](JobId id) { return (*jobs_)[id].source == source; });
  }
  return out;
}

/// Iterations of a jump that are over have happened.
void Replica::keep_what_is_over(Ticks now) {
  const std::int64_t over = iterations_passed(now);
  if (over == 0) return;
  jump_ = over;
  end_ = begin_ + pace_->sum(groups_[pace_group_].kv, over, pattern_, iteration_);
  const Ticks end = end_;
  commit(end);
  running_ = true;  // the one that was under way
  begin_ = end;
}

std::vector<JobId> Replica::abandon(Ticks now) {
  keep_what_is_over(now);
  std::vector<JobId> all;
  for (Group& group : groups_) {
    for (const auto& list : {std::vector<JobId>(group.waiting.begin(), group.waiting.end()),
                             std::vector<JobId>(group.swapped.begin(), group.swapped.end()), group.prompting,
                             group.decoding, group.arrived})
      all.insert(all.end(), list.begin(), list.end());
    for (const auto& [ready, job] : group.restoring) all.push_back(job);
    group = Group(config_.cache);
  }
  if (running_) counters_.busy += now - begin_;
  running_ = prompts_ = decodes_ = false;
  pace_ = nullptr;
  fresh_ = 0;
  debt_ = 0;
  outstanding_ = queued_tokens_ = decoding_tokens_ = prompting_tokens_ = decoding_ = 0;
  waiting_ = 0;
  std::sort(all.begin(), all.end());
  return all;
}

Ticks Replica::next_restored() const {
  Ticks next = kNeverTick;
  for (const Group& group : groups_)
    if (!group.restoring.empty()) next = std::min(next, group.restoring.front().first);
  return next;
}

Ticks Replica::next_event() const {
  if (!running_) return next_restored();
  return jump_ > 1 && !truncated_ ? std::min(end_, std::max(next_restored(), begin_)) : end_;
}

void Replica::advance(Ticks now) {
  if (!running_) return start(now);
  if (now < end_) return truncate(now);
  boundary(now);
}

void Replica::wake(Ticks now) {
  if (!running_) start(now);
}

// ------------------------------------------------------------------------------------------- ending
// iterations

void Replica::boundary(Ticks now) {
  commit(now);
  start(now);
}

void Replica::commit(Ticks now) {
  running_ = false;
  ++counters_.steps;
  counters_.busy += now - begin_;
  counters_.iterations += prompts_ ? 1 : jump_;
  if (decodes_) commit_decode(prompts_ ? 1 : jump_, now);
  if (prompts_) {
    ++counters_.prompt_iterations;
    for (Group& group : groups_) commit_pieces(group, now);
    prompts_ = false;
  }
  decodes_ = false;
}

void Replica::commit_decode(std::int64_t n, Ticks now) {
  note_tokens(n, now);
  const std::int64_t next = iteration_ + n, given = pattern_.tokens(iteration_, n);
  for (Group& group : groups_) {
    if (group.decoding.empty()) continue;
    counters_.decode_tokens += group.batch() * given;
    counters_.decode_requests += group.batch() * n;
    group.kv += group.batch() * given;
    decoding_tokens_ += group.batch() * given;
  }
  // Pages that were needed on the way come first, then what ends here.
  for (Group& group : groups_) provide_pages(group, next);
  iteration_ = next;
  for (Group& group : groups_) finish_due(group, now);
}

bool Replica::alive(const Event& event) const { return (*jobs_)[event.job].epoch == event.epoch; }

/// Reserves what decoding jobs need before iterations below `before`.
void Replica::provide_pages(Group& group, std::int64_t before) {
  if (!provide_at_once(group, before)) {
    const std::int64_t first =
        group.page_needs.empty() ? group.provided : std::min(group.provided, group.page_needs.top().at);
    for (std::int64_t i = first; i < before; ++i) provide_in_turn(group, i);
  }
  group.provided = std::max(group.provided, before);
}

std::vector<Replica::Event> Replica::take_page_needs(Group& group, std::int64_t before) {
  std::vector<Event> events;
  for (; !group.page_needs.empty() && group.page_needs.top().at < before; group.page_needs.pop())
    if (alive(group.page_needs.top())) events.push_back(group.page_needs.top());
  return events;
}

/// All of it, where there are pages enough. False, and nothing changed, otherwise.
bool Replica::provide_at_once(Group& group, std::int64_t before) {
  const std::int64_t counted =
      before > group.provided ? group.demand.pages(pattern_.tokens(group.provided - 1), pattern_.tokens(before - 1))
                              : 0;
  const std::vector<Event> events = take_page_needs(group, before);
  std::int64_t wanted = counted;
  const auto length = [&](const Event& event) { return length_at((*jobs_)[event.job], before - 1); };
  for (const Event& event : events)
    wanted += std::max<std::int64_t>(
        0, group.cache.pages_of(length(event)) - group.cache.held_pages((*jobs_)[event.job].sequence));
  if (wanted > group.cache.available_pages()) {
    for (const Event& event : events) group.page_needs.push(event);
    return false;
  }
  group.cache.take_pages(counted);
  for (const Event& event : events) {
    group.cache.reserve((*jobs_)[event.job].sequence, static_cast<std::int32_t>(length(event)));
    count_pages(group, event.job, before - 1);
  }
  return true;
}

/// One request after the other, in order of their number; where pages run out the youngest of all gives way.
void Replica::provide_in_turn(Group& group, std::int64_t iteration) {
  std::vector<Event> events = take_page_needs(group, iteration + 1);
  if (iteration >= group.provided) {
    group.provided = iteration;
    const std::int64_t from = pattern_.tokens(iteration - 1), to = pattern_.tokens(iteration);
    for (const JobId id : group.decoding) {
      const Job& job = (*jobs_)[id];
      if (job.paged && group.demand.needs(page_offset(job), from, to)) events.push_back({iteration, id, job.epoch});
    }
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) { return b > a; });
  for (const Event& event : events) {
    if (!alive(event)) continue;
    Job& job = (*jobs_)[event.job];
    if (job.paged) group.cache.assign(job.sequence, length_at(job, iteration - 1));
    bool kept = true;
    while (kept && !group.cache.reserve(job.sequence, static_cast<std::int32_t>(length_at(job, event.at)))) {
      const JobId victim = youngest(group);
      kept = victim != event.job;
      preempt(group, victim);
    }
    if (kept && !job.paged) count_pages(group, event.job, event.at);
  }
  group.provided = std::max(group.provided, iteration + 1);
}

/// A job that has the pages of iteration `at` is counted from then on; one that has more, once it needs its next page,
/// unless it finishes before.
void Replica::count_pages(Group& group, JobId id, std::int64_t at) {
  Job& job = (*jobs_)[id];
  const std::int64_t held = group.cache.held_pages(job.sequence);
  if (held <= group.cache.pages_of(length_at(job, at))) {
    job.paged = true;
    group.demand.add(page_offset(job));
    return;
  }
  const std::int64_t needed =
      job.joined + pattern_.iterations(job.joined, held * group.cache.page_tokens() + 1 - job.base);
  const std::int64_t done = job.joined + pattern_.iterations(job.joined, job.request.output_tokens - job.generated);
  if (needed < done) group.page_needs.push({needed, id, job.epoch});
}

/// The first iteration that may need a page, of those not provided for.
std::int64_t Replica::next_page_need(const Group& group) const {
  std::int64_t next = group.page_needs.empty() ? std::numeric_limits<std::int64_t>::max() : group.page_needs.top().at;
  if (group.demand.empty()) return next;
  const std::int64_t last = group.provided - 1, given = pattern_.tokens(last);
  return std::min(next, last + pattern_.iterations(last, group.demand.next(given) - given));
}

void Replica::finish_due(Group& group, Ticks now) {
  while (!group.finishes.empty() && group.finishes.top().at <= iteration_) {
    const Event event = group.finishes.top();
    group.finishes.pop();
    if (!alive(event)) continue;
    Job& job = (*jobs_)[event.job];
    leave_decoding(group, event.job);
    job.generated = job.request.output_tokens;
    if (!job.request.prefix.empty()) group.cache.computed(job.sequence, job.context() - 1);
    group.cache.finish(job.sequence);
    group.load -= job.work;
    --outstanding_;
    listener_->finished(event.job, now);
  }
}

void Replica::commit_pieces(Group& group, Ticks now) {
  std::int64_t tokens = 0;
  for (const Piece& piece : group.pieces) tokens += piece.tokens;
  for (const Piece& piece : group.pieces) {
    Job& job = (*jobs_)[piece.job];
    job.computing += static_cast<Ticks>(static_cast<double>(now - begin_) * piece.tokens / static_cast<double>(tokens));
    job.computed += piece.tokens;
    counters_.prompt_tokens += piece.tokens;
    prompting_tokens_ += piece.tokens;
    group.cache.computed(job.sequence, job.computed);
    if (job.computed < job.context()) continue;
    std::erase(group.prompting, piece.job);
    ++job.generated;
    ++counters_.prompts_done;
    if (job.first_token < 0) {
      job.first_token = now;
      counters_.prompt_tokens_done += job.request.input_tokens;
    }
    if (job.generated < job.request.output_tokens) {
      if (config_.role == ReplicaRole::prefill) {
        job.source = id_;
        job.source_rank = job.rank;
        job.source_work = job.work;
        job.source_sequence = job.sequence;
        listener_->prefilled(piece.job, now);
      } else {
        prompting_tokens_ -= job.computed;
        begin_decoding(group, piece.job);
      }
      continue;
    }
    prompting_tokens_ -= job.computed;
    group.cache.finish(job.sequence);
    group.load -= job.work;
    --outstanding_;
    listener_->finished(piece.job, now);
  }
  group.pieces.clear();
}

// ------------------------------------------------------------------------------------------- decoding jobs

void Replica::begin_decoding(Group& group, JobId id) {
  Job& job = (*jobs_)[id];
  job.base = job.context();
  job.joined = iteration_;
  job.paged = false;
  ++job.epoch;
  job.place = static_cast<std::uint32_t>(group.decoding.size());
  group.decoding.push_back(id);
  group.kv += job.base;
  decoding_tokens_ += job.base;
  ++decoding_;
  group.finishes.push(
      {iteration_ + pattern_.iterations(iteration_, job.request.output_tokens - job.generated), id, job.epoch});
  // The token to be processed first may need a page of its own.
  if (config_.scheduler.admission->grows) group.page_needs.push({iteration_, id, job.epoch});
  pace_ = nullptr;
  ++fresh_;
}

void Replica::leave_decoding(Group& group, JobId id) {
  Job& job = (*jobs_)[id];
  const std::int64_t length = length_at(job, iteration_);
  if (job.paged) {
    group.demand.remove(page_offset(job));
    group.cache.assign(job.sequence, length_at(job, group.provided - 1));
    job.paged = false;
  }
  group.kv -= length;
  decoding_tokens_ -= length;
  --decoding_;
  const JobId last = group.decoding.back();
  group.decoding[job.place] = last;
  (*jobs_)[last].place = job.place;
  group.decoding.pop_back();
  ++job.epoch;
  pace_ = nullptr;
}

JobId Replica::youngest(const Group& group) const {
  return *std::max_element(group.decoding.begin(), group.decoding.end(),
                           [&](JobId a, JobId b) { return (*jobs_)[a].order < (*jobs_)[b].order; });
}

void Replica::preempt(Group& group, JobId id) {
  Job& job = (*jobs_)[id];
  const std::int64_t length = length_at(job, iteration_);
  leave_decoding(group, id);
  job.generated += static_cast<std::int32_t>(pattern_.tokens(job.joined, iteration_ - job.joined));
  ++job.preemptions;
  ++counters_.preemptions;
  if (config_.scheduler.preemption->keep(group.cache, job.sequence)) {
    ++counters_.swaps;
    job.swapped = true;
    debt_ += config_.restore_ticks_per_token[KvTier::host] * length;
    group.swapped.push_back(id);
    return;
  }
  group.cache.finish(job.sequence);
  job.computed = 0;
  counters_.recomputed_tokens += job.context();
  group.waiting.push_front(id);
  ++waiting_;
  queued_tokens_ += job.context();
}

// ------------------------------------------------------------------------------------------- starting
// iterations

void Replica::set_pricer(IterationPricer& pricer, Ticks now) {
  next_pricer_ = &pricer;
  truncate(now);
}

void Replica::start(Ticks now) {
  if (next_pricer_) {
    pricer_ = std::exchange(next_pricer_, nullptr);
    pace_ = nullptr;
  }
  for (Group& group : groups_) {
    provide_pages(group, iteration_ + 1);
    admit_arrivals(group, now);
    bring_back(group);
    if (config_.role == ReplicaRole::decode) place(group, now);
    take_pieces(group, now);
    provide_pages(group, iteration_ + 1);
    prompts_ = prompts_ || !group.pieces.empty();
  }
  if (prompts_ && config_.scheduler.balance_attention) balance_pieces();
  const bool decoding = std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return !g.decoding.empty(); });
  decodes_ = decoding && (!prompts_ || config_.scheduler.batching->decodes_beside_prompts);
  if (prompts_) {
    jump_ = 1;
    const Ticks duration = prompt_ticks();
    counters_.prompt_time += duration - decode_ticks();
    debt_ += slowed_exchange(duration);
    run_for(now, duration);
    return;
  }
  if (!decodes_) return forget_moves();
  if (!pace_) find_pace();
  debt_ += slowed_exchange(pace_->at(groups_[pace_group_].kv));
  jump_ = config_.jump ? jump_length() : 1;
  run_for(now, pace_->sum(groups_[pace_group_].kv, jump_, pattern_, iteration_));
}

void Replica::forget_moves() {
  prompt_share_ = 0;
  for (Group& group : groups_) group.lost = 0;
}

void Replica::run_for(Ticks now, Ticks duration) {
  running_ = true;
  truncated_ = false;
  begin_ = now;
  end_ = now + duration + debt_;
  if (debt_ > 0) jump_ = 1, end_ = now + debt_ + (prompts_ ? duration : pace_->at(groups_[pace_group_].kv));
  debt_ = 0;
}

/// Caches that have arrived, and prompts that are back in HBM.
void Replica::admit_arrivals(Group& group, Ticks now) {
  for (const JobId id : group.arrived) begin_decoding(group, id);
  group.arrived.clear();
  while (!group.restoring.empty() && group.restoring.front().first <= now) {
    group.prompting.push_back(group.restoring.front().second);
    group.restoring.pop_front();
  }
}

bool Replica::has_slot(const Group& group) const {
  const auto taken =
      group.decoding.size() + group.prompting.size() + group.restoring.size() + static_cast<std::size_t>(group.placed);
  return taken < static_cast<std::size_t>(config_.scheduler.max_batch);
}

void Replica::bring_back(Group& group) {
  while (!group.swapped.empty() && has_slot(group)) {
    const JobId id = group.swapped.front();
    Job& job = (*jobs_)[id];
    if (!group.cache.swap_in(job.sequence)) return;
    group.swapped.pop_front();
    job.swapped = false;
    debt_ += config_.restore_ticks_per_token[KvTier::host] * job.context();
    begin_decoding(group, id);
  }
}

/// Decode replicas give the first in the queue pages for its cache, which is then sent; but not the last ones, which
/// answers under way will need: to give way later costs more than to wait.
void Replica::place(Group& group, Ticks now) {
  while (!group.waiting.empty() && group.swapped.empty() && has_slot(group)) {
    const JobId id = group.waiting.front();
    Job& job = (*jobs_)[id];
    // A preempted job's prompt is computed again here, by the engine that decodes.
    if (job.preemptions > 0) return;
    const auto there = static_cast<std::int64_t>(group.decoding.size() + group.arrived.size()) + group.placed;
    const std::int64_t reserved = there * group.cache.pages_of(config_.reserved_tokens);
    if (group.cache.pages_of(job.context()) + reserved > group.cache.available_pages() && there > 0) return;
    const auto started = group.cache.start(PrefixBlocks{}, job.context(), job.context() + reserve_of(job));
    if (!started) return;
    job.sequence = started->sequence;
    job.order = next_order_++;
    group.waiting.pop_front();
    --waiting_;
    queued_tokens_ -= job.context();
    ++group.placed;
    listener_->placed(id, now);
  }
}

void Replica::take_pieces(Group& group, Ticks now) {
  std::int64_t budget = config_.scheduler.batching->prompt_tokens(config_.scheduler.token_budget,
                                                                  group.batch() * (1 + config_.speculation.depth));
  for (const JobId id : group.prompting)
    if (!take_piece(group, id, budget)) break;
  while (budget > 0 && !group.waiting.empty() && group.swapped.empty() && has_slot(group)) {
    const JobId id = group.waiting.front();
    if (config_.role == ReplicaRole::decode && (*jobs_)[id].preemptions == 0) return;
    if (!admit(group, id, now)) return;
    group.waiting.pop_front();
    --waiting_;
    if (!group.prompting.empty() && group.prompting.back() == id && !take_piece(group, id, budget)) return;
  }
}

/// A piece of the job's context, as far as the budget goes. False when nothing more goes in.
bool Replica::take_piece(Group& group, JobId id, std::int64_t& budget) {
  if (budget <= 0) return false;
  Job& job = (*jobs_)[id];
  std::int64_t piece = job.context() - job.computed;
  if (piece > budget) {
    if (config_.scheduler.chunked_prefill) {
      piece = budget;
    } else if (!group.pieces.empty()) {
      return false;
    }
  }
  budget -= piece;
  queued_tokens_ -= piece;
  group.pieces.push_back({id, static_cast<std::int32_t>(piece)});
  return true;
}

std::int64_t Replica::twice_pairs(const Group& group) const {
  PromptLoad load;
  for (const Piece& piece : group.pieces) load.add(piece.tokens, (*jobs_)[piece.job].computed, false);
  return load.twice_pairs;
}

/// In step, all groups wait for the one with most attention to compute. Pieces of groups above the mean are
/// cut to it, the youngest first (after the aims of DeepSeek's prefill load balancer:
/// deepseek-ai/open-infra-index, day 6).
void Replica::balance_pieces() {
  std::int64_t sum = 0;
  for (const Group& group : groups_) sum += twice_pairs(group);
  const std::int64_t mean = sum / static_cast<std::int64_t>(groups_.size());
  for (Group& group : groups_) {
    std::int64_t excess = twice_pairs(group) - mean;
    while (excess > 0 && !group.pieces.empty()) {
      Piece& piece = group.pieces.back();
      const std::int64_t cached = (*jobs_)[piece.job].computed;
      const std::int64_t pairs = piece.tokens * (2 * cached + piece.tokens);
      // tokens x (2 cached + tokens) = what may stay
      const auto before = static_cast<double>(cached);
      const auto stays = static_cast<double>(std::max<std::int64_t>(0, pairs - excess));
      const auto kept = static_cast<std::int32_t>(std::sqrt(before * before + stays) - before);
      const std::int32_t tokens = std::max(kept, group.pieces.size() == 1 ? 1 : 0);
      queued_tokens_ += piece.tokens - tokens;
      excess -= pairs;
      piece.tokens = tokens;
      if (tokens > 0) break;
      group.pieces.pop_back();
    }
  }
}

/// Room that a job gets beside its context.
std::int32_t Replica::reserve_of(const Job& job) const {
  if (config_.role == ReplicaRole::prefill) return 0;
  return config_.scheduler.admission->reserved(job.request.output_tokens - job.generated);
}

/// Gives a job pages for its whole context, and beside others one to begin its answer in: it should not have
/// to give way at once. What lower tiers hold of it is brought up first.
bool Replica::admit(Group& group, JobId id, Ticks now) {
  Job& job = (*jobs_)[id];
  const bool alone = group.decoding.empty() && group.prompting.empty() && group.restoring.empty();
  const std::int32_t beginning = alone || config_.role == ReplicaRole::prefill ? 0 : group.cache.page_tokens();
  const std::int32_t wanted = job.context() + std::max(beginning, reserve_of(job));
  const auto started = group.cache.start(job.request.prefix, job.context(), wanted);
  if (!started) return false;
  job.sequence = started->sequence;
  job.order = next_order_++;
  const PerTier<std::int32_t>& hit = started->hit;
  const std::int32_t stated = std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  job.computed = std::max(hit.total(), stated);
  if (job.admitted < 0) {
    job.admitted = now;
    job.cached = job.computed;
  }
  prompting_tokens_ += job.computed;
  queued_tokens_ -= job.computed;
  const Ticks restoring =
      config_.restore_ticks_per_token[KvTier::host] * hit[KvTier::host] +
      config_.restore_ticks_per_token[KvTier::storage] * (hit[KvTier::storage] + std::max(0, stated - hit.total()));
  if (restoring == 0) {
    group.prompting.push_back(id);
    return true;
  }
  group.restored_at = std::max(group.restored_at, now) + restoring;
  group.restoring.emplace_back(group.restored_at, id);
  return true;
}

/// Of an iteration and group: what shared experts compute per GPU.
double Replica::mean_tokens() const {
  std::int64_t tokens = 0;
  for (const Group& group : groups_) {
    for (const Piece& piece : group.pieces) tokens += piece.tokens;
    if (decodes_) tokens += group.batch() * (1 + config_.speculation.depth);
  }
  return static_cast<double>(tokens) / static_cast<double>(groups_.size());
}

/// The group with most to do sets the pace.
Ticks Replica::prompt_ticks() {
  const double mean = config_.experts_shared ? mean_tokens() : 0;
  Ticks longest = 0;
  prompt_tokens_ = 0;
  for (const Group& group : groups_) {
    const std::int64_t batch = decodes_ ? group.batch() : 0;
    if (group.pieces.empty()) {
      if (batch > 0) longest = std::max(longest, pricer_->decode(batch).at(group.kv));
      continue;
    }
    PromptLoad load;
    for (const Piece& piece : group.pieces) {
      const Job& job = (*jobs_)[piece.job];
      load.add(piece.tokens, job.computed, job.computed + piece.tokens == job.context());
    }
    prompt_tokens_ = std::max(prompt_tokens_, load.tokens);
    longest = std::max(longest, pricer_->prompt(load, batch, decodes_ ? group.kv : 0, mean));
  }
  return longest;
}

/// What the decoding requests of an iteration would take without the prompts in it.
Ticks Replica::decode_ticks() {
  if (!decodes_) return 0;
  if (!pace_) find_pace();
  return pace_->at(groups_[pace_group_].kv);
}

void Replica::find_pace() {
  std::size_t fullest = 0, longest = 0;
  for (std::size_t i = 1; i < groups_.size(); ++i) {
    if (groups_[i].batch() > groups_[fullest].batch()) fullest = i;
    if (groups_[i].kv > groups_[longest].kv) longest = i;
  }
  pace_group_ = fullest;
  pace_ = &pricer_->decode(groups_[fullest].batch());
  if (longest == fullest || groups_[longest].decoding.empty()) return;
  const DecodeCurve& other = pricer_->decode(groups_[longest].batch());
  if (other.at(groups_[longest].kv) <= pace_->at(groups_[fullest].kv)) return;
  pace_group_ = longest;
  pace_ = &other;
}

/// Iterations until a request finishes, or until pages might run short.
std::int64_t Replica::jump_length() const {
  std::int64_t length = kLongestJump;
  for (const Group& group : groups_) {
    if (group.decoding.empty()) continue;
    length = std::min(length, group.finishes.top().at - iteration_);
  }
  for (const Group& group : groups_) {
    if (group.decoding.empty()) continue;
    const std::int64_t per_request = pattern_.tokens(iteration_, length) / group.cache.page_tokens() + 1;
    if (group.batch() * per_request > group.cache.available_pages())
      length = std::min(length, next_page_need(group) - iteration_);
  }
  return std::max<std::int64_t>(1, length);
}

/// Ends a jump at the first boundary that is not before `now`: something has happened that the next iteration
/// may heed.
void Replica::truncate(Ticks now) {
  if (!running_) return;
  truncated_ = true;
  if (jump_ <= 1) return;
  const std::int64_t kv = groups_[pace_group_].kv;
  std::int64_t low = 0, high = jump_;  // the boundary lies in (low, high]
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (begin_ + pace_->sum(kv, middle, pattern_, iteration_) >= now ? high : low) = middle;
  }
  jump_ = high;
  end_ = begin_ + pace_->sum(kv, jump_, pattern_, iteration_);
}

// ------------------------------------------------------------------------------------------- gaps between
// tokens

Ticks Replica::iteration_ticks(std::int64_t i) const {
  const Group& group = groups_[pace_group_];
  return pace_->at(group.kv + group.batch() * pattern_.tokens(iteration_, i));
}

void Replica::note_tokens(std::int64_t n, Ticks now) {
  std::int64_t requests = 0;
  for (const Group& group : groups_) requests += group.batch();
  if (n > 1) {
    const Ticks first = iteration_ticks(0);
    note_gaps(1, n - 1, requests);
    now = begin_ + first;
  }
  // Requests that were here before may have waited for prompts; those that came since have not.
  const std::int64_t tokens = pattern_.tokens(iteration_, 1);
  const std::int64_t waited = std::max<std::int64_t>(0, requests - fresh_);
  const auto note = [&](Ticks gap, std::int64_t count) {
    if (count > 0) gaps_->add(gap / tokens, count * tokens, WideTicks{gap} * count);
  };
  note(last_tokens_ > 0 ? now - last_tokens_ : now - begin_, waited);
  note(now - begin_, requests - waited);
  fresh_ = 0;
  last_tokens_ = n > 1 ? end_ : now;
}

/// Gaps of iterations [from, from + n) of the running jump: as many at once as fall into one bin of the
/// histogram.
void Replica::note_gaps(std::int64_t from, std::int64_t n, std::int64_t requests) {
  if (n <= 0) return;
  if (pattern_.plain()) {
    const Ticks first = iteration_ticks(from), last = iteration_ticks(from + n - 1);
    if (n == 1 || GapHistogram::bin(first) == GapHistogram::bin(last)) {
      const Group& group = groups_[pace_group_];
      const Ticks total = pace_->sum(group.kv + group.batch() * from, n, pattern_, iteration_ + from);
      gaps_->add(first, n * requests, WideTicks{total} * requests);
      return;
    }
    note_gaps(from, n / 2, requests);
    note_gaps(from + n / 2, n - n / 2, requests);
    return;
  }
  for (std::int64_t i = from; i < from + n; ++i) {
    const std::int64_t tokens = pattern_.tokens(iteration_ + i, 1);
    const Ticks gap = iteration_ticks(i);
    gaps_->add(gap / tokens, requests * tokens, WideTicks{gap} * requests);
  }
}

}  // namespace flopcast
