#include "workloads/serving/replica/replica.h"

#include <algorithm>
#include <utility>

namespace flopcast {
namespace {

/// Two passes without a branch that depends on the numbers: on 144 groups a sixth faster than std::min_element (143
/// against 168 ns), on 32 the same.
std::size_t first_least(const std::vector<std::int64_t>& costs) {
  std::int64_t least = costs.front();
  for (const std::int64_t cost : costs) least = cost < least ? cost : least;
  return static_cast<std::size_t>(std::find(costs.begin(), costs.end(), least) - costs.begin());
}

/// Groups of a wide replica are looked at seldom, one after the other, with thousands of others in between: asked for
/// together, they come from memory together.
void fetch(const Batcher& group) {
  constexpr std::size_t kLine = 64;
  const char* const begin = reinterpret_cast<const char*>(&group);
  for (std::size_t at = 0; at < sizeof(Batcher); at += kLine) __builtin_prefetch(begin + at);
}

}  // namespace

Replica::Replica(std::uint32_t id, const ReplicaConfig& config, IterationPricer& pricer, JobTable& jobs,
                 GapHistogram& gaps, ReplicaListener& listener)
    : config_(config),
      pricer_(&pricer),
      jobs_(&jobs),
      pattern_(config.speculation.tokens_per_iteration()),
      outbox_(listener, config.results_behind_launch),
      pacing_(groups_, pattern_, state_, gaps),
      nic_(config.nic, config.groups) {
  state_.id = id;
  const auto groups = static_cast<std::size_t>(config.groups);
  state_.groups = {std::vector<std::int64_t>(groups), std::vector<Ticks>(groups), std::vector<std::int64_t>(groups),
                   std::vector<std::int64_t>(groups), std::vector<std::int64_t>(groups)};
  for (std::size_t i = 0; i < groups; ++i) groups_.emplace_back(config_, jobs, pattern_, state_, i, outbox_);
}

// ------------------------------------------------------------------------------------------------- what others see

bool Replica::fits(const Request& request) const {
  const KvCache& cache = groups_.front().cache();
  const std::int64_t context = std::int64_t{request.input_tokens} + request.output_tokens + config_.speculation.depth;
  return cache.pages_of(context) <= cache.capacity_pages();
}

std::int64_t Replica::kv_capacity_tokens() const {
  const KvCache& cache = groups_.front().cache();
  return cache.capacity_pages() * cache.page_tokens() * static_cast<std::int64_t>(groups_.size());
}

std::int64_t Replica::kv_tokens(Ticks now) const {
  const ReplicaLoad& load = state_.load;
  return load.decoding_tokens + load.decoding * pattern_.tokens(state_.iteration, pacing_.passed(now)) +
         load.prompting_tokens;
}

ReplicaCounters Replica::counters_at(Ticks now) const {
  ReplicaCounters counters = state_.counters;
  const std::int64_t passed = pacing_.passed(now), decoding = state_.load.decoding;
  counters.iterations += passed;
  counters.decode_tokens += decoding * pattern_.tokens(state_.iteration, passed);
  counters.decode_requests += decoding * passed;
  if (decoding > 0) counters.decode_iterations += passed;
  if (pacing_.running()) counters.busy += now - pacing_.begin();
  return counters;
}

double Replica::exchange_share() const {
  if (hands_on(config_.role)) return nic_.prompt_share();
  const DecodeBatch& batch = pacing_.batch();
  if (!nic_.exchanges() || batch.empty()) return 0;
  return nic_.decode_share(batch.size(), pricer_->decode(batch.size(), state_.drafts).at(batch.kv()));
}

std::int32_t Replica::match(const Request& request) const {
  std::int32_t best = 0;
  if (request.prefix.empty()) return best;
  for (const Batcher& group : groups_)
    best = std::max(best, group.cache().match(request.prefix, request.input_tokens).total());
  return best;
}

Ticks Replica::full_prompt_iteration(std::int64_t computed, std::int64_t cached) const {
  const std::int64_t budget = config_.tokens_under_way();
  PromptLoad load;
  load.add(std::clamp<std::int64_t>(computed, 1, budget), cached, true);
  const std::int64_t prompts = std::max<std::int64_t>(1, budget / load.tokens);
  load = {load.tokens * prompts, prompts, prompts, load.twice_pairs * prompts};
  return pricer_->prompt(load, 0, 0);
}

void Replica::archive(StateArchive& state, std::span<IterationPricer* const> pricers) {
  DecodePacing::archive(state, pricer_, pricers);
  DecodePacing::archive(state, next_pricer_, pricers);
  state(pattern_, state_, outbox_, launch_, ahead_, late_, submitted_, nic_);
  for (Batcher& group : groups_) state(group);
  pacing_.archive(state, pricers);
}

KvCounters kv_counters(const Replica& replica) {
  KvCounters sum;
  for (const Batcher& group : replica.groups()) sum += group.cache().counters();
  return sum;
}

std::int64_t pages_in_use(const Replica& replica) {
  std::int64_t pages = 0;
  for (const Batcher& group : replica.groups()) pages += group.cache().used_pages();
  return pages;
}

// ------------------------------------------------------------------------------------------------- coming and going

/// Decoding: the group with fewest requests. Prompts: the group with least to compute, less what its cache would save.
std::size_t Replica::choose_group(const Job& job, Ticks work) const {
  if (groups_.size() == 1) return 0;
  if (config_.role == ReplicaRole::decode) return first_least(state_.groups.requests);
  const Request& request = job.request;
  if (request.prefix.empty()) return first_least(state_.groups.work);
  std::size_t best = 0;
  Ticks lowest = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const std::int32_t hit = groups_[i].cache().match(request.prefix, request.input_tokens).total();
    const Ticks cost = state_.groups.work[i] - work * hit / request.input_tokens;
    if (i > 0 && cost >= lowest) continue;
    best = i;
    lowest = cost;
  }
  return best;
}

/// What a prompt takes alone; asked for only where groups are to be chosen from.
Ticks Replica::prompt_work(const Job& job) const {
  if (groups_.size() == 1 || config_.role == ReplicaRole::decode) return 0;
  const std::int32_t cached = std::min(job.request.stated_cached_tokens, job.request.input_tokens - 1);
  PromptLoad load;
  load.add(job.context() - cached, cached, true);
  return pricer_->prompt(load, 0, 0);
}

void Replica::submit(JobId id, Ticks now) {
  Job& job = (*jobs_)[id];
  const Ticks work = prompt_work(job);
  job.replica = state_.id;
  job.rank = static_cast<std::uint32_t>(choose_group(job, work));
  groups_[job.rank].submit(id, work);
  submitted_ = now;
  pacing_.heed(now);
}

void Replica::join(JobId id, Ticks now, double busy) {
  const Job& job = (*jobs_)[id];
  nic_.moved(job.rank, job.request.input_tokens, busy);
  groups_[job.rank].join(id);
  pacing_.heed(now);
}

void Replica::release(JobId id, Ticks now, double busy) {
  Job& job = (*jobs_)[id];
  nic_.moved(job.source_rank, job.request.input_tokens, busy);
  groups_[job.source_rank].release(id);
  job.source = Job::kNoSource;
  pacing_.heed(now);
}

void Replica::unplace(JobId id, Ticks now) {
  groups_[(*jobs_)[id].rank].unplace(id);
  pacing_.heed(now);
}

std::vector<JobId> Replica::withdraw(std::uint32_t source) {
  std::vector<JobId> out;
  for (Batcher& group : groups_) group.withdraw(source, out);
  return out;
}

/// Iterations that are over count; the one under way does not.
void Replica::break_off(Ticks now) {
  Ticks since = pacing_.begin();
  bool running = pacing_.running();
  if (pacing_.keep_passed(now)) {
    since = pacing_.end();
    commit(since);
    outbox_.send(since);
    running = true;  // the iteration that was under way
  }
  if (running) state_.counters.busy += now - since;
  pacing_.stop();
  state_.batch_changed = true;
}

std::vector<JobId> Replica::give_away(std::size_t count, Ticks now) {
  if (pacing_.running() && pacing_.has_prompts()) return {};
  break_off(now);
  std::vector<JobId> all;
  for (const Batcher& group : groups_) group.list(all);
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

std::vector<JobId> Replica::abandon(Ticks now) {
  break_off(now);
  std::vector<JobId> all;
  for (Batcher& group : groups_) group.abandon(all);
  std::sort(all.begin(), all.end());
  nic_.idle();
  state_.joined = 0;
  state_.debt = 0;
  state_.load = {};
  return all;
}

void Replica::set_pricer(IterationPricer& pricer, Ticks now) {
  next_pricer_ = &pricer;
  pacing_.heed(now);
}

// ------------------------------------------------------------------------------------------------- iterations

Ticks Replica::next_event() const {
  if (pacing_.running() && !pacing_.divisible()) return pacing_.end();
  Ticks restored = kNeverTick;  // or late
  for (const Batcher& group : groups_) restored = std::min({restored, group.next_restored(), group.next_deadline()});
  return pacing_.running() ? std::min(pacing_.end(), std::max(restored, pacing_.begin())) : restored;
}

void Replica::advance(Ticks now) {
  if (pacing_.running()) {
    if (now < pacing_.end()) return pacing_.heed(now);
    commit(now);
  }
  start(now);
  hand_out(now);
}

void Replica::wake(Ticks now) {
  if (pacing_.running()) return;
  state_.seen_until = kNeverTick;
  start(now);
  late_ = pacing_.running() ? launch_ : 0;
}

void Replica::commit(Ticks now) {
  const bool prompts = pacing_.has_prompts(), decodes = pacing_.decodes();
  const std::int64_t iterations = pacing_.iterations();
  const Ticks begin = pacing_.begin();
  const Ticks last = pacing_.last_iteration();
  // The host put the next iteration together when it had launched this one.
  if (config_.scheduled_ahead) state_.seen_until = std::min(now, later(now - last, late_));
  if (config_.results_behind_launch) ahead_ = std::max<Ticks>(0, last - launch_);
  pacing_.stop();
  ++state_.counters.steps;
  state_.counters.busy += now - begin;
  state_.counters.iterations += iterations;
  if (decodes) {
    pacing_.note_gaps(now);
    const std::int64_t given = state_.load.decoding * pattern_.tokens(state_.iteration, iterations);
    state_.counters.decode_tokens += given;
    state_.counters.decode_requests += state_.load.decoding * iterations;
    if (state_.load.decoding > 0) state_.counters.decode_iterations += iterations;
    state_.load.decoding_tokens += given;
    const std::int64_t next = state_.iteration + iterations;
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (!quiet(i, next)) fetch(groups_[i]);
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (!quiet(i, next)) groups_[i].decoded(iterations);
    state_.iteration = next;
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (!quiet(i, next)) groups_[i].finish_due(now);
  }
  if (!prompts) return;
  ++state_.counters.prompt_iterations;
  for (Batcher& group : groups_) group.prompts_computed(begin, now);
}

/// What has just been computed reaches users once the host, which launched it so long before it ended, has launched
/// what now runs.
void Replica::hand_out(Ticks now) {
  if (!config_.results_behind_launch) return;
  late_ = pacing_.running() ? std::max<Ticks>(0, launch_ - ahead_) : 0;
  for (Batcher& group : groups_) group.delay_first_tokens(late_);
  outbox_.send(later(now, late_));
}

void Replica::show_first_tokens(Ticks when) {
  if (!config_.first_step_token) return;
  for (Batcher& group : groups_) group.show_first_tokens(when);
}

/// @return whether there are prompts to compute
bool Replica::put_together(Ticks now) {
  bool prompts = false;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (quiet(i, state_.iteration)) continue;
    groups_[i].schedule(now);
    prompts = prompts || !groups_[i].prompts().empty();
  }
  return prompts;
}

void Replica::start(Ticks now) {
  if (next_pricer_) {
    pricer_ = std::exchange(next_pricer_, nullptr);
    state_.batch_changed = true;
  }
  bool prompts = put_together(now);
  if (!prompts && state_.load.decoding == 0 && submitted_ > state_.seen_until) {
    state_.seen_until = kNeverTick;  // nothing else to do
    prompts = put_together(now);
  }
  choose_drafts();
  if (prompts && config_.scheduler.balance_attention) balance_prompts();
  const bool decodes = state_.load.decoding > 0 && (!prompts || config_.scheduler.batching->decodes_beside_prompts);
  if (decodes) pacing_.find_pace(*pricer_);
  const std::int64_t requests = decodes ? pacing_.batch().size() : 0;
  if (prompts) {
    const Ticks duration = prompt_iteration(decodes);
    state_.counters.prompt_time += duration - (decodes ? pacing_.iteration() : Ticks{0});
    std::int64_t tokens = 0;
    for (const Batcher& group : groups_) tokens = std::max(tokens, group.prompts().tokens());
    state_.debt += nic_.delay(duration, tokens, true, requests);
    show_first_tokens(later(later(now, duration), state_.debt));
    if (config_.results_behind_launch) launch_ = prompt_launch(requests);
    pacing_.begin_prompts(now, duration, decodes, std::exchange(state_.debt, 0));
  } else if (decodes) {
    state_.debt += nic_.delay(pacing_.iteration(), 0, false, requests);
    show_first_tokens(later(later(now, pacing_.iteration()), state_.debt));
    if (config_.results_behind_launch) launch_ = pricer_->decode_launch(requests);
    const bool jump = config_.jump && submitted_ <= state_.seen_until;
    pacing_.begin_decoding(now, jump ? pacing_.until_change() : 1, std::exchange(state_.debt, 0));
  } else {
    nic_.idle();
  }
}

/// Drafts pay while there is computing to spare: with few requests.
void Replica::choose_drafts() {
  if (config_.speculation.most_batch == 0 || config_.speculation.depth == 0) return;
  const std::vector<std::int64_t>& decoding = state_.groups.decoding;
  const bool drafts = *std::max_element(decoding.begin(), decoding.end()) <= config_.speculation.most_batch;
  if (drafts == state_.drafts) return;
  state_.drafts = drafts;
  pattern_ = drafts ? TokenPattern(config_.speculation.tokens_per_iteration()) : TokenPattern();
  pacing_.set_pattern(pattern_);
  for (Batcher& group : groups_) group.set_pattern(pattern_);
  state_.batch_changed = true;
}

/// In step, all groups wait for the one with most attention to compute. Pieces of groups above the mean are
/// cut to it, the youngest first (after the aims of DeepSeek's prefill load balancer:
/// deepseek-ai/open-infra-index, day 6).
void Replica::balance_prompts() {
  std::int64_t sum = 0;
  for (const Batcher& group : groups_) sum += group.prompts().load().twice_pairs;
  const std::int64_t mean = sum / static_cast<std::int64_t>(groups_.size());
  for (Batcher& group : groups_) group.prompts().cut_to(mean);
}

/// The group with most to do sets the pace. Experts that all share work on the mean of the groups' tokens.
Ticks Replica::prompt_iteration(bool decodes) {
  double mean = 0;
  if (config_.experts_shared) {
    std::int64_t tokens = decodes ? state_.load.decoding * (1 + (state_.drafts ? config_.speculation.depth : 0)) : 0;
    for (const Batcher& group : groups_) tokens += group.prompts().tokens();
    mean = static_cast<double>(tokens) / static_cast<double>(groups_.size());
  }
  Ticks longest = 0;
  for (const Batcher& group : groups_) {
    const std::int64_t batch = decodes ? group.decode().size() : 0, kv = decodes ? group.decode().kv() : 0;
    if (!group.prompts().empty())
      longest = std::max(longest, pricer_->prompt(group.prompts().load(), batch, kv, mean, state_.drafts));
    else if (batch > 0)
      longest = std::max(longest, pricer_->decode(batch, state_.drafts).at(kv));
  }
  return longest;
}

/// Of the group with most tokens of prompts.
Ticks Replica::prompt_launch(std::int64_t requests) {
  const Batcher* most = &groups_.front();
  for (const Batcher& group : groups_)
    if (group.prompts().tokens() > most->prompts().tokens()) most = &group;
  return pricer_->prompt_launch(most->prompts().load(), requests);
}

}  // namespace flopcast
