// How long a training step takes and how much memory it needs, for any plan of one model on one cluster, without a
// graph: for searches over many plans.
//
// Prices of kernels, exchanges and collectives are the replay's (StepPrices, ExpertGroups, ShardTraffic, EndOfStep);
// passes are profiled once per set of degrees (pass_profile.h) and a plan is a walk over its schedule with those times
// (schedule_pattern.h), long schedules by their steady state. What is left out: flows of different kinds that meet on a
// port, slow parts, oversubscribed switches, and links between sites. A test holds its ranking against the replay's.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "hwmodels/fabric/topology.h"
#include "hwmodels/kernels/kernels.h"
#include "workloads/training/estimate/pass_profile.h"
#include "workloads/training/estimate/plan_choice.h"
#include "workloads/training/estimate/schedule_pattern.h"
#include "workloads/training/memory/memory_terms.h"

namespace flopcast {

/// Where a step's time goes, on the pipeline rank that computes most. The parts add up to the step.
struct StepParts {
  Seconds compute;   ///< kernels of passes
  Seconds tensor;    ///< exchanges of tensor parallelism that nothing hides
  Seconds context;   ///< the same of context parallelism
  Seconds expert;    ///< tokens on their way that nothing hides; with ZeRO-3 late parameters too
  Seconds pipeline;  ///< waiting for other stages: the bubble
  Seconds data;      ///< gradients and parameters before and after the passes
  Seconds end;       ///< optimiser, norm, host
  Seconds total() const { return compute + tensor + context + expert + pipeline + data + end; }
};

struct StepEstimate {
  bool possible = false;  ///< the schedule can serve the plan
  bool fits = false;      ///< into the GPU's memory; `step` is known only where it does
  bool beyond = false;    ///< `step` is no more than a bound from below, and longer than was asked for
  Seconds step;
  Bytes memory;  ///< of the fullest GPU
};

/// Memory of a pipeline rank that holds certain stages: what is always there, and what an activation of each chunk
/// adds.
struct RankMemory {
  Bytes always;
  std::vector<Bytes> held;  ///< by chunk
};

struct EndTimes;

/// One per thread: it keeps what it has priced.
class StepEstimator {
 public:
  static constexpr Seconds kAnyLength{std::numeric_limits<double>::infinity()};

  /// @param base everything that plans do not vary; its own choice need not be possible.
  /// @param precisions those that PlanChoice::precision numbers, each with its prices in `kernels`.
  StepEstimator(const TrainingConfig& base, std::vector<PrecisionPlan> precisions, std::vector<KernelModel> kernels,
                const ClusterSpec& cluster, std::shared_ptr<const LinkCalibration> links);
  ~StepEstimator();

  /// @pre degrees divide what they have to (analysis: plan_space.h); whether the schedule can serve them is found here.
  /// @param longest a plan that takes longer need not be known further: StepEstimate::beyond.
  StepEstimate estimate(const PlanChoice& choice, Seconds longest = kAnyLength);
  /// The same where memory does not matter. @pre possible
  StepEstimate estimate_whatever_fits(const PlanChoice& choice);
  /// Without the time, also where it fits.
  StepEstimate memory_alone(const PlanChoice& choice);
  /// No split of layers over this plan's stages needs less on the fullest GPU. Needs no prices. Infinite where the
  /// schedule cannot serve the plan.
  Bytes least_memory(const PlanChoice& choice);
  /// Where the time goes. Walks the whole schedule. @pre possible
  StepParts parts(const PlanChoice& choice);
  /// No plan with these degrees, micro-batch, dispatcher and recomputation is faster, whatever its schedule, split and
  /// overlap of gradients and parameters: compute and unhidden exchanges of the whole model, spread over the stages as
  /// evenly as whole layers can be.
  /// @param pairs whether forward and backward of different micro-batches may run together, so that tokens hide.
  Seconds lower_bound(const PlanChoice& choice, bool pairs = true);

  /// Drops what is known of single sets of degrees and keeps what many share (prices, schedules): for searches, which
  /// do not come back to them.
  void forget_plans();

  /// Of a GPU, that a plan may fill.
  Bytes capacity() const { return topology_.cluster().node.gpu.hbm_usable(); }
  const TrainingConfig& base() const { return base_; }
  const std::vector<PrecisionPlan>& precisions() const { return precisions_; }

 private:
  /// Of one layer: what is always there, and each activation of a micro-batch.
  struct LayerMemory {
    Bytes always, activation;
  };
  struct ModelMemory {
    LayerMemory dense, moe;
    Bytes base;  // without layers
  };
  struct Degrees;  // everything that is shared by plans that differ in schedule and split
  struct Layout;   // the stages of one schedule under one split

  const PassPrices& prices(const PlanChoice& choice);
  const ModelMemory& model_memory(const PlanChoice& choice);
  Degrees& degrees(const PlanChoice& choice);
  Layout& layout(Degrees& degrees, const PlanChoice& choice, const SchedulePattern& pattern);
  Bytes fullest(Degrees& degrees, const PlanChoice& choice, Layout& layout, const PatternPair& pair);
  /// What memory shares with other plans. @param config with the choice in question
  const MemoryTerms::Shared& shared_memory(const TrainingConfig& config);
  void set_stages(Degrees& degrees, Layout& layout, std::span<const StageContent> stages,
                  const SchedulePattern& pattern);
  void add_end_of_step(Degrees& degrees, Layout& layout, const SchedulePattern& pattern);
  EndTimes end_of_rank(Degrees& degrees, const Layout& layout, const SchedulePattern& pattern, int pipeline_rank);
  double context_share(const Degrees& degrees, const PlanChoice& choice);
  Walked walk_through(Degrees& degrees, Layout& layout, const SchedulePattern& pattern, bool detailed);
  StepEstimate estimate(const PlanChoice& choice, bool must_fit, Seconds longest);
  Seconds bound_of_layout(Degrees& degrees, const PlanChoice& choice, const Layout& layout,
                          const SchedulePattern& pattern);

  TrainingConfig base_;
  std::vector<PrecisionPlan> precisions_;
  std::vector<KernelModel> kernels_;
  std::deque<KernelMemo> memos_;  // of the same
  std::shared_ptr<const LinkCalibration> links_;
  Topology topology_;
  TrainingConfig changed_;  // `base_` with the choice that is being worked on
  PatternLibrary patterns_;
  WalkScratch scratch_;
  std::vector<std::uint16_t> held_contents_;            // of the rank that is looked at
  std::vector<std::uint16_t> held_before_;              // of the rank before it
  std::unordered_map<int, std::vector<double>> loads_;  // by expert-parallel size
  std::map<std::pair<int, ExpertDispatcher>, MemoryTerms::Shared> shared_memory_;
  std::unordered_map<PlanChoice, ModelMemory, PlanChoiceHash> model_memory_;
  std::unordered_map<PlanChoice, std::unique_ptr<TokenExchange>, PlanChoiceHash> exchanges_;  // of what they depend on
  std::unordered_map<PlanChoice, std::unique_ptr<PassPrices>, PlanChoiceHash> prices_;
  std::map<std::array<int, 8>, ShardTraffic::Shares> shares_;                  // by who shares what
  std::unordered_map<PlanChoice, PassProfiles::Known, PlanChoiceHash> plain_;  // passes beside no collective
  std::unordered_map<PlanChoice, std::unique_ptr<Degrees>, PlanChoiceHash> degrees_;
};

}  // namespace flopcast
