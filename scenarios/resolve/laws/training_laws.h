// Laws that hold across the fields of a training scenario: degrees multiply to the GPU count, the batch
// divides, experts divide, the schedule gets the micro-batches it needs. Each fault says what would fix it.
//
// Used by the loader, and by searches that say why a plan is impossible.
#pragma once
#include <cstdint>
#include <string>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/text/text_file.h"
#include "workloads/training/training.h"

namespace flopcast {

/// Paths under which plan and batch stand in the file: those of a phase, or training.plan and training.batch.
struct PlanPaths {
  std::string plan;
  std::string batch;
  std::string schedule = "training.schedule";  ///< place of the faults of a schedule whose demands are not met
};

/// Tensor parallelism and experts.
void check_plan(const ParallelPlan& plan, const ModelConfig& model, const PlanPaths& paths, const Places& places,
                Diagnostics& faults);
/// Whether the model's layers can be spread over the schedule's `stages`.
void check_stages(const ParallelPlan& plan, std::int64_t stages, const ModelConfig& model, const PlanPaths& paths,
                  const Places& places, Diagnostics& faults);
void check_gpu_count(const ParallelPlan& plan, const ClusterSpec& cluster, const PlanPaths& paths, const Places& places,
                     Diagnostics& faults);
/// True when the batch divides, so that the number of micro-batches means something.
bool check_batch(const BatchConfig& batch, const ParallelPlan& plan, const PlanPaths& paths, const Places& places,
                 Diagnostics& faults);
void check_expert_load(const ExpertLoad& load, const ParallelPlan& plan, const ModelConfig& model, const Places& places,
                       Diagnostics& faults);
void check_precision(const PrecisionPlan& precision, const Places& places, Diagnostics& faults);
void check_recompute(const RecomputePlan& again, const Places& places, Diagnostics& faults);
/// What the model does not have to be done again.
void check_recompute(const RecomputePlan& again, const ModelConfig& model, const Places& places, Diagnostics& faults);
/// FP8 anywhere in `precision` needs a GPU that has it.
void check_precision_on(const GpuSpec& gpu, const PrecisionPlan& precision, const Places& places, Diagnostics& faults);
/// Schedule by name: what the schedule itself asks for. The number of micro-batches must be known. What has been said
/// of the step is not said again of a phase.
void check_schedule(const TrainingConfig& training, const PlanPaths& paths, const Places& places, Diagnostics& faults);
/// What lies in the host's memory, and what that asks of plan and node.
void check_offload(const TrainingConfig& training, const NodeSpec& node, const PlanPaths& paths, const Places& places,
                   Diagnostics& faults);
/// What the plan asks for and the software does not have.
void check_software_plan(const TrainingConfig& training, const PlanPaths& paths, const Places& places,
                         Diagnostics& faults);
/// What workers of local updates share out has to divide, and what is left to each obeys all laws of a step of its own.
void check_local_updates(const TrainingConfig& training, const ClusterSpec& cluster, const PlanPaths& paths,
                         const Places& places, Diagnostics& faults);
/// Everything of the above that is wrong with the plan of a configuration, without places in a file.
Diagnostics plan_faults(const TrainingConfig& training, const ClusterSpec& cluster);

}  // namespace flopcast
