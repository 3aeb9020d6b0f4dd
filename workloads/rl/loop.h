// The loop of reinforcement learning in one simulated time: prompts to the engine, answers to the reward workers, full
// batches to the trainer, new weights to the engine.
//
// Driven by events. The engine is a serving session with a clock of its own, which stands still while the engine
// sleeps: for the trainer's turn where both share GPUs, and while new weights come in. How far it may run ahead is one
// rule (AReaL, arXiv 2505.24298, equation 3):
//
//   answers begun <= (versions of the weights + 1 + staleness) x answers of a step
//
// Staleness 0 is the synchronous loop: nothing is begun before the weights of its step are there. Answers of older
// weights are trained on first, and a step waits for those that would be too stale in the next: no answer is further
// behind than the staleness, rounded up.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "workloads/rl/frozen_pool.h"
#include "workloads/rl/host_workers.h"
#include "workloads/rl/lengths.h"
#include "workloads/rl/trainer.h"
#include "workloads/serving/session.h"

namespace flopcast {

/// What the trainer does, or waits for: the parts of a step, which sum to it.
enum class RlPart : std::uint8_t {
  generation,    ///< it waits for answers
  reward,        ///< for rewards of answers that are there, and for frozen models on GPUs of their own
  handover,      ///< memory changes hands between engine and trainer
  log_probs,     ///< of the policy, before it is updated
  reference,     ///< of the frozen copy
  values,        ///< of the critic
  reward_model,  ///< scores of the reward model
  teacher,       ///< log-probabilities of the teacher
  update,        ///< of the policy
  critic_update,
  host,   ///< data between roles, logging
  drain,  ///< for answers that are still being written, before new weights may come
  sync,   ///< new weights on their way to the engine
};
constexpr std::size_t kRlParts = 13;
std::string_view name(RlPart part);

/// A stretch of a lane of the timeline.
struct RlSpan {
  enum class Lane : std::uint8_t { engine, trainer } lane = Lane::trainer;
  RlPart part = RlPart::generation;
  int step = 0;
  Seconds start, end;
};

/// What everything costs, so that the loop knows no hardware. Parts that are in `free` take no time (explain).
struct RlPrices {
  TrainerPrices trainer;
  Seconds sync, to_training, to_generation;
  Seconds frozen_swap;     ///< weights of one frozen model from the host and back
  Seconds reference_copy;  ///< the policy's weights take the reference's place
  /// The critic has GPUs of its own: so many copies read and are trained while the policy is. Waiting for it is part of
  /// `values` and `critic_update`.
  std::optional<int> critic_copies;
  /// Frozen models on GPUs of their own; TrainerPrices has no passes of them then. Waiting for them is part of
  /// `reward`.
  std::optional<FrozenReads> frozen;
  std::array<bool, kRlParts> free{};
};

/// One version of the weights to the next.
struct RlStep {
  Seconds begin, end;
  std::array<Seconds, kRlParts> parts;
  std::int64_t answers = 0;                           ///< trained on
  std::int64_t prompt_tokens = 0, answer_tokens = 0;  ///< of these; results of tools count as prompts
  std::int32_t longest = 0;                           ///< answer
  double micro_batches = 0, mean_micro_batches = 0;   ///< of all updates; the fullest replica and the mean one
  double staleness_sum = 0, staleness_most = 0;       ///< versions between the first token and the update
  std::int64_t thrown_away = 0;                       ///< answers of groups without signal
  std::int64_t interrupted = 0;                       ///< answers
  std::int64_t tool_calls = 0;                        ///< begun
  std::int64_t timed_out_rewards = 0;                 ///< answers whose reward ran into its time-out
  std::int64_t timed_out_tools = 0;                   ///< of the calls of tools
  std::int64_t taken_over = 0;                        ///< answers, by replicas that had nothing to do
  Seconds critic_busy;                                ///< of its own GPUs
  Seconds engine_awake, engine_empty;                 ///< empty: awake, and nothing may be begun
  Seconds engine_busy;                                ///< summed over replicas
  Seconds overlap_awake;                              ///< of replicas on the trainer's GPUs
  Seconds frozen_busy;                                ///< of frozen models' own GPUs, summed over replicas
  std::int64_t tokens_written = 0;                    ///< by the engine, thrown away ones included
  Seconds length() const { return end - begin; }
};

struct RlOutcome {
  std::vector<RlStep> steps;                          ///< warm-up first
  std::vector<RlSpan> spans;                          ///< in order of their end
  std::int64_t begun = 0, trained = 0;                ///< answers; not those that were thrown away
  std::int64_t begun_tokens = 0, trained_tokens = 0;  ///< of these
};

class RlLoop {
 public:
  /// @param session none where nothing is generated. @param block_tokens of its prefix cache; 0: none.
  RlLoop(const RlConfig& config, int updates, RlPrices prices, ServingSession* session, int replicas, int block_tokens);
  /// @param keep_going asked now and then, with the answers that have their reward; false ends the run with
  /// Interrupted.
  /// @throws InputError when groups with signal are too rare to fill a step.
  RlOutcome run(const std::function<bool(std::int64_t answers)>& keep_going = {});

 private:
  struct Sample {
    std::uint32_t group = 0;
    std::int32_t answer = 0, done = 0;  ///< tokens; done: before the last interruption or turn
    std::int16_t calls = 0, turn = 0;   ///< of tools; the turn being written, one more than calls that are over
    std::uint64_t cache = 0;            ///< number of its own blocks, where it has several turns; 0: none yet
    int cached_at = 0;                  ///< version of the weights that made them
    bool alone = false;                 ///< its prompt's blocks are its own too: the group's were of older weights
    /// Tokens up to the end of the turn, in equal turns.
    std::int32_t turn_end() const {
      const std::int64_t all = std::int64_t{answer} * (turn + 1);
      return static_cast<std::int32_t>((all + calls) / (calls + 1));
    }
  };
  struct Group {
    std::int32_t prompt = 0;
    std::uint32_t first = 0;  ///< of samples_
    int open = 0;             ///< answers without a reward
    int version = 0;          ///< of the weights, when its answers were begun
    Seconds written;          ///< its last answer
  };
  enum class Trainer : std::uint8_t { idle, busy, draining, syncing };

  void begin_groups();
  void order_groups(std::vector<std::uint32_t>& fresh);
  void even_out(Seconds now);
  void ask(std::uint32_t sample, Seconds now);
  void share_prefix(std::uint32_t sample, Request& request);
  void written(std::uint32_t sample, Seconds now);
  void call_tool(std::uint32_t sample, Seconds now);
  /// Answers are being written, or wait for a tool.
  bool writing() const { return session_ && (!session_->idle() || !tool_results_.empty()); }
  void rewarded(std::uint32_t sample);
  void start_unit(Seconds now);
  Seconds spend(RlPart part, Seconds start, Seconds time);
  Seconds train(std::span<const std::uint32_t> groups, Seconds start);
  /// Tokens of a prompt, results of tools and answer.
  std::int32_t sequence(const Sample& sample) const {
    return groups_[sample.group].prompt + sample.calls * config_.tools.tokens + sample.answer;
  }
  void end_unit(Seconds now);
  void start_sync(Seconds now);
  void end_sync(Seconds now);
  void go_on(std::span<const Unfinished> unfinished, Seconds now);
  void stop_overlap(Seconds now);
  void sleep(Seconds now);
  void wake(Seconds now);
  Seconds next_own_event() const;
  [[noreturn]] void nothing_left() const;
  void fire(Seconds now);
  std::size_t unit_groups() const;
  bool may_start() const;
  Seconds session_time(Seconds wall) const { return wall - asleep_; }

  RlConfig config_;
  int updates_, replicas_, block_tokens_;
  RlPrices prices_;
  ServingSession* session_;
  GroupSource source_;
  HostWorkersSimulation rewards_, tools_;
  std::optional<FrozenPool> frozen_;
  RandomStream signals_, calls_, predictions_;
  std::int64_t rewarded_ = 0;  ///< answers
  Seconds evened_out_{-1};     ///< when answers were last taken over
  std::vector<Sample> samples_;
  std::vector<Group> groups_;
  /// Complete groups: those of older weights first, then as they were complete; in whole batches as they were drawn.
  std::vector<std::uint32_t> ready_;
  std::vector<int> open_;                                 ///< groups begun and not complete, by version of the weights
  std::set<std::uint32_t> unwritten_;                     ///< the same groups
  std::deque<std::pair<Seconds, std::uint32_t>> scores_;  // rewards to come, by time
  std::deque<std::pair<Seconds, std::uint32_t>> tool_results_;  // the same of tools
  std::vector<std::pair<std::uint32_t, Seconds>> results_;      // of the session's last event
  double begun_groups_ = 0;
  std::int64_t drawn_groups_ = 0;
  std::uint64_t resumed_ = 0;  ///< answers that were begun again
  int version_ = 0, unit_ = 0;
  Trainer trainer_ = Trainer::idle;
  Seconds trainer_until_, idle_since_, asleep_, slept_at_, awake_since_;
  bool awake_ = true, overlap_awake_ = true;
  Seconds overlap_since_;
  WideTicks busy_before_ = 0;
  std::int64_t tokens_before_ = 0;
  RlStep step_;
  RlOutcome out_;
};

}  // namespace flopcast
