#include "scenarios/imports/runs/training_text.h"

#include <fmt/format.h>

namespace flopcast {

int gpus_of(ForeignSettings& settings, int launched, const ImportRunOptions& options) {
  const int gpus = options.gpus > 0 ? options.gpus : launched;
  if (gpus > 0) return gpus;
  settings.fault(nullptr, "no number of GPUs",
                 "a launcher that says it (torchrun --nnodes 8 --nproc-per-node 8), or --gpus N");
  return 1;
}

int replicas_of(ForeignSettings& settings, int gpus, int each, const RunSetting* at) {
  if (each >= 1 && gpus % each == 0) return gpus / each;
  settings.fault(at, fmt::format("{} GPUs for each replica", each), fmt::format("a divisor of the {} GPUs", gpus));
  return 1;
}

std::string training_body(const TrainingText& t) {
  std::string out = "training {\n  plan {";
  const auto degree = [&](const char* name, int value) {
    if (value != 1) out += fmt::format(" {}: {}", name, value);
  };
  degree("pipeline", t.pipeline), degree("data", t.data), degree("tensor", t.tensor), degree("context", t.context);
  degree("expert", t.expert), degree("expert_tensor", t.expert_tensor), degree("chunks", t.chunks);
  degree("zero_stage", t.zero);
  if (t.zero > 0 && t.shard_group > 0) out += fmt::format(" shard_group: {}", t.shard_group);
  if (!t.layer_split.empty()) out += fmt::format(" layer_split: \"{}\"", t.layer_split);
  if (!t.stage_layers.empty()) out += fmt::format(" stage_layers: [{}]", fmt::join(t.stage_layers, ", "));
  if (t.tensor > 1 || !t.sequence_parallel) out += fmt::format(" sequence_parallel: {}", t.sequence_parallel);
  if (t.tensor > 1) out += fmt::format(" tensor_overlap: {}", t.tensor_overlap);
  if (!t.overlap_gradients) out += " overlap_gradients: false";
  if (!t.overlap_parameters) out += " overlap_parameters: false";
  if (t.context > 1 && !t.context_exchange.empty()) out += " context_exchange: \"" + t.context_exchange + "\"";
  if (!t.dispatcher.empty()) out += " dispatcher: \"" + t.dispatcher + "\"";
  out += " }\n  schedule: \"" +
         (t.schedule.empty() ? std::string(t.chunks > 1 ? "interleaved_1f1b" : "1f1b") : t.schedule) + "\"\n";
  out += fmt::format("  batch {{ sequences: {} sequence_length: {}", t.sequences, t.length);
  if (t.micro != 1) out += fmt::format(" micro_batch_sequences: {}", t.micro);
  out += " }\n";
  if (!t.precision.empty()) out += "  precision {" + t.precision + " }\n";
  if (!t.recompute.empty()) out += "  recompute {" + t.recompute + " }\n";
  if (!t.offload.empty()) out += "  offload {" + t.offload + " }\n";
  if (!t.software.empty()) out += "  software: \"" + t.software + "\"\n";
  if (!t.with_mtp) out += "  with_mtp: false\n";
  return out + t.further + "}\n";
}

}  // namespace flopcast
