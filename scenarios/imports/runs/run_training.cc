// torchtitan and DeepSpeed.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "scenarios/imports/runs/training_text.h"

namespace flopcast {
namespace {

constexpr std::string_view kTitanWithout[] = {"job.*",
                                              "profiling.*",
                                              "metrics.*",
                                              "optimizer.*",
                                              "lr-scheduler.*",
                                              "checkpoint.*",
                                              "comm.*",
                                              "experimental.*",
                                              "validation.*",
                                              "fault-tolerance.*",
                                              "memory-estimation.*",
                                              "debug.*",
                                              "deterministic.*",
                                              "training.dataset",
                                              "training.dataset-path",
                                              "training.max-norm",
                                              "training.seed",
                                              "training.deterministic",
                                              "training.gc-freq",
                                              "training.gc-debug",
                                              "training.warmup-steps",
                                              "training.debug-moe-force-load-balance",
                                              "model.tokenizer-path",
                                              "model.hf-assets-path",
                                              "model.norm-type",
                                              "model.print-after-conversion",
                                              "model.vocab-size-note",
                                              "parallelism.enable-loss-parallel",
                                              "parallelism.disable-loss-parallel",
                                              "parallelism.enable-compiled-autograd",
                                              "parallelism.pipeline-parallel-split-points",
                                              "parallelism.pipeline-parallel-schedule-csv",
                                              "parallelism.context-parallel-rotate-method",
                                              "parallelism.pipeline-parallel-layers-per-stage",
                                              "float8.filter-fqns",
                                              "quantize.linear.float8.filter-fqns",
                                              "float8.emulate",
                                              "quantize.linear.float8.emulate",
                                              "activation-checkpoint.per-op-sac-force-recompute-mm-shapes-by-fqns",
                                              "activation-checkpoint.early-stop",
                                              "activation-checkpoint.visualize-memory-budget-pareto"};

constexpr std::string_view kDeepSpeedWithout[] = {"optimizer.*",
                                                  "scheduler.*",
                                                  "gradient-clipping",
                                                  "steps-per-print",
                                                  "wall-clock-breakdown",
                                                  "dump-state",
                                                  "tensorboard.*",
                                                  "wandb.*",
                                                  "csv-monitor.*",
                                                  "comms-logger.*",
                                                  "flops-profiler.*",
                                                  "prescale-gradients",
                                                  "gradient-predivide-factor",
                                                  "sparse-gradients",
                                                  "zero-allow-untrusted-optimizer",
                                                  "zero-force-ds-cpu-optimizer",
                                                  "data-efficiency.*",
                                                  "elasticity.*",
                                                  "autotuning.*",
                                                  "checkpoint.*",
                                                  "data-types.*",
                                                  "seed",
                                                  "fp16.*",
                                                  "bf16.*",
                                                  "zero-optimization.allgather-bucket-size",
                                                  "zero-optimization.reduce-bucket-size",
                                                  "zero-optimization.stage3-prefetch-bucket-size",
                                                  "zero-optimization.stage3-param-persistence-threshold",
                                                  "zero-optimization.stage3-max-live-parameters",
                                                  "zero-optimization.stage3-max-reuse-distance",
                                                  "zero-optimization.stage3-gather-16bit-weights-on-model-save",
                                                  "zero-optimization.contiguous-gradients",
                                                  "zero-optimization.allgather-partitions",
                                                  "zero-optimization.reduce-scatter",
                                                  "zero-optimization.round-robin-gradients",
                                                  "zero-optimization.sub-group-size",
                                                  "zero-optimization.elastic-checkpoint",
                                                  "zero-optimization.ignore-unused-parameters",
                                                  "zero-optimization.memory-efficient-linear",
                                                  "communication-data-type",
                                                  "torch-autocast.*",
                                                  "zero-optimization.load-from-fp32-weights"};

}  // namespace

RunJob torchtitan_job(ForeignSettings& s, int launched, const Libraries& libraries, const ImportRunOptions& options) {
  RunJob job{.framework = "torchtitan"};
  const std::string name = s.text({"model.name"}, "model", ""), flavor = s.text({"model.flavor"}, "model", "");
  std::string called = name == "llama3" ? "llama-3.1-" + flavor
                       : name == "llama4"
                           ? std::string(flavor.starts_with("17bx16e") ? "llama-4-scout" : "llama-4-maverick")
                       : name == "deepseek_v3" ? std::string(flavor == "16B" ? "deepseek-v2-lite" : "deepseek-v3")
                                               : name + "-" + flavor;
  if (name == "deepseek_v3" && flavor == "16B")
    s.note("deepseek_v3 of 16B is replayed as DeepSeek-V2-Lite, whose shape it has");
  job.model = library_model(options.model.empty() ? called : options.model, libraries, s, s.find({"model.flavor"}));
  job.gpus = gpus_of(s, launched, options);
  TrainingText t;
  const auto degree = [&](const char* key, const char* field, int otherwise) {
    return s.number({key}, field, otherwise);
  };
  t.tensor = degree("parallelism.tensor-parallel-degree", "plan.tensor", 1);
  t.pipeline = degree("parallelism.pipeline-parallel-degree", "plan.pipeline", 1);
  t.context = degree("parallelism.context-parallel-degree", "plan.context", 1);
  t.expert = degree("parallelism.expert-parallel-degree", "plan.expert", 1);
  t.expert_tensor = degree("parallelism.expert-tensor-parallel-degree", "plan.expert_tensor", 1);
  t.data = replicas_of(s, job.gpus, run_product({t.tensor, t.pipeline, t.context}),
                       s.find({"parallelism.tensor-parallel-degree"}));
  const int replicate = degree("parallelism.data-parallel-replicate-degree", "plan.shard_group", 1);
  const int shard = degree("parallelism.data-parallel-shard-degree", "plan.shard_group", -1);
  const std::string reshard = s.text({"parallelism.fsdp-reshard-after-forward"}, "plan.zero_stage", "default");
  // Under a pipeline parameters stay gathered unless told otherwise (apply_fsdp), and PyTorch reduces gradients
  // with the last backward pass of a step.
  const bool stay_gathered = reshard == "never" || (reshard == "default" && t.pipeline > 1);
  t.zero = shard == 1 ? 0 : !stay_gathered ? 3 : t.pipeline > 1 ? 1 : 2;
  if (replicate > 1 && t.data % replicate == 0) t.shard_group = t.data / replicate * t.context;
  t.tensor_overlap = s.flag({"parallelism.enable-async-tensor-parallel", "experimental.enable-async-tensor-parallel"},
                            "plan.tensor_overlap", false);
  t.overlap_gradients = t.overlap_parameters = true;
  t.length = s.number({"training.seq-len"}, "batch.sequence_length",
                      options.sequence_length > 0 ? options.sequence_length : 2048);
  const int local = s.degree({"training.local-batch-size", "training.batch-size"}, "batch.sequences", 8);
  const int global = s.number({"training.global-batch-size"}, "batch.sequences", -1);
  t.sequences = global > 0 ? global : static_cast<long>(local) * t.data;
  t.micro = t.pipeline > 1
                ? s.degree({"parallelism.pipeline-parallel-microbatch-size"}, "batch.micro_batch_sequences", 1)
                : local;
  s.degree({"parallelism.pipeline-parallel-microbatch-size"}, "batch.micro_batch_sequences", 1);
  const std::string schedule = s.text({"parallelism.pipeline-parallel-schedule"}, "schedule", "1F1B");
  if (t.pipeline > 1) {
    t.schedule = schedule == "GPipe"                   ? "gpipe"
                 : schedule == "Interleaved1F1B"       ? "interleaved_1f1b"
                 : schedule == "ZBVZeroBubble"         ? "zb_v"
                 : schedule == "DualPipeV"             ? "dualpipev"
                 : schedule == "InterleavedZeroBubble" ? "zb_h1"
                                                       : "1f1b";
    if (schedule == "Interleaved1F1B") t.chunks = 2;
    if (t.schedule == "zb_h1" || (t.schedule == "1f1b" && schedule != "1F1B"))
      s.note("schedule " + schedule + " is replayed as " + t.schedule);
  }
  const std::string mode = s.text({"activation-checkpoint.mode"}, "recompute", "selective");
  const std::string option = s.text({"activation-checkpoint.selective-ac-option"}, "recompute", "2");
  if (mode == "full") {
    t.recompute = " full_layer: true";
  } else if (mode == "selective") {
    if (option != "op")
      s.note("selective checkpointing of each n-th layer is replayed as of operations (selective_ac_option \"op\")");
    t.recompute = " selective_operations: true";
  }
  const bool float8 = s.text({"model.converters"}, "precision.linear", "").find("float8") != std::string::npos ||
                      s.flag({"float8.enable-float8-linear"}, "precision.linear", false);
  const std::string recipe =
      s.text({"float8.recipe-name", "quantize.linear.float8.recipe-name"}, "precision.scaling", "tensorwise");
  s.flag({"float8.precompute-float8-dynamic-scale-for-fsdp",
          "quantize.linear.float8.precompute-float8-dynamic-scale-for-fsdp"},
         "precision", false);
  const bool gathered =
      s.flag({"float8.enable-fsdp-float8-all-gather", "quantize.linear.float8.enable-fsdp-float8-all-gather"},
             "precision.parameters", false);
  if (float8) {
    t.precision = " linear: \"fp8\" scaling: \"per_tensor\" current_scales: true";
    if (gathered) t.precision += " parameters: \"fp8\"";
    if (recipe != "tensorwise") s.note("float8 recipe " + recipe + " is replayed as tensorwise");
  }
  for (const auto& key : {"training.mixed-precision-param", "training.mixed-precision-reduce",
                          "training.enable-cpu-offload", "training.dtype"})
    s.find({key}, "precision");
  const bool compiled = s.flag({"compile.enable", "training.compile"}, "software", false);
  s.find({"compile.components", "compile.model", "compile.loss", "compile.backend"}, "software");
  t.software = compiled ? "torchtitan-2024.12-compiled" : "torchtitan-2024.12-eager";
  const double steps = s.real({"training.steps"}, "run.phase.tokens", 0);
  const double tokens = steps * static_cast<double>(t.sequences) * static_cast<double>(t.length);
  if (tokens >= 1e3)
    job.run = fmt::format("run {{ phase {{ name: \"training\" tokens: \"{:.6g}B\" }} }}\n", tokens / 1e9);
  if (t.expert > 1) t.dispatcher = "all_to_all";
  s.without_effect(kTitanWithout);
  job.body = training_body(t);
  return job;
}

RunJob deepspeed_job(ForeignSettings& s, int launched, const Libraries& libraries, const ImportRunOptions& options) {
  RunJob job{.framework = "DeepSpeed"};
  if (options.model.empty())
    s.fault(nullptr, "no model", "--model NAME: DeepSpeed's file does not say it");
  else
    job.model = library_model(options.model, libraries, s, nullptr);
  job.gpus = gpus_of(s, launched, options);
  TrainingText t;
  t.zero = s.number({"zero-optimization.stage"}, "plan.zero_stage", 0);
  t.data = job.gpus;
  t.micro = s.degree({"train-micro-batch-size-per-gpu"}, "batch.micro_batch_sequences", 1);
  const int steps = s.degree({"gradient-accumulation-steps"}, "batch.sequences", 1);
  t.sequences = s.degree({"train-batch-size"}, "batch.sequences", run_product({t.micro, steps, job.gpus}));
  if (t.sequences != run_product({t.micro, steps, job.gpus}) && s.find({"gradient-accumulation-steps"}) &&
      s.find({"train-batch-size"}))
    s.fault(s.find({"train-batch-size"}), fmt::format("{}", t.sequences),
            fmt::format("{} micro-batch x {} steps x {} GPUs", t.micro, steps, job.gpus));
  t.length = options.sequence_length;
  if (t.length < 1) s.fault(nullptr, "no length of sequences", "--sequence-length N: DeepSpeed's file does not say it");
  t.overlap_gradients = s.flag({"zero-optimization.overlap-comm"}, "plan.overlap_gradients", t.zero == 3);
  t.overlap_parameters = t.zero == 3;
  const int group = s.number({"zero-optimization.zero-hpz-partition-size"}, "plan.shard_group", 1);
  if (group > 1)
    s.note("hierarchical partitions of ZeRO++ (zero_hpz_partition_size) are replayed as shards over all replicas");
  for (const auto& [key, what] : {std::pair("zero-optimization.offload-optimizer.device", "the optimiser"),
                                  std::pair("zero-optimization.offload-param.device", "parameters")}) {
    const std::string device = s.text({key}, "not replayed", "none");
    if (device != "none")
      s.fault(s.find({key}), quoted(device),
              "none: moving " + std::string(what) + " to the host or to disks is not replayed");
  }
  for (const auto& key :
       {"zero-optimization.offload-optimizer.pin-memory", "zero-optimization.offload-param.pin-memory"})
    s.find({key}, "nothing is offloaded");
  if (s.flag({"fp16.enabled"}, "precision", false))
    s.note("FP16 is replayed as BF16: matrix units are as fast in both");
  const bool bf16 = s.flag({"bf16.enabled"}, "precision", false) || s.flag({"fp16.enabled"}, "precision", false);
  if (!bf16) t.precision = " linear: \"fp32\" parameters: \"fp32\"";
  if (s.find({"activation-checkpointing.partition-activations"}, "recompute.full_layer"))
    t.recompute = " full_layer: true";
  for (const auto& key :
       {"activation-checkpointing.cpu-checkpointing", "activation-checkpointing.contiguous-memory-optimization",
        "activation-checkpointing.number-checkpoints", "activation-checkpointing.synchronize-checkpoint-boundary",
        "activation-checkpointing.profile"})
    s.find({key}, "recompute");
  t.software = "deepspeed-zero3-2021";
  s.without_effect(kDeepSpeedWithout);
  job.body = training_body(t);
  return job;
}

}  // namespace flopcast
