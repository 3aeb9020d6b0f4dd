// A scenario after reading, look-ups and checks: one immutable value. Nobody downstream looks at a file again.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/date.h"
#include "scenarios/resolve/money.h"
#include "sim/base/units.h"
#include "workloads/training/training.h"

namespace flopcast {

struct KernelCalibration;
struct LinkCalibration;
struct ServingScenario;  // scenarios/resolve/serving_scenario.h

/// A part of a training run with its own batch and length. Predicted from replays, or given where nothing is known.
struct TrainingPhase {
  std::string name;                       ///< e.g. "pre-training"
  double tokens = 0;                      ///< to be trained on; 0 when gpu_hours is given
  BatchConfig batch;                      ///< its final batch
  std::int64_t ramp_from_sequences = 0;   ///< batch at the start of the ramp; 0: no ramp
  double ramp_tokens = 0;                 ///< tokens over which the batch grows linearly
  ParallelPlan plan;                      ///< of this phase (context extension uses context parallelism)
  std::optional<double> given_gpu_hours;  ///< an input, shown as such, not a prediction
  std::string source;
};

/// Interruptions and checkpoints. What each part does to a job: analysis/runs/training/goodput.h.
struct ResilienceConfig {
  double failures_per_gpu_hour = 0;
  Seconds checkpoint_interval;
  Seconds checkpoint_write;  ///< time training stands still per checkpoint
  Seconds restart;           ///< from failure to the first new step, without lost work
  std::string source;
  Seconds checkpoint_read;        ///< before training goes on, on top of `restart`
  std::optional<int> hot_spares;  ///< nodes that stand by; none: a replacement is always at hand
  double hardware_share = 0;      ///< of the failures: those that take a node out of service
  Seconds spare_swap;             ///< on top of `restart`, when a spare takes a node's place
  Seconds repair;                 ///< until a broken node is back among the spares
  double planned_interruptions_per_day = 0;
  Seconds planned_pause;  ///< of each, without writing and reading its checkpoint
  std::uint64_t seed = 0;
  int replays = 0;  ///< 0: the closed form only
};

/// The life of a job on the cluster, whatever it computes: `cluster_life { ... }`. One of the two is given.
struct ClusterLifeConfig {
  std::optional<Seconds> elapsed;  ///< look at it for so long
  std::optional<Seconds> useful;   ///< until it has trained for so long
};

/// A collective on its own, to look at a fabric: `collective { ... }` instead of `training { ... }`.
struct CollectiveConfig {
  std::string operation;  ///< row of collectives(): "all_to_all", "ring_all_reduce", ...
  Bytes bytes;            ///< per rank: the buffer that is reduced, gathered or exchanged
  int ranks = 0;
  int copies = 1;              ///< how many run at once on the same ports
  bool measured_links = true;  ///< false: links at their full rate, no software time
};

struct Scenario {
  std::string name;
  std::string title;
  std::string file;
  ClusterSpec cluster;
  std::optional<TrainingConfig> training;
  std::optional<CollectiveConfig> collective;
  std::optional<ClusterLifeConfig> cluster_life;
  std::optional<GivenServiceConfig> given_service;
  std::shared_ptr<const ServingScenario> serving;
  std::vector<TrainingPhase> phases;
  ResilienceConfig resilience;
  PriceConfig price;
  std::optional<Date> date;  ///< that prices, rules and launches are held against
  std::optional<ProgrammeConfig> programme;
  std::optional<MarketConfig> market;
  UncertaintyConfig uncertainty;
  /// Published figures to compare with, by report field: {"training.step_time_s", 19.926, "arXiv ..."}.
  struct Published {
    std::string field;
    double value;
    std::string source;
  };
  std::vector<Published> published;
  std::shared_ptr<const KernelCalibration> kernels;
  std::shared_ptr<const LinkCalibration> links;
  /// What the reader of a report should know about these inputs.
  std::vector<std::string> notes;
  /// Settings that the file did not state, as `path = value`: the report prints the defaults it used.
  std::vector<std::string> defaults_used;
};

}  // namespace flopcast
