#include "analysis/runs/training/steps_ahead.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

namespace flopcast {

namespace {

// All that one projection's steps differ in.
bool same_step(const TrainingConfig& a, const TrainingConfig& b) { return a.plan == b.plan && a.batch == b.batch; }

}  // namespace

StepsAhead::StepsAhead(std::vector<TrainingConfig> configs, Replay replay, int threads) : replay_(std::move(replay)) {
  for (TrainingConfig& config : configs) {
    const auto same = [&](const Step& step) { return same_step(step.config, config); };
    if (std::none_of(steps_.begin(), steps_.end(), same)) steps_.emplace_back().config = std::move(config);
  }
  for (int i = 0; i < std::min(threads, static_cast<int>(steps_.size())); ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

StepsAhead::~StepsAhead() {
  for (std::jthread& thread : threads_) thread.request_stop();  // all of them, before the first is waited for
}

bool StepsAhead::claim(Step& step, Claim by) {
  Claim none = Claim::none;
  return step.claim.compare_exchange_strong(none, by);
}

void StepsAhead::work(const std::stop_token& stop) {
  for (Step& step : steps_) {
    if (stop.stop_requested()) return;
    if (!claim(step, Claim::thread)) continue;
    try {
      step.promise.set_value(replay_(step.config, stop));
    } catch (...) {
      step.promise.set_exception(std::current_exception());
    }
  }
}

std::optional<TimedStep> StepsAhead::take(const TrainingConfig& config, const std::function<void()>& waiting) {
  constexpr std::chrono::milliseconds kPause{20};
  const auto found =
      std::find_if(steps_.begin(), steps_.end(), [&](const Step& step) { return same_step(step.config, config); });
  if (found == steps_.end() || claim(*found, Claim::asker) || found->claim == Claim::asker) return std::nullopt;
  while (found->result.wait_for(kPause) != std::future_status::ready) waiting();
  return found->result.get();
}

}  // namespace flopcast
