// What one run found, as a plain value: the terminal text, the JSON and the tests all read the same thing.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/runs/parts/run_facts.h"
#include "analysis/runs/training/projection.h"
#include "analysis/runs/training/step_range.h"
#include "analysis/runs/training/timeline/critical_path.h"
#include "analysis/runs/training/timeline/step_metrics.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// How long a link is busy. Bytes that move below the link's full rate, for what protocols and chunks cost,
/// count as those that the full rate would have moved in the same time.
struct LinkLoad {
  std::string name;
  Bytes bytes;
  double utilisation = 0;  ///< share of the step that the link is busy
};

struct TrainingReport {
  Scenario scenario;
  RunFacts run;

  Seconds step_time;
  double tokens_per_step = 0;
  double tokens_per_day = 0;
  double mfu_causal = 0, mfu = 0;  ///< of the BF16 peak; attention counted causal or in full
  FlopPerSecond flops_per_gpu_causal, flops_per_gpu;
  double hottest_load = 1;  ///< expert load of the busiest GPU of its group over the mean
  RankMetrics mean;         ///< over the GPUs replayed, weighted; folded, the busiest stand for their groups
  std::vector<ReplayedRank> ranks;
  std::vector<RankMetrics> rank_metrics;  ///< one per entry of `ranks`
  std::vector<StageContent> stages;
  std::vector<std::vector<int>> stages_of_rank;  ///< [pipeline rank]
  std::vector<MemoryTable> memory;               ///< per pipeline rank
  std::optional<CriticalPath> path;              ///< folded runs
  EvidenceShare evidence;
  std::optional<ClockPoint> settled;  ///< clock over the data sheet's and power, while GPUs compute
  SourceShare sources;
  std::optional<StepRange> range;
  std::vector<LinkLoad> links;          ///< all that carried anything, the busiest first
  std::vector<LinkLoad> busiest_links;  ///< a few of them

  std::optional<Projection> projection;
  std::vector<Comparison> comparisons;
  std::vector<std::string> notes;

  const MemoryTable& fullest_memory() const;
};

/// A collective on its own.
struct CollectiveReport {
  Scenario scenario;
  RunFacts run;
  Seconds time;
  Seconds closed_form;                 ///< on ports at line rate, without contention or latency
  BytesPerSecond port;                 ///< the port that the closed form assumes: NVLink in a node, NICs between nodes
  bool closed_form_applies = false;    ///< all traffic takes such ports: one node, or one GPU per node
  Seconds port_bound;                  ///< how long the busiest link is busy
  BytesPerSecond algorithm_bandwidth;  ///< bytes over time
  BytesPerSecond bus_bandwidth;        ///< comparable with a port's rate, whatever the collective
  std::optional<FigureRange> range;    ///< of the time, in seconds
  std::vector<Comparison> comparisons;
  std::vector<std::string> notes;
};

/// A job's life on the cluster, without a step.
struct LifeReport {
  Scenario scenario;
  JobLife life;
  std::vector<Comparison> comparisons;
  std::vector<std::string> notes;
};

}  // namespace flopcast
