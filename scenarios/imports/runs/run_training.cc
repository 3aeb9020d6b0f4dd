// torchtitan and DeepSpeed.
#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "scenarios/imports/runs/framework_names.h"
#include "scenarios/imports/runs/training_text.h"
#include "scenarios/imports/runs/without_effect.h"

namespace flopcast {
namespace {

/// What DeepSpeed makes of the three numbers of which two say the third (runtime/config.py,
/// _set_batch_related_parameters). What is "auto", a trainer of another library fills in: it is not stated.
void deepspeed_batch(ForeignSettings& s, int gpus, TrainingText& t) {
  const auto stated = [&](const char* name, const char* field) {
    const RunSetting* setting = s.find({name}, field);
    const bool automatic = setting && run_setting_name(setting->value) == "auto";
    return automatic || !setting ? 0 : s.degree({name}, field, 1);
  };
  const int all = stated("train-batch-size", "batch.sequences"),
            micro = stated("train-micro-batch-size-per-gpu", "batch.micro_batch_sequences"),
            steps = stated("gradient-accumulation-steps", "batch.sequences");
  const RunSetting* const at = s.find({"train-batch-size", "train-micro-batch-size-per-gpu"});
  if (all == 0 && micro == 0)
    return s.fault(at, at ? quoted(at->value) : "no number of sequences",
                   "a number: train_batch_size or train_micro_batch_size_per_gpu (\"auto\" is what a trainer is "
                   "started with)");
  if (all > 0 && micro > 0 && steps > 0 && all != run_product({micro, steps, gpus}))
    return s.fault(at, fmt::format("{}", all), fmt::format("{} micro-batch x {} steps x {} GPUs", micro, steps, gpus));
  if (all == 0) {
    if (steps == 0) s.note("gradient_accumulation_steps is not stated: 1 is taken");
    t.micro = micro;
    t.sequences = run_product({micro, std::max(1, steps), gpus});
    return;
  }
  t.sequences = all;
  const int each = run_product({gpus, micro > 0 ? micro : std::max(1, steps)});
  if (all % each != 0)
    return s.fault(at, fmt::format("{}", all),
                   micro > 0 ? fmt::format("a multiple of {} micro-batch x {} GPUs", micro, gpus)
                             : fmt::format("a multiple of {} steps x {} GPUs", std::max(1, steps), gpus));
  t.micro = micro > 0 ? micro : all / each;
}

/// BF16 or FP16; FP32 where neither is on.
void deepspeed_precision(ForeignSettings& s, TrainingText& t) {
  const auto on = [&](std::initializer_list<std::string_view> names) {
    const RunSetting* setting = s.find(names, "precision");
    if (!setting || run_setting_name(setting->value) != "auto") return s.flag(names, "precision", false);
    s.note(setting->name + " is \"auto\", as a trainer is started: BF16 is taken");
    return true;
  };
  const bool bf16 = on({"bf16.enabled", "bfloat16.enabled"});
  const bool fp16 = !bf16 && on({"fp16.enabled"});
  s.find({"fp16.enabled"}, "precision");
  if (fp16) s.note("FP16 is replayed as BF16: matrix units are as fast in both");
  if (!bf16 && !fp16) t.precision = " linear: \"fp32\" parameters: \"fp32\"";
}

/// Stages and schedule (torchtitan/distributed/pipeline_parallel.py: embedding and head count as a layer each; a rank
/// has as many stages as layers per stage make, or one, or two of schedules that interleave).
void titan_pipeline(ForeignSettings& s, int layers, TrainingText& t) {
  const std::string schedule = s.text({"parallelism.pipeline-parallel-schedule"}, "schedule", "1F1B");
  const int per_stage = s.number({"parallelism.pipeline-parallel-layers-per-stage"}, "plan.chunks", 0);
  const int first = s.number({"parallelism.pipeline-parallel-first-stage-less-layers"}, "plan.chunks", 1),
            last = s.number({"parallelism.pipeline-parallel-last-stage-less-layers"}, "plan.chunks", 1);
  if (t.pipeline <= 1) return;
  const auto* known = std::ranges::find(kTitanSchedules, schedule, &TitanSchedule::theirs);
  if (known == std::end(kTitanSchedules)) {
    s.note("schedule " + schedule + " is replayed as 1f1b");
    known = kTitanSchedules;
  } else if (std::string_view(known->ours) == "zb_h1") {
    s.note("schedule " + schedule + " is replayed as zb_h1");
  }
  t.schedule = known->ours;
  int stages = known->stages;
  if (per_stage > 0 && layers > 0) {
    const int all = (layers + first + last + per_stage - 1) / per_stage;
    stages = all / t.pipeline;
    const bool one = known->stages == 1;
    if (all % t.pipeline != 0 || (one ? stages != 1 : stages < 2))
      return s.fault(s.find({"parallelism.pipeline-parallel-layers-per-stage"}), fmt::format("{}", per_stage),
                     fmt::format("{} stages on each of {} ranks for {}; it makes {} stages of {} layers",
                                 one ? "one" : "two or more", t.pipeline, schedule, all, layers));
  }
  if (t.schedule == "interleaved_1f1b")
    t.chunks = stages;
  else if (stages > known->stages)
    s.note(fmt::format("{} stages on a rank are replayed as {}", stages, known->stages));
}

/// Formats of parameters and gradients, and what there is no replay of.
void titan_precision(ForeignSettings& s, TrainingText& t) {
  const auto format = [&](const char* name, const char* otherwise) {
    const std::string word = s.text({name}, "precision", otherwise);
    if (word != "bfloat16" && word != "float32") s.fault(s.find({name}), quoted(word), "bfloat16 or float32");
    return word;
  };
  const std::string parameters = format("training.mixed-precision-param", "bfloat16"),
                    sums = format("training.mixed-precision-reduce", "float32"),
                    kept = format("training.dtype", "float32");
  if (s.flag({"training.enable-cpu-offload"}, "offload.parameters", false)) t.offload += " parameters: true";
  // Mixed precision is FSDP's: without shards there is none but autocast, to the same format.
  if (parameters == "float32" && kept == "float32" && t.precision.empty())
    t.precision = " linear: \"fp32\" parameters: \"fp32\"";
  else if (sums == "bfloat16")
    t.precision += " gradients: \"bf16\"";
  if (kept == "bfloat16") s.note("training.dtype bfloat16: master weights are kept in FP32 here all the same");
}

/// Shards and copies have to make up the replicas (ParallelDims._validate).
void titan_shards(ForeignSettings& s, int replicate, int shard, const TrainingText& t) {
  if (replicate < 1 || (shard > 0 ? run_product({replicate, shard}) != t.data : t.data % replicate != 0))
    s.fault(s.find({"parallelism.data-parallel-shard-degree", "parallelism.data-parallel-replicate-degree"}),
            fmt::format("{} copies of {} shards", replicate, shard < 0 ? "the remaining" : std::to_string(shard)),
            fmt::format("{} replicas in all: GPUs over tensor, pipeline and context", t.data));
}

std::string titan_model(const std::string& family, const std::string& flavor) {
  if (family == "llama3") return "llama-3.1-" + flavor;
  std::string called = family + "-" + flavor;
  for (const TitanModel& model : kTitanModels) {
    if (model.family != family) continue;
    called = model.ours;
    if (flavor.starts_with(model.flavor)) break;
  }
  return called;
}

}  // namespace

RunJob torchtitan_job(ForeignSettings& s, int launched, const Libraries& libraries, const ImportRunOptions& options) {
  RunJob job{.framework = "torchtitan"};
  const std::string name = s.text({"model.name"}, "model", ""), flavor = s.text({"model.flavor"}, "model", "");
  const std::string called = titan_model(name, flavor);
  if (called == "deepseek-v2-lite") s.note("deepseek_v3 of 16B is replayed as DeepSeek-V2-Lite, whose shape it has");
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
  titan_shards(s, replicate, shard, t);
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
  if (global > 0 && global % std::max(1, run_product({local, t.data})) != 0)
    s.fault(s.find({"training.global-batch-size"}), fmt::format("{}", global),
            fmt::format("a multiple of {} sequences x {} replicas", local, t.data));
  t.sequences = global > 0 ? global : static_cast<long>(local) * t.data;
  t.micro = t.pipeline > 1
                ? s.degree({"parallelism.pipeline-parallel-microbatch-size"}, "batch.micro_batch_sequences", 1)
                : local;
  s.degree({"parallelism.pipeline-parallel-microbatch-size"}, "batch.micro_batch_sequences", 1);
  titan_pipeline(s, job.model.empty() ? 0 : libraries.model(job.model).layers, t);
  const std::string mode = s.text({"activation-checkpoint.mode"}, "recompute", "selective");
  const std::string option = s.text({"activation-checkpoint.selective-ac-option"}, "recompute", "2");
  if (mode == "full") {
    t.recompute = " full_layer: true";
  } else if (mode == "selective") {
    if (option != "op")
      s.note("selective checkpointing of each n-th layer is replayed as of operations (selective_ac_option \"op\")");
    t.recompute = " selective_operations: true";
  } else if (mode != "none") {
    s.fault(s.find({"activation-checkpoint.mode"}), quoted(mode),
            "none, selective or full: what PyTorch's partitioner recomputes within a budget is not replayed");
  }
  if (mode != "memory_budget") s.find({"activation-checkpoint.memory-budget"}, "nothing: another mode");
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
  titan_precision(s, t);
  const std::string parts = s.text({"compile.components"}, "software", "model");
  const bool compiled = s.flag({"compile.enable", "training.compile"}, "software", false) &&
                        (parts.empty() || parts.find("model") != std::string::npos);
  s.find({"compile.model", "compile.loss", "compile.backend"}, "software");
  t.software = compiled ? "torchtitan-2024.12-compiled" : "torchtitan-2024.12-eager";
  const double steps = s.real({"training.steps"}, "run.phase.tokens", 0);
  const double tokens = steps * static_cast<double>(t.sequences) * static_cast<double>(t.length);
  if (tokens >= 1e3)
    job.run = fmt::format("run {{ phase {{ name: \"training\" tokens: \"{:.6g}B\" }} }}\n", tokens / 1e9);
  if (t.expert > 1) t.dispatcher = "all_to_all";
  s.without_effect(torchtitan_without_effect());
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
  deepspeed_batch(s, job.gpus, t);
  t.length = options.sequence_length;
  if (t.length < 1) s.fault(nullptr, "no length of sequences", "--sequence-length N: DeepSpeed's file does not say it");
  t.overlap_gradients = s.flag({"zero-optimization.overlap-comm"}, "plan.overlap_gradients", t.zero == 3);
  t.overlap_parameters = t.zero == 3;
  const int group = s.number({"zero-optimization.zero-hpz-partition-size"}, "plan.shard_group", 1);
  if (group > 1)
    s.note("hierarchical partitions of ZeRO++ (zero_hpz_partition_size) are replayed as shards over all replicas");
  for (const auto& [key, field] : {std::pair("zero-optimization.offload-optimizer.device", " optimizer: 1"),
                                   std::pair("zero-optimization.offload-param.device", " parameters: true")}) {
    const std::string device = s.text({key}, "offload", "none");
    if (device == "cpu")
      t.offload += field;
    else if (device != "none")
      s.fault(s.find({key}), quoted(device), "none or cpu: moving states to disks is not replayed");
  }
  for (const auto& key :
       {"zero-optimization.offload-optimizer.pin-memory", "zero-optimization.offload-param.pin-memory"})
    s.find({key}, "offload");
  deepspeed_precision(s, t);
  // The section only says how; a model that checkpoints cuts what it keeps among tensor-parallel ranks.
  if (s.flag({"activation-checkpointing.partition-activations"}, "recompute.full_layer", false))
    t.recompute = " full_layer: true";
  s.refuse_unless({"activation-checkpointing.cpu-checkpointing"}, {"false"},
                  "activations on the host are not replayed");
  for (const auto& key :
       {"activation-checkpointing.contiguous-memory-optimization", "activation-checkpointing.number-checkpoints",
        "activation-checkpointing.synchronize-checkpoint-boundary", "activation-checkpointing.profile"})
    s.find({key}, "recompute");
  t.software = "deepspeed-zero3-2021";
  s.without_effect(deepspeed_without_effect());
  job.body = training_body(t);
  return job;
}

}  // namespace flopcast
