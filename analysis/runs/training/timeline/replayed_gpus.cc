#include "analysis/runs/training/timeline/replayed_gpus.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// The first few: "0, 128, 256, ...".
std::string first_replayed(const TrainingStep& step) {
  constexpr std::size_t kShown = 16;
  std::vector<std::string> gpus;
  for (std::size_t i = 0; i < std::min(step.ranks.size(), kShown); ++i)
    gpus.push_back(fmt::format("{}", step.ranks[i].gpu.index()));
  if (step.ranks.size() > kShown) gpus.push_back("...");
  return fmt::format("{}", fmt::join(gpus, ", "));
}

}  // namespace

void check_replayed(std::span<const int> gpus, const TrainingStep& step, const std::string& asked) {
  for (const int gpu : gpus) {
    const bool replayed = std::any_of(step.ranks.begin(), step.ranks.end(), [gpu](const ReplayedRank& rank) {
      return static_cast<int>(rank.gpu.index()) == gpu;
    });
    if (replayed) continue;
    throw InputError(Diagnostic{.field = asked,
                                .found = fmt::format("GPU {}", gpu),
                                .expected = fmt::format("GPUs that are replayed: {}{}", first_replayed(step),
                                                        step.folded ? " (unfolded, every one is)" : "")});
  }
}

}  // namespace flopcast
