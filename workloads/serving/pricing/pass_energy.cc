#include "workloads/serving/pricing/pass_energy.h"

#include <algorithm>
#include <utility>

namespace flopcast {
namespace {

PassTime of_layer(const LayerTime& layer) {
  PassTime sum = layer.projections;
  sum += layer.shared_experts;
  sum += layer.ffn;
  return sum;
}

/// What the busiest GPU has more of experts' rows, others have less.
ForwardModel mean_gpu(const ForwardModel& model) {
  ForwardSetting setting = model.setting();
  setting.hot_load = 1;
  return ForwardModel(std::move(setting));
}

PassTime of_layers(const ForwardModel& model, double tokens, StepKind kind, const PassTime& core) {
  const bool two = model.setting().engine.two_micro_batches && tokens >= 2;
  const int parts = two ? 2 : 1;
  PassTime sum;
  for (const bool moe : {false, true}) {
    const int layers = moe ? model.moe_layers() : model.dense_layers();
    if (layers == 0) continue;
    PassTime layer = of_layer(model.layer(tokens / parts, moe, kind, two)) * parts;
    layer += core;
    sum += layer * layers;
  }
  return sum;
}

/// At the clock at which the pass meets the board's limit.
Joules settled_energy(const ForwardModel& model, const PassTime& pass) {
  const KernelModel& kernels = *model.setting().kernels;
  const ClockPoint point = under_limit(kernels, pass.kernel_time(), pass.on_sms, pass.energy);
  return point.clock < 1 ? (point.power - kernels.idle().value_or(Watts(0))) * point.time : pass.energy;
}

}  // namespace

// Stages of a pipeline work on as many parts of the batch at once: what all layers take for one part is what a GPU
// takes for its own layers and all parts.
Joules decode_energy(const ForwardModel& busiest, double batch, double kv_tokens) {
  const ForwardModel model = mean_gpu(busiest);
  const EngineConfig& engine = model.setting().engine;
  const double part = std::max(1.0, batch / engine.plan.pipeline);
  const int queries = 1 + engine.speculation.depth_at(batch);
  const double tokens = part * queries;
  const PassTime core = model.attention(DecodeAttention{part, std::max(1.0, kv_tokens), queries});
  PassTime pass = of_layers(model, tokens, StepKind::decode, core);
  pass += model.edges(tokens, tokens);
  return settled_energy(model, pass);
}

Joules prompt_energy(const ForwardModel& busiest, double requests, double tokens, double kv_tokens) {
  const ForwardModel model = mean_gpu(busiest);
  const double stages = model.setting().engine.plan.pipeline;
  const PromptAttention prompts{std::max(1.0, requests), std::max(1.0, tokens), std::max(tokens, kv_tokens)};
  PassTime core = model.attention(prompts, false);
  core = of_stage(core, stages);
  PassTime pass = of_layers(model, std::max(1.0, requests * tokens / stages), StepKind::prompt, core);
  pass += model.edges(std::max(1.0, requests), std::max(1.0, requests));
  return settled_energy(model, pass);
}

Watts mean_power(const KernelModel& kernels, Joules work, Seconds busy, Seconds time) {
  const std::optional<Watts> idle = kernels.idle();
  if (!idle || time <= Seconds(0)) return Watts(0);
  const Watts limit = kernels.gpu().tdp > *idle ? kernels.gpu().tdp - *idle : Watts(0);
  return *idle + std::min(work, limit * busy) / time;
}

}  // namespace flopcast
