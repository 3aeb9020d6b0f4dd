// Which layers a pipeline stage holds, and what else lives there.
#pragma once
#include <span>
#include <vector>

#include "workloads/schedules/schedule.h"
#include "workloads/training/training.h"

namespace flopcast {

/// One stage of the pipeline. Counts are whole unless the layer split is "fractional".
struct StageContent {
  int first_layer = 0;
  double dense_layers = 0;
  double moe_layers = 0;
  bool embedding = false;
  bool head = false;       ///< output head and loss
  double mtp_modules = 0;  ///< each a projection, a transformer layer and a pass through embedding and head
  double layers() const { return dense_layers + moe_layers; }
};

/// Relative costs of what a stage may hold.
struct LayerCosts {
  double dense = 1, moe = 1, embedding = 0, head = 0, mtp = 0;
};

/// Stages that share a rank, one list for each set of them: what they cost together is what has to be balanced.
using StageGroups = std::vector<std::vector<int>>;
/// Of a schedule. Ranks that hold the same stages (DualPipe) count once.
StageGroups stage_groups(const Schedule& schedule);

/// What an even split counts as a layer beside the layers (Megatron-LM --account-for-embedding-in-pipeline-split,
/// --account-for-loss-in-pipeline-split).
struct CountedEnds {
  bool embedding = false, head = false;
  int count() const { return int{embedding} + int{head}; }
};
CountedEnds counted_ends(const ParallelPlan& plan);

/// Cuts the model into `stages` pieces as the plan says: the embedding on the first, head and MTP on the last.
/// @param groups every stage in one of them.
/// @param costs relative costs, for "balanced".
/// @param most_layers for "balanced": how many layers each stage can hold; empty: no limit. Layers that find no room go
/// where they cost least all the same.
std::vector<StageContent> split_layers(const TrainingConfig& config, int stages, const StageGroups& groups,
                                       const LayerCosts& costs, std::span<const int> most_layers = {});
/// With one stage per rank, or, for `pairs`, stages s and stages-1-s on one (DualPipe and DualPipeV).
std::vector<StageContent> split_layers(const TrainingConfig& config, int stages, bool pairs, const LayerCosts& costs,
                                       std::span<const int> most_layers = {});

/// Parameters that one rank holds of a stage, in elements, split by how they are sharded: experts live on one
/// expert-parallel rank, everything else on every rank of the stage.
struct StageParameters {
  double replicated = 0;
  double expert = 0;
  StageParameters& operator+=(const StageParameters& o) {
    replicated += o.replicated;
    expert += o.expert;
    return *this;
  }
};
StageParameters stage_parameters(const TrainingConfig& config, const StageContent& stage);
/// The same for callers that ask for many stages. @param count of the configuration's model.
StageParameters stage_parameters_of(const TrainingConfig& config, const ParameterCount& count,
                                    const StageContent& stage);
/// Of these, what is trained: has gradients and an optimiser. With adapters: only they.
StageParameters trained_parameters(const TrainingConfig& config, const StageContent& stage);
/// @param count of the configuration's model.
StageParameters trained_parameters_of(const TrainingConfig& config, const ParameterCount& count,
                                      const StageContent& stage);

/// Experts (redundant ones included) that one expert-parallel rank holds; 0 for a dense model.
int local_experts(const TrainingConfig& config);

}  // namespace flopcast
