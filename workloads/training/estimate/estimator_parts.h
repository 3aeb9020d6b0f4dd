// What an estimator keeps of plans with the same degrees (step_estimate.h); for its own files alone.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "workloads/training/estimate/step_bound.h"
#include "workloads/training/estimate/step_estimate.h"

namespace flopcast {

/// What a plan asks of its schedule.
ScheduleRequest request_of(const TrainingConfig& base, const PlanChoice& choice);

/// What follows the passes of a step.
struct EndTimes {
  Seconds all;
  Seconds update;  ///< of it, optimiser and host
};

struct StepEstimator::Layout {
  static constexpr int kKinds = 5;  // of passes
  std::vector<StageContent> stages;
  std::vector<StageContent> contents;     // those that differ
  std::vector<std::uint16_t> known_as;    // [content] in Degrees::contents
  std::vector<std::uint16_t> content_of;  // [stage]
  std::vector<std::uint16_t> memory_of;   // [rank] into Degrees::rank_kinds
  std::vector<PassProfile> profiles;
  std::vector<std::int16_t> profile_at;  // [kind][at][content][content]; -1: not asked for yet
  std::vector<std::uint16_t> profile_of_form;
  std::optional<EndTimes> end;

  std::size_t slot(PassKind kind, PassProfiles::At at, std::size_t forward, std::size_t backward) const {
    const std::size_t first = static_cast<std::size_t>(kind) * 2 + static_cast<std::size_t>(at);
    return (first * contents.size() + forward) * contents.size() + backward;
  }
};

struct StepEstimator::Degrees {
  struct StageMemory {
    StageContent holds;
    Bytes activation;  // of one micro-batch
  };
  /// Ranks that hold the same need the same.
  struct RankKind {
    std::vector<std::uint16_t> contents;  // [chunk] in `contents`
    bool twice = false;
    RankMemory memory;
  };
  /// Pipeline rank, whether its stages are held twice, and the parameters that it holds.
  using EndKey = std::tuple<int, bool, double, double>;

  Degrees(TrainingConfig plan, const PassPrices& of, const MemoryTerms::Shared& of_memory, Topology& topology,
          const LinkCalibration& links, bool held_twice, PassProfiles::Known& plain, ShardTraffic::Shares& shares)
      : config(std::move(plan)),
        grid(config.plan),
        prices(of),
        memory(config, of.hottest_load(), of_memory),
        profiles(config, prices, topology, links, collectives_beside_passes(config, grid, held_twice), of_memory.count,
                 plain, shares),
        costs(prices.prices().layer_costs()) {}

  TrainingConfig config;
  JobGrid grid;
  const PassPrices& prices;
  MemoryTerms memory;
  PassProfiles profiles;
  LayerCosts costs;
  std::vector<StageMemory> contents;                                  // a few: looked through in order
  std::vector<RankKind> rank_kinds;                                   // likewise
  std::map<std::pair<PassProfiles::ContentKey, bool>, Bytes> always;  // by what a rank holds, and whether twice
  std::map<std::tuple<int, int, int>, Layout> layouts;                // schedule, chunks, split
  /// By split and SchedulePattern::groups_number.
  std::map<std::pair<PlanChoice::Split, int>, std::vector<StageContent>> splits;
  std::map<EndKey, EndTimes> ends;
  std::optional<WorkFloors> floors_apart, floors_together;

  /// Number of a stage's content in `contents`.
  std::uint16_t known_content(const StageContent& stage);
  /// Number in `rank_kinds` of a rank that holds such stages. @param holds numbers in `contents`
  std::uint16_t rank_kind(std::span<const std::uint16_t> holds, bool two_copies);
  Bytes memory_of(const Layout& layout, const PatternPair& pair, std::size_t rank) const;

 private:
  Bytes activation(const StageContent& stage) const;
  RankMemory rank_memory(std::span<const std::uint16_t> holds, bool two_copies);
};

}  // namespace flopcast
