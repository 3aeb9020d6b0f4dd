#include "workloads/rl/loop.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include <fmt/format.h>

#include "flopcast/errors.h"
#include "workloads/rl/random_use.h"
#include "workloads/rl/settling.h"

namespace flopcast {
namespace {

/// Groups of a step that are drawn and rejected before the loop gives up.
constexpr std::int64_t kMostDrawn = 1000;

Seconds later_of(Seconds a, Seconds b) { return a > b ? a : b; }

/// Prompts of an update that is begun as soon as it can be, or of a step.
std::size_t unit_groups(const RlConfig& config, int updates) {
  return static_cast<std::size_t>(config.asynchrony.stream_updates ? config.prompts / updates : config.prompts);
}

/// The trainer waits for answers that nobody writes. The loaders' laws leave no such loop that is known of.
[[noreturn]] void nothing_left(const RlConfig& config, int version, std::size_t wanted, std::size_t ready) {
  Diagnostic fault{"",
                   0,
                   0,
                   "rl.asynchrony.staleness",
                   fmt::format("{:g}", config.asynchrony.staleness),
                   fmt::format("one with which answers could still be begun: step {} waits for {} prompts, {} are "
                               "answered",
                               version, wanted, ready),
                   ""};
  fault.remedy = "a staleness of 0, or of whole steps";
  throw InputError(fault);
}

}  // namespace

std::string_view name(RlPart part) {
  constexpr std::array<std::string_view, kRlParts> kNames{
      "generation", "reward", "handover",      "log-probs", "reference", "values", "reward model",
      "teacher",    "update", "critic update", "host",      "drain",     "sync"};
  return kNames[static_cast<std::size_t>(part)];
}

RlLoop::RlLoop(const RlConfig& config, int updates, RlPrices prices, ServingSession* session, int replicas,
               int block_tokens)
    : config_(config),
      updates_(updates),
      replicas_(replicas),
      block_tokens_(block_tokens),
      prices_(std::move(prices)),
      session_(session),
      source_(config, config.seed),
      rewards_(config.reward.pool, random_stream(config.seed, LoopRandom::rewards)),
      tools_(config.tools.pool, random_stream(config.seed, LoopRandom::tools)),
      signals_(random_stream(config.seed, LoopRandom::signals)),
      calls_(random_stream(config.seed, LoopRandom::calls)),
      predictions_(random_stream(config.seed, LoopRandom::predictions)) {
  if (prices_.frozen && !prices_.free[static_cast<std::size_t>(RlPart::reward)]) frozen_.emplace(*prices_.frozen);
  if (session_) {
    session_->on_result([this](const Request& request, const RequestResult& result) {
      assert(result.outcome == RequestOutcome::completed);
      results_.emplace_back(static_cast<std::uint32_t>(request.id), result.finish);
    });
  }
}

// ------------------------------------------------------------------------------------------------- the engine

void RlLoop::begin_groups() {
  const bool finishing = trainer_ == Trainer::draining && config_.asynchrony.in_flight == InFlight::finish;
  if (finishing || !awake_) return;
  const double most = (version_ + 1 + config_.asynchrony.staleness) * config_.prompts + 1e-9;
  std::vector<std::uint32_t> fresh;
  for (; begun_groups_ + 1 <= most; ++begun_groups_) {
    if (++drawn_groups_ > kMostDrawn * config_.prompts * (version_ + 2)) {
      throw InputError(Diagnostic{"", 0, 0, "rl.signal_share", std::to_string(config_.signal_share),
                                  "groups with signal often enough to fill a step", ""});
    }
    const DrawnGroup drawn = source_.draw();
    Group group;
    group.prompt = drawn.prompt;
    group.first = static_cast<std::uint32_t>(samples_.size());
    group.open = static_cast<int>(drawn.answers.size());
    group.version = version_;
    fresh.push_back(static_cast<std::uint32_t>(groups_.size()));
    unwritten_.insert(fresh.back());
    open_.resize(static_cast<std::size_t>(version_) + 1);
    ++open_.back();
    for (const std::int32_t tokens : drawn.answers) {
      Sample sample;
      sample.group = static_cast<std::uint32_t>(groups_.size());
      sample.answer = tokens;
      if (config_.tools.calls > 0) {
        const auto calls = static_cast<std::int32_t>(config_.tools.calls + calls_.uniform());
        sample.calls = static_cast<std::int16_t>(std::min(calls, tokens - 1));  // no turn without a token
      }
      samples_.push_back(sample);
      out_.begun_tokens += tokens;
      ++out_.begun;
    }
    groups_.push_back(group);
  }
  order_groups(fresh);
  const Seconds now = session_ ? session_->now() + asleep_ : later_of(idle_since_, awake_since_);
  for (const std::uint32_t g : fresh) {
    for (int i = 0; i < config_.group; ++i) ask(groups_[g].first + static_cast<std::uint32_t>(i), now);
  }
  // Answers that take no time may have been thrown away already.
  if (begun_groups_ + 1 <= most) begin_groups();
}

/// The engine is asked for what is left of an answer; of one that was begun before, prompt and beginning are computed.
void RlLoop::ask(std::uint32_t index, Seconds now) {
  const Sample& sample = samples_[index];
  if (!session_ || prices_.free[static_cast<std::size_t>(RlPart::generation)]) return written(index, now);
  const Group& group = groups_[sample.group];
  Request request;
  request.id = index;
  request.arrival = session_->now();
  request.input_tokens = group.prompt + sample.turn * config_.tools.tokens + sample.done;
  request.output_tokens = sample.turn_end() - sample.done;
  if (block_tokens_ > 0 && sample.calls > 0) {
    share_prefix(index, request);
  } else if (block_tokens_ > 0 && group.prompt >= block_tokens_) {
    // Blocks of the group's prompt. What other weights computed is of no use: interrupted answers have their own.
    constexpr std::uint64_t kMostBlocks = 1 << 14;
    const auto blocks = std::min<std::uint64_t>(kMostBlocks, static_cast<std::uint64_t>(group.prompt / block_tokens_));
    const std::uint64_t owner = sample.done > 0 ? 2 * resumed_++ + 1 : 2 * std::uint64_t{sample.group};
    request.prefix.append_run(owner * kMostBlocks, blocks);
  }
  session_->submit(request);
}

/// Blocks of the group's prompt, then the answer's own, which its next turn finds; all its own once weights have
/// changed.
void RlLoop::share_prefix(std::uint32_t index, Request& request) {
  Sample& sample = samples_[index];
  constexpr std::uint64_t kMostBlocks = 1 << 14;
  const auto blocks_of = [&](std::int64_t tokens) {
    return std::min<std::uint64_t>(kMostBlocks, static_cast<std::uint64_t>(tokens / block_tokens_));
  };
  const bool stale = config_.asynchrony.in_flight == InFlight::recompute && sample.cached_at != version_;
  if (sample.cache == 0 || stale) {
    sample.alone = sample.cache != 0;
    sample.cache = 2 * resumed_++ + 1;
    sample.cached_at = version_;
  }
  const std::uint64_t prompt = sample.alone ? 0 : blocks_of(groups_[sample.group].prompt);
  const std::uint64_t all = blocks_of(std::int64_t{request.input_tokens} + request.output_tokens);
  if (prompt > 0) request.prefix.append_run(2 * std::uint64_t{sample.group} * kMostBlocks, prompt);
  if (all > prompt) request.prefix.append_run(sample.cache * kMostBlocks, all - prompt);
}

/// A turn is over, and a tool looks at it.
void RlLoop::call_tool(std::uint32_t index, Seconds now) {
  Sample& sample = samples_[index];
  sample.done = sample.turn_end();
  ++sample.turn;
  ++step_.tool_calls;
  const std::int64_t timed_out = tools_.timed_out();
  const std::pair<Seconds, std::uint32_t> result{tools_.work(now), index};
  step_.timed_out_tools += tools_.timed_out() - timed_out;
  tool_results_.insert(std::upper_bound(tool_results_.begin(), tool_results_.end(), result), result);
}

void RlLoop::written(std::uint32_t index, Seconds now) {
  const bool free = prices_.free[static_cast<std::size_t>(RlPart::generation)];
  if (session_ && !free && samples_[index].turn < samples_[index].calls) return call_tool(index, now);
  Group& group = groups_[samples_[index].group];
  group.written = later_of(group.written, now);
  const bool scored = config_.algorithm->rewards && config_.reward.kind != RewardKind::model &&
                      !prices_.free[static_cast<std::size_t>(RlPart::reward)];
  group.rewarded = later_of(group.rewarded, now);
  if (!scored && !frozen_) return rewarded(index);
  const std::int64_t timed_out = rewards_.timed_out();
  std::pair<Seconds, std::uint32_t> score{scored ? rewards_.work(now) : now, index};
  step_.timed_out_rewards += rewards_.timed_out() - timed_out;
  if (frozen_) {
    const MicroBatchShape& shape = prices_.trainer.shape;
    const double micro_batches =
        config_.packing == AnswerPacking::padded ? 1.0 / shape.sequences : sequence(samples_[index]) / shape.tokens();
    const Seconds before = frozen_->busy();
    score.first = later_of(score.first, frozen_->read(now, micro_batches));
    step_.frozen_busy += frozen_->busy() - before;
  }
  group.rewarded = later_of(group.rewarded, score.first);
  scores_.insert(std::upper_bound(scores_.begin(), scores_.end(), score), score);
}

void RlLoop::rewarded(std::uint32_t index) {
  ++rewarded_;
  ++step_.rewarded;
  const std::uint32_t g = samples_[index].group;
  Group& group = groups_[g];
  if (--group.open > 0) return;
  --open_[static_cast<std::size_t>(group.version)];
  unwritten_.erase(g);
  if (config_.algorithm->drops_groups && signals_.uniform() >= config_.signal_share) {
    // Without signal: others are drawn in its place.
    step_.thrown_away += config_.group;
    --begun_groups_;
    for (int i = 0; i < config_.group; ++i) {
      const std::int32_t answer = samples_[group.first + static_cast<std::uint32_t>(i)].answer;
      out_.begun_tokens -= answer;
      step_.thrown_tokens += answer;
      --out_.begun;
    }
    return;
  }
  const bool batches = config_.asynchrony.whole_batches;
  const auto older = [&](std::uint32_t a, std::uint32_t b) {
    return batches ? a < b : groups_[a].version < groups_[b].version;
  };
  ready_.insert(std::upper_bound(ready_.begin(), ready_.end(), g, older), g);
}

/// What was taken from replicas that stopped is asked for again.
void RlLoop::go_on(std::span<const Unfinished> unfinished, Seconds now) {
  for (const Unfinished& old : unfinished) {
    const auto index = static_cast<std::uint32_t>(old.request.id);
    Sample& sample = samples_[index];
    sample.done += old.generated;
    if (sample.done >= sample.turn_end())
      written(index, now);
    else
      ask(index, now);
  }
}

/// The trainer takes its GPUs; what was being written on them goes on elsewhere.
void RlLoop::stop_overlap(Seconds now) {
  if (config_.overlap == 0 || !session_ || !overlap_awake_) return;
  overlap_awake_ = false;
  step_.overlap_awake += now - overlap_since_;
  const std::vector<Unfinished> unfinished = session_->stop_from(static_cast<std::size_t>(replicas_ - config_.overlap));
  step_.interrupted += static_cast<std::int64_t>(unfinished.size());
  go_on(unfinished, now);
}

void RlLoop::sleep(Seconds now) {
  if (!awake_) return;
  awake_ = false;
  slept_at_ = now;
  step_.engine_awake += now - awake_since_;
  if (now > awake_since_) out_.spans.push_back({RlSpan::Lane::engine, RlPart::generation, version_, awake_since_, now});
}

void RlLoop::wake(Seconds now) {
  if (awake_) return;
  awake_ = true;
  asleep_ += now - slept_at_;
  awake_since_ = now;
}

// ------------------------------------------------------------------------------------------------- the trainer

/// @return when it ends.
Seconds RlLoop::spend(RlPart part, Seconds start, Seconds time) {
  if (time <= Seconds(0) || prices_.free[static_cast<std::size_t>(part)]) return start;
  step_.parts[static_cast<std::size_t>(part)] += time;
  out_.spans.push_back({RlSpan::Lane::trainer, part, version_, start, start + time});
  return start + time;
}

/// Enough groups are complete, and those that would be too stale later find room: of the groups that this update does
/// not take, those that have to be trained on within so many steps are no more than these hold.
bool RlLoop::may_start() const {
  const std::size_t unit = unit_groups(config_, updates_);
  if (ready_.size() < unit) return false;
  if (config_.asynchrony.whole_batches) return unwritten_.empty() || ready_[unit - 1] < *unwritten_.begin();
  const auto prompts = static_cast<std::size_t>(config_.prompts);
  std::size_t room = prompts - static_cast<std::size_t>(unit_ + 1) * unit, waiting = 0, next_ready = unit;
  int version = 0;
  for (int last = version_ - static_cast<int>(std::ceil(config_.asynchrony.staleness)); last <= version_; ++last) {
    for (; version <= last && version < static_cast<int>(open_.size()); ++version)
      waiting += static_cast<std::size_t>(open_[static_cast<std::size_t>(version)]);
    for (; next_ready < ready_.size() && groups_[ready_[next_ready]].version <= last; ++next_ready) ++waiting;
    if (waiting > room) return false;
    room += prompts;
  }
  return true;
}

void RlLoop::start_unit(Seconds now) {
  const bool shared = config_.placement == RlPlacement::colocated;
  if (trainer_ != Trainer::idle || !may_start()) return;
  const bool finish = config_.asynchrony.in_flight == InFlight::finish;
  if (shared && finish && writing()) return;
  std::vector<std::uint32_t> groups(ready_.begin(),
                                    ready_.begin() + static_cast<std::ptrdiff_t>(unit_groups(config_, updates_)));
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(unit_groups(config_, updates_)));
  Seconds last = idle_since_;
  for (const std::uint32_t g : groups) last = later_of(last, groups_[g].written);
  Seconds scored = last;
  for (const std::uint32_t g : groups) scored = later_of(scored, groups_[g].rewarded);
  const auto waited = [&](RlPart part, Seconds from, Seconds to) {
    if (to <= from) return;
    step_.parts[static_cast<std::size_t>(part)] += to - from;
    out_.spans.push_back({RlSpan::Lane::trainer, part, version_, from, to});
  };
  waited(RlPart::generation, idle_since_, last);
  waited(RlPart::reward, last, scored);
  waited(RlPart::generation, scored, now);  // answers that are trained on later have to be written first
  if (shared) sleep(now);
  stop_overlap(now);
  trainer_ = Trainer::busy;
  trainer_until_ = train(groups, now);
}

Seconds RlLoop::train(std::span<const std::uint32_t> groups, Seconds start) {
  std::vector<std::int32_t> sequences;
  for (const std::uint32_t g : groups) {
    const Group& group = groups_[g];
    for (int i = 0; i < config_.group; ++i) {
      const Sample& sample = samples_[group.first + static_cast<std::uint32_t>(i)];
      sequences.push_back(sequence(sample));
      step_.prompt_tokens += sequences.back() - sample.answer;
      step_.answer_tokens += sample.answer;
      step_.longest = std::max(step_.longest, sample.answer);
      out_.trained_tokens += sample.answer;
      ++step_.answers;
      ++out_.trained;
    }
    const double behind = version_ - group.version;
    step_.staleness_sum += behind * config_.group;
    step_.staleness_most = std::max(step_.staleness_most, behind);
  }
  const TrainerPrices& price = prices_.trainer;
  Seconds at = start;
  if (!config_.algorithm->trains && !price.reward_forward) return at;
  if (unit_ == 0 && config_.algorithm->generates) at = spend(RlPart::handover, at, prices_.to_training);
  const double all = pack(sequences, price.replicas, config_.packing, price.shape).most;
  const auto frozen = [&](RlPart part, const std::optional<PassLine>& line, Seconds swap) {
    if (line) at = spend(part, at, line->at(all) + swap);
  };
  frozen(RlPart::reward_model, price.reward_forward, prices_.reward_model_swap);
  if (!config_.algorithm->trains) return at;
  if (config_.with_old_log_probs()) at = spend(RlPart::log_probs, at, price.forward.at(all));
  frozen(RlPart::reference, price.reference_forward, prices_.reference_swap);
  frozen(RlPart::teacher, price.teacher_forward, prices_.teacher_swap);
  // A critic on GPUs of its own reads while the policy does, and is trained while that is.
  const auto critics = [&](RlPart part, const PassLine& line, double micro_batches) {
    if (prices_.free[static_cast<std::size_t>(part)]) return Seconds(0);
    const Seconds time = line.at(micro_batches);
    step_.critic_busy += time;
    return time;
  };
  const auto wait_for = [&](RlPart part, Seconds until) {
    if (until > at) at = spend(part, at, until - at);
  };
  const bool critic_apart = price.critic_forward && prices_.critic_copies;
  if (critic_apart)
    wait_for(RlPart::values,
             start + critics(RlPart::values, *price.critic_forward,
                             pack(sequences, *prices_.critic_copies, config_.packing, price.shape).most));
  else if (price.critic_forward)
    at = spend(RlPart::values, at, price.critic_forward->at(all));
  Seconds critic_at = at;
  const int updates = config_.asynchrony.stream_updates ? 1 : updates_;
  const std::vector<PackedAnswers> of_trainer =
                                       pack_updates(sequences, updates, price.replicas, config_.packing, price.shape),
                                   of_critics = critic_apart ? pack_updates(sequences, updates, *prices_.critic_copies,
                                                                            config_.packing, price.shape)
                                                             : std::vector<PackedAnswers>();
  for (int epoch = 0; epoch < config_.epochs; ++epoch) {
    for (std::size_t u = 0; u < of_trainer.size(); ++u) {
      const PackedAnswers& packed = of_trainer[u];
      step_.micro_batches += packed.most;
      step_.mean_micro_batches += packed.mean;
      if (critic_apart)
        critic_at += critics(RlPart::critic_update, *price.critic_update, of_critics[u].most);
      else if (price.critic_update)
        at = spend(RlPart::critic_update, at, price.critic_update->at(packed.most));
      at = spend(RlPart::update, at, price.update.at(packed.most));
    }
  }
  if (critic_apart) wait_for(RlPart::critic_update, critic_at);
  return at;
}

void RlLoop::end_unit(Seconds now) {
  const int units = config_.asynchrony.stream_updates ? updates_ : 1;
  idle_since_ = now;
  trainer_ = Trainer::idle;
  if (++unit_ < units) return;
  unit_ = 0;
  Seconds at = now;
  const int every = config_.reference_every;
  if (config_.with_reference() && every > 0 && (version_ + 1) % every == 0)
    at = spend(RlPart::reference, at, prices_.reference_copy);
  at = spend(RlPart::host, at, config_.host_time);
  idle_since_ = at;
  trainer_ = Trainer::draining;
  trainer_until_ = at;
}

void RlLoop::start_sync(Seconds now) {
  if (now > idle_since_) {
    step_.parts[static_cast<std::size_t>(RlPart::drain)] += now - idle_since_;
    out_.spans.push_back({RlSpan::Lane::trainer, RlPart::drain, version_, idle_since_, now});
  }
  sleep(now);
  Seconds at = now;
  if (config_.algorithm->trains && config_.algorithm->generates) {
    at = spend(RlPart::sync, at, prices_.sync);
    at = spend(RlPart::handover, at, prices_.to_generation);
  }
  trainer_ = Trainer::syncing;
  trainer_until_ = at;
}

void RlLoop::end_sync(Seconds now) {
  wake(now);
  step_.end = now;
  if (session_) {
    // Of iterations that go on behind the pause what was before it.
    const ReplicaCounters engine = session_->counters();
    step_.engine_busy = to_seconds(engine.busy - busy_before_);
    step_.tokens_written = engine.tokens_given() - tokens_before_;
    busy_before_ = engine.busy;
    tokens_before_ = engine.tokens_given();
  }
  std::vector<Unfinished> unfinished;
  const bool drops = config_.asynchrony.in_flight == InFlight::recompute && config_.algorithm->trains;
  if (session_ && drops && !session_->idle()) unfinished = session_->withdraw();
  step_.interrupted += static_cast<std::int64_t>(unfinished.size());
  if (config_.overlap > 0 && session_) {
    session_->start_from(static_cast<std::size_t>(replicas_ - config_.overlap));
    overlap_awake_ = true;
    overlap_since_ = now;
  }
  out_.steps.push_back(step_);
  step_ = {};
  step_.begin = now;
  ++version_;
  trainer_ = Trainer::idle;
  idle_since_ = now;
  go_on(unfinished, now);
}

// ------------------------------------------------------------------------------------------------- the clock

Seconds RlLoop::next_own_event() const {
  Seconds next = kNever;
  if (!scores_.empty()) next = scores_.front().first;
  if (!tool_results_.empty()) next = std::min(next, tool_results_.front().first);
  const bool waits = trainer_ == Trainer::draining && config_.asynchrony.in_flight == InFlight::finish && writing() &&
                     config_.placement == RlPlacement::separate;
  if (trainer_ != Trainer::idle && !waits) next = std::min(next, trainer_until_);
  return next;
}

/// Everything of the loop's own that is due.
void RlLoop::fire(Seconds now) {
  while (!scores_.empty() && scores_.front().first <= now) {
    const std::uint32_t sample = scores_.front().second;
    scores_.pop_front();
    rewarded(sample);
  }
  while (!tool_results_.empty() && tool_results_.front().first <= now) {
    const std::uint32_t sample = tool_results_.front().second;
    tool_results_.pop_front();
    ask(sample, now);
  }
  if (trainer_ == Trainer::idle || trainer_until_ > now) return;
  if (trainer_ == Trainer::busy) return end_unit(now);
  if (trainer_ == Trainer::syncing) return end_sync(now);
  const bool finish = config_.asynchrony.in_flight == InFlight::finish && config_.placement == RlPlacement::separate;
  if (finish && writing()) return;
  start_sync(now);
}

RlOutcome RlLoop::run(const std::function<bool(std::int64_t)>& keep_going) {
  constexpr std::uint64_t kAsk = 512;
  Seconds now;
  std::uint64_t turns = 0;
  std::optional<std::size_t> first;
  std::size_t looked_at = 0;
  const auto done = [&] {
    if (out_.steps.size() > looked_at) first = first_counted(out_.steps, config_);
    looked_at = out_.steps.size();
    return first.has_value();
  };
  while (!done()) {
    begin_groups();
    start_unit(now);
    if (keep_going && turns++ % kAsk == 0 && !keep_going(rewarded_)) throw Interrupted();
    const Seconds next = next_own_event();
    if (next <= now) {
      fire(now);
      continue;
    }
    if (session_ && awake_) {
      const Seconds until = is_finite(next) ? next - asleep_ : kLongestSession;
      if (session_->step(until)) {
        now = later_of(now, session_->now() + asleep_);
        for (const auto& [sample, finish] : results_) written(sample, later_of(now, finish + asleep_));
        results_.clear();
        even_out(now);
        continue;
      }
      if (is_finite(next)) {
        if (session_->idle()) step_.engine_empty += next - now;
        session_->run_until(until);
      }
    }
    if (!is_finite(next)) nothing_left(config_, version_, unit_groups(config_, updates_), ready_.size());
    now = next;
    fire(now);
  }
  out_.first_counted = *first;
  return std::move(out_);
}

}  // namespace flopcast
