// What follows the last pass of a step: gradients reduced where they were not reduced beside the passes, their norm,
// the optimiser, parameters gathered.
#pragma once
#include <cstdint>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "sim/graph.h"
#include "workloads/training/passes/pass_emitter.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/prices/step_prices.h"

namespace flopcast {

/// Pipeline ranks that hold the same stages as `pipeline_rank`, itself included (DualPipe holds each stage twice): they
/// reduce their gradients together.
std::vector<int> holders_of_same_stages(const Schedule& schedule, int pipeline_rank);

class EndOfStep {
 public:
  EndOfStep(const TrainingConfig& config, const JobGrid& grid, const Schedule& schedule,
            const std::vector<StageContent>& stages, const StepPrices& prices, Topology& topology,
            const LinkCalibration& links, GraphBuilder& graph, std::vector<RankProgram>& programs,
            std::vector<StepCollective>& collectives);

  /// @param beside which collectives were built beside the passes.
  void add(const ShardPlan& beside);

 private:
  OpId barrier(std::span<const std::size_t> members);
  void add_collective(std::string_view name, OpName op, StepCollective::Among among, std::span<const RankId> group,
                      std::span<const std::size_t> members, double bytes);
  std::vector<RankId> sharers(const std::vector<int>& pipeline_ranks, int position, bool experts) const;
  std::vector<std::size_t> replayed_among(const std::vector<RankId>& gpus) const;
  StageParameters parameters_of(int pipeline_rank) const;
  void reduce_or_gather(std::string_view name, OpName op, double bytes_per_element);
  void reduce_across_shard_groups();
  double updated_by(const RankProgram& program) const;

  const TrainingConfig& config_;
  const JobGrid& grid_;
  const Schedule& schedule_;
  const std::vector<StageContent>& stages_;
  const StepPrices& prices_;
  Topology& topology_;
  const LinkCalibration& links_;
  GraphBuilder& graph_;
  std::vector<RankProgram>& programs_;
  std::vector<StepCollective>& collectives_;  // those that were added
  ShardGroups groups_;
  static constexpr std::uint32_t kNotReplayed = ~std::uint32_t{0};
  std::vector<std::uint32_t> program_of_;  // by GPU
};

}  // namespace flopcast
