#include "workloads/rl/settling.h"

#include <algorithm>
#include <cmath>

namespace flopcast {
namespace {

/// Tokens written and answers rewarded that are as many as are gone, and halves of what counts that take as long. The
/// step of a loop that its engine or its rewards hold up is off by as much as the former.
constexpr double kLevel = 0.01, kSameHalves = 0.03;
/// Rounds that are replayed at least, and before a loop is given up; twice as many as are asked for are never too many.
constexpr int kLeastRounds = 4, kMostRounds = 32;

Seconds length_of(std::span<const RlStep> steps) { return steps.back().end - steps.front().begin; }

/// @pre two rounds at least. Of an odd number the middle one is in neither half.
bool halves_agree(std::span<const RlStep> steps, std::size_t round) {
  const std::size_t half = steps.size() / round / 2 * round;
  return std::abs(length_of(steps.first(half)) / length_of(steps.last(half)) - 1) <= kSameHalves;
}

int counted_rounds(const RlConfig& config) {
  const int round = config.round_steps();
  return std::max(kLeastRounds / 2, (std::max(1, config.replayed_steps) + round - 1) / round);
}

}  // namespace

double written_over_gone(std::span<const RlStep> steps) {
  double written = 0, gone = 0;
  for (const RlStep& step : steps) {
    written += static_cast<double>(step.tokens_written);
    gone += static_cast<double>(step.answer_tokens + step.thrown_tokens);
  }
  return written > 0 && gone > 0 ? written / gone : 1;
}

double rewarded_over_gone(std::span<const RlStep> steps) {
  double rewarded = 0, gone = 0;
  for (const RlStep& step : steps) {
    rewarded += static_cast<double>(step.rewarded);
    gone += static_cast<double>(step.answers + step.thrown_away);
  }
  return rewarded > 0 && gone > 0 ? rewarded / gone : 1;
}

bool settled(std::span<const RlStep> counted) {
  return std::abs(written_over_gone(counted) - 1) <= kLevel && std::abs(rewarded_over_gone(counted) - 1) <= kLevel;
}

int least_steps(const RlConfig& config) {
  if (config.asynchrony.staleness <= 0) return std::max(1, config.replayed_steps);
  return 2 * counted_rounds(config) * config.round_steps();
}

std::optional<std::size_t> first_counted(std::span<const RlStep> steps, const RlConfig& config) {
  const std::size_t replayed = steps.size();
  if (replayed < static_cast<std::size_t>(least_steps(config))) return std::nullopt;
  if (config.asynchrony.staleness <= 0) return 0;
  const auto round = static_cast<std::size_t>(config.round_steps());
  if (replayed % round != 0) return std::nullopt;
  const std::size_t first = replayed - replayed / round / 2 * round;
  const std::span<const RlStep> counted = steps.subspan(first);
  const bool level = settled(counted) && halves_agree(counted, round);
  const std::size_t most = std::max(kMostRounds * round, 2 * static_cast<std::size_t>(least_steps(config)));
  return level || replayed >= most ? std::optional(first) : std::nullopt;
}

}  // namespace flopcast
