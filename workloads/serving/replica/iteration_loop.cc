#include "workloads/serving/replica/iteration_loop.h"

#include <algorithm>
#include <utility>

#include "sim/base/fetch.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/replica/iteration_prices.h"

namespace flopcast {
IterationLoop::IterationLoop(const ReplicaConfig& config, IterationPricer& pricer, std::deque<Batcher>& groups,
                             ReplicaState& state, GapHistogram& gaps, Outbox& outbox)
    : config_(&config),
      pricer_(&pricer),
      groups_(&groups),
      state_(&state),
      outbox_(&outbox),
      pattern_(config.speculation.tokens_per_iteration()),
      pacing_(groups, pattern_, state, gaps),
      nic_(config.nic, config.groups) {}

void IterationLoop::archive(StateArchive& state, std::span<IterationPricer* const> pricers) {
  archive_pricer(state, pricer_, pricers);
  archive_pricer(state, next_pricer_, pricers);
  state(pattern_, launch_, ahead_, late_, submitted_, warm_, nic_);
  pacing_.archive(state, pricers);
}

void IterationLoop::submitted(Ticks now) {
  submitted_ = now;
  pacing_.heed(now);
}

void IterationLoop::set_pricer(IterationPricer& pricer, Ticks now) {
  next_pricer_ = &pricer;
  pacing_.heed(now);
}

Ticks IterationLoop::next_event() const {
  const IterationSpan& span = pacing_.span();
  if (span.running && !span.divisible()) return span.end;
  Ticks restored = kNeverTick;  // or late
  for (const Batcher& group : *groups_)
    restored = std::min({restored, group.jobs().next_restored(), group.jobs().deadlines.next()});
  return span.running ? std::min(span.end, std::max(restored, span.begin)) : restored;
}

void IterationLoop::advance(Ticks now) {
  if (pacing_.span().running) {
    if (now < pacing_.span().end) return pacing_.heed(now);
    commit(now);
  }
  start(now);
  hand_out(now);
}

void IterationLoop::wake(Ticks now) {
  if (pacing_.span().running) return;
  state_->seen_until = kNeverTick;
  start(now);
  late_ = pacing_.span().running ? launch_ : 0;
}

void IterationLoop::break_off(Ticks now) {
  Ticks since = pacing_.span().begin;
  bool running = pacing_.span().running;
  if (pacing_.keep_passed(now)) {
    since = pacing_.span().end;
    commit(since);
    outbox_->send(since);
    running = true;  // the iteration that was under way
  }
  if (running) state_->counters.busy += now - since;
  pacing_.stop();
  state_->batch_changed = true;
}

// ------------------------------------------------------------------------------------------------- its end

void IterationLoop::commit(Ticks now) {
  const IterationSpan span = pacing_.span();
  const Ticks last = pacing_.last_iteration();
  // The host put the next iteration together when it had launched this one.
  if (config_->scheduled_ahead) state_->seen_until = std::min(now, later(now - last, late_));
  if (config_->results_behind_launch) ahead_ = std::max<Ticks>(0, last - launch_);
  pacing_.stop();
  ++state_->counters.steps;
  state_->counters.busy += now - span.begin;
  state_->counters.iterations += span.iterations;
  if (span.decodes) commit_decoding(now, span.iterations);
  if (!span.prompts) return;
  ++state_->counters.prompt_iterations;
  for (const Batcher& group : *groups_) fetch(group);
  for (const Batcher& group : *groups_) group.prompts().fetch_jobs();
  for (Batcher& group : *groups_) group.prompts_computed(span.begin, now);
}

void IterationLoop::commit_decoding(Ticks now, std::int64_t iterations) {
  std::deque<Batcher>& groups = *groups_;
  pacing_.note_gaps(now);
  const std::int64_t given = state_->load.decoding * pattern_.tokens(state_->iteration, iterations);
  state_->counters.decode_tokens += given;
  state_->counters.decode_requests += state_->load.decoding * iterations;
  if (state_->load.decoding > 0) state_->counters.decode_iterations += iterations;
  state_->load.decoding_tokens += given;
  const std::int64_t next = state_->iteration + iterations;
  list_busy(next);
  for (const std::uint32_t i : busy_) groups[i].decode().fetch_due(next);
  for (const std::uint32_t i : busy_) groups[i].decoded(iterations);
  state_->iteration = next;
  for (const std::uint32_t i : busy_) groups[i].finish_due(now);
}

/// Groups that have something to do before that iteration is over: few of a wide replica's. They are looked at seldom
/// and all of them now, so their memory is asked for at once.
void IterationLoop::list_busy(std::int64_t iteration) {
  busy_.clear();
  const std::vector<std::int64_t>& quiet_until = state_->groups.quiet_until;
  for (std::size_t i = 0; i < quiet_until.size(); ++i)
    if (quiet_until[i] <= iteration) busy_.push_back(static_cast<std::uint32_t>(i));
  for (const std::uint32_t i : busy_) fetch((*groups_)[i]);
}

/// What has just been computed reaches users once the host, which launched it so long before it ended, has launched
/// what now runs.
void IterationLoop::hand_out(Ticks now) {
  if (!config_->results_behind_launch) return;
  late_ = pacing_.span().running ? std::max<Ticks>(0, launch_ - ahead_) : 0;
  for (Batcher& group : *groups_) group.delay_first_tokens(late_);
  outbox_->send(later(now, late_));
}

void IterationLoop::show_first_tokens(Ticks when) {
  if (!config_->first_step_token) return;
  for (Batcher& group : *groups_) group.show_first_tokens(when);
}

// ------------------------------------------------------------------------------------------------- the next one

/// @return whether there are prompts to compute
bool IterationLoop::put_together(Ticks now) {
  std::deque<Batcher>& groups = *groups_;
  bool prompts = false;
  list_busy(state_->iteration);
  for (const std::uint32_t i : busy_) groups[i].jobs().fetch_next();
  // Asked again: one that is late and leaves may be followed by another, which another group gets.
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (state_->groups.quiet(i, state_->iteration)) continue;
    groups[i].schedule(now);
    prompts = prompts || !groups[i].prompts().empty();
  }
  return prompts;
}

void IterationLoop::start(Ticks now) {
  if (next_pricer_) {
    pricer_ = std::exchange(next_pricer_, nullptr);
    state_->batch_changed = true;
  }
  bool prompts = put_together(now);
  if (!prompts && state_->load.decoding == 0 && submitted_ > state_->seen_until) {
    state_->seen_until = kNeverTick;  // nothing else to do
    prompts = put_together(now);
  }
  choose_drafts();
  if (prompts && config_->scheduler.balance_attention) balance_prompts(*groups_);
  const bool decodes = state_->load.decoding > 0 && (!prompts || config_->scheduler.batching->decodes_beside_prompts);
  if (decodes) pacing_.find_pace(*pricer_);
  if (prompts)
    start_prompts(now, decodes);
  else if (decodes)
    start_decoding(now);
  else
    nic_.idle();
}

void IterationLoop::start_prompts(Ticks now, bool decodes) {
  const std::int64_t requests = decodes ? pacing_.batch().size() : 0;
  const Ticks duration = prompt_iteration(*groups_, *config_, *state_, *pricer_, decodes);
  state_->counters.prompt_time += duration - (decodes ? pacing_.iteration() : Ticks{0});
  std::int64_t tokens = 0;
  for (const Batcher& group : *groups_) tokens = std::max(tokens, group.prompts().tokens());
  state_->debt += nic_.delay(duration, tokens, true, requests);
  if (!std::exchange(warm_, true)) state_->debt += config_->cold_prompts;
  show_first_tokens(later(later(now, duration), state_->debt));
  if (config_->results_behind_launch) launch_ = prompt_launch(*groups_, *pricer_, requests);
  pacing_.begin_prompts(now, duration, decodes, std::exchange(state_->debt, 0));
}

void IterationLoop::start_decoding(Ticks now) {
  const std::int64_t requests = pacing_.batch().size();
  state_->debt += nic_.delay(pacing_.iteration(), 0, false, requests);
  show_first_tokens(later(later(now, pacing_.iteration()), state_->debt));
  if (config_->results_behind_launch) launch_ = pricer_->decode_launch(requests);
  const bool jump = config_->jump && submitted_ <= state_->seen_until;
  pacing_.begin_decoding(now, jump ? pacing_.until_change() : 1, std::exchange(state_->debt, 0));
}

/// Drafts pay while there is computing to spare: with few requests.
void IterationLoop::choose_drafts() {
  if (config_->speculation.most_batch == 0 || config_->speculation.depth == 0) return;
  const std::vector<std::int64_t>& decoding = state_->groups.decoding;
  const bool drafts = *std::max_element(decoding.begin(), decoding.end()) <= config_->speculation.most_batch;
  if (drafts == state_->drafts) return;
  state_->drafts = drafts;
  pattern_ = drafts ? TokenPattern(config_->speculation.tokens_per_iteration()) : TokenPattern();
  pacing_.set_pattern(pattern_);
  for (Batcher& group : *groups_) group.set_pattern(pattern_);
  state_->batch_changed = true;
}

}  // namespace flopcast
