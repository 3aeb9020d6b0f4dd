// What expert-parallel groups exchange, given to the ranks that are replayed.
#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "workloads/collectives/expert_collective.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/prices/step_layout.h"

namespace flopcast {

class ExpertGroups {
 public:
  /// @param loads relative expert load per expert-parallel rank.
  /// @param own_tokens that each GPU sends to experts.
  ExpertGroups(const TrainingConfig& config, const JobGrid& grid, std::span<const double> loads,
               std::int64_t own_tokens, Topology& topology, const LinkCalibration& links);

  /// Gives each program its transfers, and the members of a group that are replayed side by side their barriers.
  /// @param folded whether ranks stand for others.
  void connect(std::vector<RankProgram>& programs, bool folded);

 private:
  std::pair<int, int> group_of(const RankProgram& program) const;
  CollectivePhase exchange(const std::vector<RankId>& gpus, const std::vector<ExpertTraffic>& traffic, ExpertOp op,
                           bool overlapped, bool folded);
  std::vector<ExpertTraffic> traffic(Precision precision) const;

  const TrainingConfig& config_;
  const JobGrid& grid_;
  std::span<const double> loads_;
  std::int64_t own_tokens_;
  Topology& topology_;
  const LinkCalibration& links_;
  std::vector<std::unique_ptr<ExchangeBarriers>> barriers_;
};

}  // namespace flopcast
