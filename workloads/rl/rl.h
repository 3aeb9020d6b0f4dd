// The configuration of a loop of reinforcement learning: prompts and answers, algorithm, where generation and training
// run, how far one may run ahead of the other, rewards, how new weights reach the engine.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/base/fields.h"
#include "sim/base/units.h"
#include "workloads/model/model.h"
#include "workloads/rl/algorithms.h"

namespace flopcast {

enum class LengthShape : std::uint8_t { fixed, uniform, exponential, log_normal, histogram };
constexpr std::array<std::string_view, 5> enum_names(LengthShape) {
  return {"fixed", "uniform", "exponential", "log_normal", "histogram"};
}

/// Tokens of prompts or answers. Draws: lengths.h.
struct TokenLengths {
  double mean = 1;  ///< of what is left after the cut
  LengthShape shape = LengthShape::fixed;
  double variation =
      1;  ///< coefficient of variation of log_normal before the cut; uniform: half the width over the mean
  double least = 1, most = 1e8;  ///< the cut
  double group_correlation = 0;  ///< of the answers of a group, as normal scores
  std::string histogram;         ///< name of a measured one, for its shape
  std::vector<double> counts;    ///< of its equal bins

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("mean", &TokenLengths::mean, {"rollouts"});
    field("shape", &TokenLengths::shape, {"rollouts"});
    field("variation", &TokenLengths::variation, {"rollouts"});
    field("least", &TokenLengths::least, {"rollouts"});
    field("most", &TokenLengths::most, {"rollouts"});
    field("group_correlation", &TokenLengths::group_correlation, {"rollouts"});
    field("histogram", &TokenLengths::histogram, {"rollouts"});
    field.aside(&TokenLengths::counts, "histogram");
  }
};

enum class RlPlacement : std::uint8_t {
  colocated,  ///< generation and training on the same GPUs in turn
  separate,   ///< on GPUs of their own: training on the first, the engine on those after them
};
constexpr std::array<std::string_view, 2> enum_names(RlPlacement) { return {"colocated", "separate"}; }

/// How answers of different lengths become micro-batches.
enum class AnswerPacking : std::uint8_t {
  balanced,       ///< packed without padding, replicas given equal numbers of tokens as well as can be
  in_order,       ///< packed without padding, replicas given equal numbers of answers as they come
  padded,         ///< each as long as the longest there may be
  balanced_step,  ///< packed without padding; a step's answers are balanced, each replica's cut into updates as they
                  ///< come
};
constexpr std::array<std::string_view, 4> enum_names(AnswerPacking) {
  return {"balanced", "in_order", "padded", "balanced_step"};
}

/// In which order a step's prompts go to the engine.
enum class PromptOrder : std::uint8_t { as_drawn, longest_first, predicted };
constexpr std::array<std::string_view, 3> enum_names(PromptOrder) { return {"as_drawn", "longest_first", "predicted"}; }

/// What becomes of answers that are being written when new weights come.
enum class InFlight : std::uint8_t {
  finish,     ///< they are finished first; nothing new is begun meanwhile
  recompute,  ///< interrupted, and continued with new weights; their cache is computed again
  keep,       ///< paused, and continued with the cache that old weights made
};
constexpr std::array<std::string_view, 3> enum_names(InFlight) { return {"finish", "recompute", "keep"}; }

/// How far the engine may run ahead of the trainer.
struct AsynchronyConfig {
  /// In steps: answers begun <= (versions of the weights + 1 + staleness) x answers of a step. 0: synchronous.
  double staleness = 0;
  InFlight in_flight = InFlight::recompute;
  bool whole_batches = false;   ///< a step trains on the prompts that were drawn for it
  bool stream_updates = false;  ///< an update begins when its own answers are there, not when all of the step are

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("staleness", &AsynchronyConfig::staleness, {"ahead"});
    field("in_flight", &AsynchronyConfig::in_flight, {"ahead"});
    field("whole_batches", &AsynchronyConfig::whole_batches, {"ahead"});
    field("stream_updates", &AsynchronyConfig::stream_updates, {"ahead"});
  }
};

enum class RewardKind : std::uint8_t {
  rules,    ///< CPUs of a pool look at an answer when it is finished
  sandbox,  ///< the same by running code, with a time-out
  model,    ///< a reward model reads the answers on the training GPUs
};
constexpr std::array<std::string_view, 3> enum_names(RewardKind) { return {"rules", "sandbox", "model"}; }

/// Workers of CPUs that look at answers or run tools.
struct HostWorkers {
  Seconds time{1};       ///< of one piece of work, on average
  double variation = 0;  ///< log-normal
  int workers = 256;     ///< pieces worked on side by side
  Seconds time_out{60};  ///< nothing takes longer
  double hanging = 0;    ///< share that run into it

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("time", &HostWorkers::time, {"rollouts"});
    field("variation", &HostWorkers::variation, {"rollouts"});
    field("workers", &HostWorkers::workers, {"rollouts"});
    field("time_out", &HostWorkers::time_out, {"rollouts"});
    field("hanging", &HostWorkers::hanging, {"rollouts"});
  }
};

struct RewardConfig {
  RewardKind kind = RewardKind::rules;
  HostWorkers pool{.time = Seconds(0.1), .workers = 64};
  ModelConfig model;  ///< kind model; no name: of the policy's size

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("kind", &RewardConfig::kind, {"rollouts"});
    field("", &RewardConfig::pool);
    field("model", &RewardConfig::model, {.resolved = true});
  }
};

/// Calls of tools between the turns of an answer.
struct ToolConfig {
  double calls = 0;  ///< of an answer, on average
  int tokens = 256;  ///< of a result
  HostWorkers pool;

  /// Tokens of results in an answer's context: on average, and at most.
  double mean_tokens() const { return calls * tokens; }
  double most_tokens() const { return std::ceil(calls) * tokens; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("calls", &ToolConfig::calls, {"rollouts"});
    field("tokens", &ToolConfig::tokens, {"rollouts"});
    field("", &ToolConfig::pool);
  }
};

/// GPUs of their own for what is frozen, or for the critic; none: the trainer's.
struct OwnGpus {
  int gpus = 0;
  int tensor = 1, pipeline = 1;  ///< of a replica, which holds all frozen models; of a copy of the critic
  int replica_gpus() const { return tensor * pipeline; }
  int replicas() const { return gpus / replica_gpus(); }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("gpus", &OwnGpus::gpus, {"placement"});
    field("tensor", &OwnGpus::tensor, {"placement"});
    field("pipeline", &OwnGpus::pipeline, {"placement"});
  }
};

/// How new weights get from the trainer's layout into the engine's. Prices: weight_sync.h.
enum class SyncForm : std::uint8_t {
  sharded,    ///< each engine GPU gets its own part, from the trainers that hold it
  broadcast,  ///< tensor by tensor: gathered on the trainers, sent by one of them to every engine GPU
  delta,      ///< as sharded, but only what has changed
  host,       ///< as sharded, through host memory on both sides
  storage,    ///< written to storage and read by every replica
};
constexpr std::array<std::string_view, 5> enum_names(SyncForm) {
  return {"sharded", "broadcast", "delta", "host", "storage"};
}

struct SyncConfig {
  SyncForm form = SyncForm::sharded;
  double delta_share = 0.03;  ///< of the weights that an update changes, their positions included
  BytesPerSecond delta_rate;  ///< at which a GPU of the trainer finds what has changed, over all weights that it holds
  Seconds fixed;              ///< of every synchronisation: messages between processes, caches dropped
  /// At which an engine GPU takes in what reaches it: copies, casts, loading tensor by tensor.
  BytesPerSecond load_rate;
  BytesPerSecond expert_load_rate;   ///< the same of experts, whose tensors are many
  BytesPerSecond storage_bandwidth;  ///< all nodes together
  Seconds per_tensor;                ///< where the engine takes tensors in one by one
  bool overlapped = false;           ///< gathering beside sending beside loading

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("form", &SyncConfig::form, {"weight-sync"});
    field("delta_share", &SyncConfig::delta_share, {"weight-sync"});
    field("delta_rate", &SyncConfig::delta_rate, {"weight-sync"});
    field("fixed", &SyncConfig::fixed, {"weight-sync"});
    field("load_rate", &SyncConfig::load_rate, {"weight-sync"});
    field("expert_load_rate", &SyncConfig::expert_load_rate, {"weight-sync"});
    field("storage_bandwidth", &SyncConfig::storage_bandwidth, {"weight-sync"});
    field("per_tensor", &SyncConfig::per_tensor, {"weight-sync"});
    field("overlapped", &SyncConfig::overlapped, {"weight-sync"});
  }
};

/// What leaves the GPUs for host memory while it is not needed (colocated), and what switching costs.
struct HandoverConfig {
  bool optimizer = true;           ///< optimiser states, while the engine generates
  bool parameters = true;          ///< parameters and gradients of the trainer, likewise
  bool engine = true;              ///< weights and KV cache of the engine, while the trainer works
  bool reference = true;           ///< weights of frozen models, but for their pass
  Seconds wake;                    ///< of the engine: memory mapped, graphs captured again
  BytesPerSecond copy_rate{1e12};  ///< of optimiser states to host memory, as far as PCIe carries it

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("optimizer", &HandoverConfig::optimizer, {"loop"});
    field("parameters", &HandoverConfig::parameters, {"loop"});
    field("engine", &HandoverConfig::engine, {"loop"});
    field("reference", &HandoverConfig::reference, {"loop"});
    field("wake", &HandoverConfig::wake, {"loop"});
    field("copy_rate", &HandoverConfig::copy_rate, {"loop"});
  }
};

/// A point of the curve along which answers grow over a run.
struct GrowthPoint {
  double step = 0;             ///< of the run
  double mean = 1;             ///< tokens of an answer
  std::optional<double> most;  ///< another cut from here on

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("step", &GrowthPoint::step, {"run"});
    field("mean", &GrowthPoint::mean, {"run"});
    field("most", &GrowthPoint::most, {"run"});
  }
};

/// All steps of a run.
struct RlRunConfig {
  double steps = 0;                 ///< 0: one step is all there is
  std::vector<GrowthPoint> growth;  ///< none: answers stay as they are
  int evaluation_every = 0;         ///< steps; 0: never
  int evaluation_answers = 0;       ///< written for it
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("steps", &RlRunConfig::steps, {"run"});
    field("growth", &RlRunConfig::growth, {"run"});
    field("evaluation_every", &RlRunConfig::evaluation_every, {"run"});
    field("evaluation_answers", &RlRunConfig::evaluation_answers, {"run"});
    field("source", &RlRunConfig::source, {kLabel});
  }
};

struct RlConfig {
  const AlgorithmRow* algorithm = &algorithms().front();
  int prompts = 1;  ///< of a step
  int group = 1;    ///< answers to each
  TokenLengths prompt, answer;
  int epochs = 1;
  RlPlacement placement = RlPlacement::colocated;
  int overlap = 0;  ///< of the engine's replicas, the last: on the trainer's GPUs, while it waits for answers
  AnswerPacking packing = AnswerPacking::balanced;
  PromptOrder order = PromptOrder::as_drawn;
  double prediction = 0.75;  ///< of lengths, with order predicted: correlation with those written, as normal scores
  bool take_over = false;    ///< replicas without work take over answers of others
  std::optional<bool> reference;      ///< none: as the algorithm has it
  int reference_every = 0;            ///< steps after which it is replaced by the policy; 0: never
  std::optional<bool> old_log_probs;  ///< none: as the algorithm has it
  double signal_share = 1;            ///< of groups, where others are thrown away
  AsynchronyConfig asynchrony;
  RewardConfig reward;
  ToolConfig tools;
  OwnGpus frozen;
  OwnGpus critic;
  ModelConfig critic_model;     ///< without a name: of the policy's size
  ModelConfig reference_model;  ///< without a name: a copy of the policy
  ModelConfig teacher;          ///< of a distillation
  SyncConfig sync;
  HandoverConfig handover;
  Seconds host_time;   ///< of each step: data between roles, logging
  Seconds token_time;  ///< of the engine's host, for each token that it writes, beside its own
  int replayed_steps = 1;
  std::uint64_t seed = 1;
  RlRunConfig run;
  std::string framework;  ///< whose habits these are; empty: nobody's in particular

  std::int64_t answers() const { return std::int64_t{prompts} * group; }
  int aside_gpus() const { return frozen.gpus + critic.gpus; }  ///< beside those of trainer and engine
  bool with_reference() const { return reference.value_or(algorithm->reference); }
  bool with_old_log_probs() const { return old_log_probs.value_or(algorithm->old_log_probs); }
  bool with_reward_model() const { return algorithm->rewards && reward.kind == RewardKind::model; }
  /// Frozen models that read answers: for the reference, the teacher, the reward model.
  bool with_frozen() const {
    return with_reward_model() || (algorithm->trains && (with_reference() || algorithm->teacher));
  }
  /// Steps until the answers that one version of the weights began are trained on, whoever wrote them: a loop that runs
  /// ahead goes round in as many.
  int round_steps() const { return 1 + static_cast<int>(std::ceil(asynchrony.staleness)); }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("algorithm", &RlConfig::algorithm, {"algorithm"});
    field("prompts", &RlConfig::prompts, {"rollouts"});
    field("group", &RlConfig::group, {"rollouts"});
    field("prompt", &RlConfig::prompt);
    field("answer", &RlConfig::answer);
    field("epochs", &RlConfig::epochs, {"algorithm"});
    field("placement", &RlConfig::placement, {"placement"});
    field("overlap", &RlConfig::overlap, {"placement"});
    field("packing", &RlConfig::packing, {"loop"});
    field("order", &RlConfig::order, {"loop"});
    field("prediction", &RlConfig::prediction, {"loop"});
    field("take_over", &RlConfig::take_over, {"loop"});
    field("reference", &RlConfig::reference, {.cause = "algorithm", .absent = "as the algorithm has it"});
    field("reference_every", &RlConfig::reference_every, {.cause = "algorithm", .absent = "never"});
    field("old_log_probs", &RlConfig::old_log_probs, {.cause = "algorithm", .absent = "as the algorithm has it"});
    field("signal_share", &RlConfig::signal_share, {"rollouts"});
    field("asynchrony", &RlConfig::asynchrony);
    field("reward", &RlConfig::reward);
    field("tools", &RlConfig::tools);
    field("frozen", &RlConfig::frozen);
    field("critic", &RlConfig::critic);
    field("critic_model", &RlConfig::critic_model, {.resolved = true});  // critic.model
    field("reference_model", &RlConfig::reference_model, {.resolved = true});
    field("teacher", &RlConfig::teacher, {.resolved = true});
    field("sync", &RlConfig::sync);
    field("handover", &RlConfig::handover);
    field("host_time", &RlConfig::host_time, {"loop"});
    field("token_time", &RlConfig::token_time, {"loop"});
    field("replayed_steps", &RlConfig::replayed_steps, {"rollouts"});
    field("seed", &RlConfig::seed, {"rollouts"});
    field("run", &RlConfig::run);
    field("framework", &RlConfig::framework, {kLabel});
  }
};

}  // namespace flopcast
