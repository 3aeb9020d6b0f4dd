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
#include "workloads/rl/loop_outcome.h"
#include "workloads/rl/trainer.h"
#include "workloads/serving/session/session.h"

namespace flopcast {

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
    Seconds rewarded;         ///< the last of its rewards
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
  void fire(Seconds now);
  bool may_start() const;

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
