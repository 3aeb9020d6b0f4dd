// In which order prompts go to the engine, and who takes over from whom at its end.
#include <algorithm>
#include <cmath>
#include <utility>

#include "workloads/rl/loop.h"

namespace flopcast {

/// Groups with the longest answers first: as they will be, or as a prediction has it. That sees normal scores of their
/// lengths through noise.
void RlLoop::order_groups(std::vector<std::uint32_t>& fresh) {
  if (config_.order == PromptOrder::as_drawn) return;
  const auto longest = [&](std::uint32_t g) {
    std::int32_t most_tokens = 0;
    for (int i = 0; i < config_.group; ++i)
      most_tokens = std::max(most_tokens, samples_[groups_[g].first + static_cast<std::uint32_t>(i)].answer);
    return most_tokens;
  };
  std::stable_sort(fresh.begin(), fresh.end(), [&](auto a, auto b) { return longest(a) > longest(b); });
  if (config_.order == PromptOrder::longest_first) return;
  const double seen = config_.prediction, noise = std::sqrt(1 - seen * seen), n = static_cast<double>(fresh.size());
  std::vector<std::pair<double, std::uint32_t>> predicted;
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    const double score = normal_quantile((n - static_cast<double>(i) - 0.375) / (n + 0.25));
    predicted.emplace_back(seen * score + noise * predictions_.normal(), fresh[i]);
  }
  std::stable_sort(predicted.begin(), predicted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t i = 0; i < fresh.size(); ++i) fresh[i] = predicted[i].second;
}

/// Nothing more may be begun, and some replicas have nothing to do: they take over answers of others.
void RlLoop::even_out(Seconds now) {
  if (!config_.take_over || !session_ || session_->idle() || now <= evened_out_) return;
  const std::vector<Unfinished> unfinished = session_->even_out();
  for (const auto& [sample, finish] : results_) written(sample, std::max(now, finish + asleep_));
  results_.clear();
  if (unfinished.empty()) return;
  evened_out_ = now;
  step_.taken_over += static_cast<std::int64_t>(unfinished.size());
  go_on(unfinished, now);
}

}  // namespace flopcast
