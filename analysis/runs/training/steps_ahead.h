// Steps that will be asked for, replayed by threads of their own meanwhile.
#pragma once
#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "sim/base/units.h"
#include "workloads/training/training.h"

namespace flopcast {

/// What the replay of a step tells where nothing but its time is wanted.
struct TimedStep {
  Seconds time;
  Bytes memory;  ///< of the fullest GPU
  std::vector<std::string> notes;
};

class StepsAhead {
 public:
  /// @param replay gives up, by an exception, once its token says so
  using Replay = std::function<TimedStep(const TrainingConfig&, std::stop_token)>;
  /// @param threads none: nothing is replayed ahead
  StepsAhead(std::vector<TrainingConfig> configs, Replay replay, int threads);
  /// Stops what is under way.
  ~StepsAhead();
  StepsAhead(const StepsAhead&) = delete;
  StepsAhead& operator=(const StepsAhead&) = delete;

  /// The step of a configuration; what its replay threw is thrown here. Nothing: no thread has begun with it, nor will.
  /// @param waiting called now and then meanwhile
  std::optional<TimedStep> take(const TrainingConfig& config, const std::function<void()>& waiting);

 private:
  enum class Claim { none, thread, asker };
  struct Step {
    TrainingConfig config;
    std::atomic<Claim> claim = Claim::none;
    std::promise<TimedStep> promise;
    std::shared_future<TimedStep> result = promise.get_future().share();
  };
  static bool claim(Step& step, Claim by);
  void work(const std::stop_token& stop);

  std::deque<Step> steps_;
  Replay replay_;
  std::vector<std::jthread> threads_;  // the last member: they end before what they use
};

}  // namespace flopcast
