// Blocks of FP8 that matrices are cut through.
#pragma once
#include <string>

#include <fmt/format.h>

#include "workloads/serving/pricing/engine.h"

namespace flopcast {

/// What an engine refuses of a deployment when it starts: some (EngineConfig::needs_whole_blocks) load no matrix of FP8
/// blocks of which a GPU would hold a part of a block ("output_size of gate's and up's weight = 192 is not divisible by
/// weight quantization block_n = 128", layers/quantization/fp8.py, create_weights). Empty: nothing.
inline std::string refused_blocks(const EngineConfig& e) {
  constexpr int kBlock = 128;
  const ServingPrecision& p = e.precision;
  if (!e.needs_whole_blocks || p.linear != Precision::fp8 || p.scaling != Scaling::blocks ||
      p.stored != WeightFormat::as_multiplied)
    return "";
  const auto parts = [](int width, int gpus) { return gpus > 1 && width % gpus == 0 && width / gpus % kBlock != 0; };
  const auto text = [&](const char* what, int width, int gpus, const char* remedy) {
    return fmt::format(
        "{} does not start with {} of {} over {} GPUs, {} each, which are no whole blocks of {} in FP8: {}", e.name,
        what, width, gpus, width / gpus, kBlock, remedy);
  };
  const int slices = e.plan.expert_slices();
  if (e.model.moe.experts > 0 && p.experts == WeightFormat::as_multiplied && parts(e.model.moe.expert_width, slices))
    return text("experts", e.model.moe.expert_width, slices,
                "spread them over the GPUs (expert), or take fewer in tensor");
  if (e.model.dense_layers() > 0 && e.model.published_weights == PublishedWeights::fp8_blocks &&
      parts(e.model.ffn_width, e.plan.tensor))
    return text("an FFN", e.model.ffn_width, e.plan.tensor, "take fewer GPUs in tensor");
  return "";
}

}  // namespace flopcast
