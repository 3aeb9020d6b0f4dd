// Published training runs with their full configuration: what a person would write into a scenario for each of them,
// and how long a step took.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/resolve/scenario.h"

namespace flopcast {

/// One row of a table of runs.
struct TrainingRun {
  std::string id;
  std::string framework;  ///< decides what the recipe turns on: see recipe_of() in the .cc
  std::string version;    ///< of the framework, as the source has it
  std::string software;   ///< library name of its profile
  std::string model;      ///< library name
  int layers = 0;         ///< 0: as the model has them
  std::string precision;  ///< bf16, fp8_tensor, fp8_current, fp8_block, fp8_row
  std::string gpu;
  int gpus = 0;
  int tensor = 1, pipeline = 1, chunks = 1, context = 1, expert = 1, expert_tensor = 1, data = 1;
  std::string sharding;  ///< none, zero1, zero2, zero3, hsdp:N
  int micro_batch = 1;
  std::int64_t global_batch = 1;
  std::int64_t sequence_length = 1;
  std::string recompute;   ///< none, selective, full, unknown, or modules: "mla_up_proj+mlp"
  std::string dispatcher;  ///< deep_ep, hybrid_ep; else NCCL's all-to-all
  std::string schedule;    ///< empty: 1F1B, interleaved where there are chunks
  std::string routing;     ///< "capacity:1": tokens beyond that are dropped; empty: balanced or unknown, none dropped
  std::string open;        ///< what the source does not say and is taken as it stands here, for ranges
  std::string left_out;    ///< why the run is not predicted; empty: it is
  std::string parameters;  ///< "bf16": gathered so in FP8 too; empty: as the framework does
  bool dropout = false;
  bool fused_exchange = false;  ///< tensor parallelism's exchange runs with products where its software has a choice
  std::string gradients;        ///< reduced in; empty: as the framework's recipes have it
  int gpus_per_node = 8;
  std::int64_t document_length = 0;  ///< mean, of documents packed into a sequence; 0: not packed
  int rounds = 1;                    ///< in which micro-batches come through the pipeline
  Seconds step;                      ///< published
  std::string notes;
  std::string source;
};

/// Reads analysis/data/published_training_runs.csv.
std::vector<TrainingRun> read_published_runs(const CsvTable& table);
/// Reads NVIDIA's calibration table as it is distributed (columns model, precision, gpus, layers, TP, ...).
std::vector<TrainingRun> read_calibration_runs(const CsvTable& table);

/// A published peak of memory on one GPU.
struct PublishedPeak {
  TrainingRun run;
  double gib = 0;
  bool reserved = false;    ///< what PyTorch's allocator held; else what tensors did
  bool first_rank = false;  ///< of the pipeline's first stage; else of the fullest GPU
};

/// Reads analysis/data/published_memory.csv.
std::vector<PublishedPeak> read_published_peaks(const CsvTable& table);

/// The library's node that a run was made on; empty: none of them.
std::string node_of(const TrainingRun& run);
/// The scenario of a run, complete but for calibrations. Its plan takes all GPUs of the cluster.
/// @throws InputError when model or node are not in the libraries.
Scenario scenario_of(const TrainingRun& run, const Libraries& libraries);

}  // namespace flopcast
