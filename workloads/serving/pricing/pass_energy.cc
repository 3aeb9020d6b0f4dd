#include "workloads/serving/pricing/pass_energy.h"

#include <algorithm>
#include <utility>

namespace flopcast {
namespace {

Joules of_layer(const LayerTime& layer) {
  return layer.projections.energy + layer.shared_experts.energy + layer.ffn.energy;
}

/// What the busiest GPU has more of experts' rows, others have less.
ForwardModel mean_gpu(const ForwardModel& model) {
  ForwardSetting setting = model.setting();
  setting.hot_load = 1;
  return ForwardModel(std::move(setting));
}

Joules of_layers(const ForwardModel& model, double tokens, StepKind kind, Joules core) {
  const bool two = model.setting().engine.two_micro_batches && tokens >= 2;
  const double parts = two ? 2 : 1;
  Joules sum;
  for (const bool moe : {false, true}) {
    const int layers = moe ? model.moe_layers() : model.dense_layers();
    if (layers > 0) sum += (of_layer(model.layer(tokens / parts, moe, kind, two)) * parts + core) * layers;
  }
  return sum;
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
  const Joules core = model.attention(DecodeAttention{part, std::max(1.0, kv_tokens), queries}).energy;
  return of_layers(model, tokens, StepKind::decode, core) + model.edges(tokens, tokens).energy;
}

Joules prompt_energy(const ForwardModel& busiest, double requests, double tokens, double kv_tokens) {
  const ForwardModel model = mean_gpu(busiest);
  const double stages = model.setting().engine.plan.pipeline;
  const PromptAttention prompts{std::max(1.0, requests), std::max(1.0, tokens), std::max(tokens, kv_tokens)};
  const Joules core = model.attention(prompts, false).energy / stages;
  return of_layers(model, std::max(1.0, requests * tokens / stages), StepKind::prompt, core) +
         model.edges(std::max(1.0, requests), std::max(1.0, requests)).energy;
}

Watts mean_power(const KernelModel& kernels, Joules work, Seconds busy, Seconds time) {
  const std::optional<Watts> idle = kernels.idle();
  if (!idle || time <= Seconds(0)) return Watts(0);
  const Watts limit = kernels.gpu().tdp > *idle ? kernels.gpu().tdp - *idle : Watts(0);
  return *idle + std::min(work, limit * busy) / time;
}

}  // namespace flopcast
