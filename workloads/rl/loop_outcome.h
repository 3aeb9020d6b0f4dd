// What a loop of reinforcement learning costs and gives: plain values.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "workloads/rl/frozen_pool.h"
#include "workloads/rl/trainer.h"

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
  /// Weights of frozen models from the host and back, each for its own pass.
  Seconds reference_swap, teacher_swap, reward_model_swap;
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
  std::int64_t thrown_away = 0, thrown_tokens = 0;    ///< answers of groups without signal, and theirs
  std::int64_t interrupted = 0;                       ///< answers
  std::int64_t tool_calls = 0;                        ///< begun
  std::int64_t rewarded = 0;                          ///< answers, of later steps too
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
  std::vector<RlStep> steps;
  std::size_t first_counted = 0;                      ///< of them: those before are warm-up
  std::vector<RlSpan> spans;                          ///< in order of their end
  std::int64_t begun = 0, trained = 0;                ///< answers; not those that were thrown away
  std::int64_t begun_tokens = 0, trained_tokens = 0;  ///< of these
  std::span<const RlStep> counted() const { return std::span(steps).subspan(first_counted); }
};

}  // namespace flopcast
