// Gradients on their way to the optimiser and parameters on their way back, layer by layer beside compute: what an
// overlapped distributed optimiser (ZeRO-1, ZeRO-2) and fully sharded data parallelism (ZeRO-3) send.
#pragma once
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/graph.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/stages.h"

namespace flopcast {

/// One of the collectives that data parallelism needs.
enum class ShardOp : std::uint8_t { gather, scatter, all_reduce };

/// Who shares what with a GPU: the ranks over which its slice of the dense parameters, or of its experts, is sharded.
class ShardGroups {
 public:
  ShardGroups(const ParallelPlan& plan, const JobGrid& grid) : plan_(plan), grid_(grid) {}
  /// Of one pipeline stage. @param whole all replicas, else the shard group only.
  std::vector<RankId> dense(int pipeline_rank, int position, bool whole) const;
  /// Hybrid sharding: who holds the same shard in each of the shard groups.
  std::vector<RankId> across(int pipeline_rank, int position) const;
  std::vector<RankId> experts(int pipeline_rank, int position) const;

 private:
  const ParallelPlan& plan_;
  const JobGrid& grid_;
};

/// Puts gathers and scatters on the lanes `parameters` and `gradients` of the replayed GPUs.
class ShardTraffic {
 public:
  /// What one GPU moves in a collective, and how long that takes alone.
  struct Share {
    PortTransfer transfer;
    Seconds alone;
  };
  using Among = StepCollective::Among;
  /// By GPU, operation, group, bytes.
  using Shares = std::map<std::tuple<std::uint32_t, ShardOp, Among, double>, Share>;

  /// @param shares kept from other steps with the same degrees, and added to; null: none are.
  ShardTraffic(const TrainingConfig& config, const JobGrid& grid, Topology& topology, const LinkCalibration& links,
               GraphBuilder& graph, Shares* shares = nullptr);
  ShardTraffic(const ShardTraffic&) = delete;
  /// Where collectives are noted as they are added; nowhere unless this was called.
  void note_in(std::vector<StepCollective>& collectives) { collectives_ = &collectives; }
  /// Replayed members of a group wait for each other.
  void connect(std::vector<RankProgram>& programs);

  /// What an operation put on the graph: what to wait for, and how long it takes alone on its ports.
  struct Sent {
    OpId done;
    Seconds alone;
  };
  /// Gathers the parameters of a unit. @param after may be invalid.
  Sent gather(RankProgram& program, const StageParameters& unit, OpId after);
  /// Reduces the gradients of a unit: scattered where anything is sharded, else to everybody.
  /// @param sum_groups hybrid sharding: and what that left on the GPU summed over the shard groups
  Sent scatter(RankProgram& program, const StageParameters& unit, OpId after, bool sum_groups);

 private:
  /// Nothing when the group is one GPU. Looked up for all but the first layer of a kind.
  const Share& share(const RankProgram& program, ShardOp op, Among among, double bytes);
  Sent send(RankProgram& program, ShardOp op, Among among, double bytes, OpId after);

  const TrainingConfig& config_;
  const JobGrid& grid_;
  Topology& topology_;
  const LinkCalibration& links_;
  GraphBuilder& graph_;
  ShardGroups groups_of_;
  std::vector<StepCollective>* collectives_ = nullptr;
  Shares own_shares_;
  Shares& shares_;
  // By what the members share and who they are: the same GPUs may share dense parameters and experts, and each of the
  // two sequences of exchanges counts its own.
  enum class Shared : std::uint8_t { dense, experts, matrices };
  std::map<std::pair<Shared, std::vector<std::uint32_t>>, std::unique_ptr<ExchangeBarriers>> barriers_;
};

}  // namespace flopcast
