// What a pass of a schedule amounts to: how long it holds the compute lane, when it has something for its neighbours.
//
// The pass is built by the emitter that builds the replay's graph (pass_emitter.h), alone on a rank with nothing in its
// way, and its longest paths are read off. The closed form of a step (step_estimate.h) then walks a schedule with these
// few numbers instead of some dozens of operations per pass, and cannot drift away from what is replayed.
#pragma once
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/fabric/topology.h"
#include "workloads/schedules/schedule.h"
#include "workloads/training/passes/pass_emitter.h"
#include "workloads/training/passes/rank_program.h"
#include "workloads/training/passes/shard_traffic.h"
#include "workloads/training/prices/exchange_times.h"
#include "workloads/training/prices/step_choices.h"
#include "workloads/training/prices/step_prices.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Times from the start of a pass, all its inputs being there.
struct PassProfile {
  Seconds compute_end;        ///< the compute lane is free
  Seconds communication_end;  ///< the lane of dispatch and combine is free
  Seconds forward_ready;      ///< activations can leave
  Seconds backward_ready;     ///< gradients can leave
  /// How much later than the start an input may come without holding up the compute lane: the lane of dispatch and
  /// combine, activations, gradients.
  Seconds communication_slack, forward_slack, backward_slack;
  Seconds gradients;      ///< work that the pass puts on the lane that reduces gradients
  Seconds gradients_end;  ///< when that is done
  Seconds gather;         ///< of parameters before the pass: all of it,
  Seconds gather_first;   ///< what the first layer waits for,
  Seconds gather_tail;    ///< and what is computed once the last of it is there
  Seconds ahead;          ///< of it, what is there already when the rank had to wait before the pass, at most
  Seconds port;           ///< the busiest of the GPU's ports carries what the pass sends for so long
  Seconds busy;           ///< of the compute lane, computing
  Seconds exchanged;      ///< of the compute lane, in unhidden exchanges of tensor and context parallelism

  /// What no compute hides within the pass: exchange of tokens, parameters that come late.
  Seconds idle() const { return compute_end - busy - exchanged; }
};

/// a + times (b - a), field by field: passes grow by the same time with each layer once a few are there.
PassProfile extrapolated(const PassProfile& a, const PassProfile& b, double times);

/// What dispatch and combine of the expert-parallel rank with most tokens take.
struct TokenExchange {
  /// @param rank_loads relative expert load per expert-parallel rank, as expert_rank_loads().
  TokenExchange(const TrainingConfig& config, std::span<const double> rank_loads, Topology& topology,
                const LinkCalibration& links);

  int position = 0;  ///< of that rank, of the ranks of a stage
  ExpertTransfers transfers;
  /// Tokens of a layer on their way to experts and back, forward and backward, with nothing beside them.
  Seconds alone;
};

/// Prices that do not depend on the length of the pipeline: of layers, of exchanges inside groups, of dispatch and
/// combine. Everything waits for the expert-parallel rank with most tokens, so that one alone is priced.
class PassPrices {
 public:
  /// @param rank_loads relative expert load per expert-parallel rank, as expert_rank_loads().
  /// @param tokens of the same configuration, outlives the prices.
  PassPrices(const TrainingConfig& config, std::span<const double> rank_loads, KernelMemo& kernels,
             const TokenExchange& tokens, const Topology& topology, const LinkCalibration& links);
  PassPrices(const PassPrices&) = delete;

  const StepPrices& prices() const { return prices_; }
  double hottest_load() const { return hottest_load_; }
  /// The rank that is priced, of the ranks of a stage.
  int position() const { return tokens_.position; }
  const ExpertTransfers& expert() const { return tokens_.transfers; }
  Seconds tokens_alone() const { return tokens_.alone; }

 private:
  TrainingConfig config_;
  double hottest_load_;
  const TokenExchange& tokens_;
  ExchangeTimes exchanges_;
  StepPrices prices_;
};

/// Passes of one plan, profiled when first asked for.
class PassProfiles {
 public:
  /// What is remarkable about a pass: the first forward of its chunk, or the last weight gradient.
  enum class At : std::uint8_t { midst, edge };

  /// What a pass through a stage depends on.
  using ContentKey = std::tuple<double, double, bool, bool, double>;
  static ContentKey key(const StageContent& content);

  static bool same_content(const StageContent& a, const StageContent& b) {
    return a.dense_layers == b.dense_layers && a.moe_layers == b.moe_layers && a.embedding == b.embedding &&
           a.head == b.head && a.mtp_modules == b.mtp_modules;
  }

  using Known = std::map<std::tuple<PassKind, At, ContentKey, ContentKey>, PassProfile>;
  /// Everything given outlives the profiles.
  /// @param count of the configuration's model.
  /// @param plain profiles of passes that no collective of data parallelism accompanies: the same for all plans with
  /// these prices and this pipeline.
  /// @param shares of plans with the same degrees and shard group.
  PassProfiles(const TrainingConfig& config, const PassPrices& prices, Topology& topology, const LinkCalibration& links,
               const ShardPlan& beside, const ParameterCount& count, Known& plain, ShardTraffic::Shares& shares);
  ~PassProfiles();

  /// @param forward what the forward half runs through; for a pass without one, anything.
  /// @param backward the same of the backward half, or of a weight gradient that was put off.
  const PassProfile& profile(PassKind kind, At at, const StageContent& forward, const StageContent& backward);
  /// A message between neighbours of the pipeline.
  Seconds message() const { return message_; }
  const ShardPlan& beside() const { return beside_; }
  /// By how much the slowest GPU stretches compute.
  double stretch() const { return stretch_; }
  /// Of the rank whose step is priced. Under hybrid sharding one whose shard group lies over most nodes.
  int position() const { return position_; }

 private:
  class Bench;
  PassProfile emitted(PassKind kind, At at, const StageContent& forward, const StageContent& backward);

  void share_ports(const OperationGraph& built, std::size_t first, const RankProgram& program,
                   PassProfile& result) const;

  const TrainingConfig& config_;
  const PassPrices& prices_;
  Topology& topology_;
  const LinkCalibration& links_;
  ShardPlan beside_;
  UnitParameters units_;
  JobGrid grid_;
  double stretch_;
  int position_;
  Seconds message_;
  Known known_;
  Known& plain_;
  ShardTraffic::Shares& shares_;
  std::unique_ptr<Bench> bench_;  // made for the first pass
};

/// The end of operations of a small graph that is built in the order in which they can run, none contended; and what
/// they take alone.
class LongestPaths {
 public:
  LongestPaths() = default;
  LongestPaths(const OperationGraph& graph, const Network& network, double stretch) { take(graph, network, stretch); }
  /// @param stretch of all compute but what is not the GPU's own pace (host work, SMs lent to collectives).
  void take(const OperationGraph& graph, const Network& network, double stretch);
  Seconds duration(OpId op) const { return duration_[op.index()]; }
  /// @param late operations that end so much later than they would.
  void run(std::span<const std::pair<OpId, Seconds>> late = {});
  Seconds end(OpId op) const { return end_[op.index()]; }
  Seconds makespan() const;

 private:
  const OperationGraph* graph_ = nullptr;
  std::vector<Seconds> duration_, end_;
};

}  // namespace flopcast
