#include "workloads/training/open_fields.h"

#include <algorithm>

namespace flopcast {
namespace {

using Configs = std::vector<TrainingConfig>;

/// The stated configuration, changed in each of these ways.
template <class... Change>
Configs variants_of(const TrainingConfig& stated, const Change&... change) {
  Configs out;
  const auto add = [&](const auto& how) {
    TrainingConfig config = stated;
    how(config);
    if (!(config == stated)) out.push_back(std::move(config));
  };
  (add(change), ...);
  return out;
}

Configs other_recompute(const TrainingConfig& stated) {
  const auto as = [](RecomputePlan plan) { return [plan](TrainingConfig& c) { c.recompute = plan; }; };
  RecomputePlan core, full;
  core.attention_core = true;
  full.full_layer = true;
  return variants_of(stated, as({}), as(core), as(full));
}

Configs other_dispatcher(const TrainingConfig& stated) {
  if (stated.model.moe.experts == 0 || stated.plan.expert == 1) return {};
  const auto as = [](ExpertDispatcher d) { return [d](TrainingConfig& c) { c.plan.dispatcher = d; }; };
  Configs out = variants_of(stated, as(ExpertDispatcher::all_to_all), as(ExpertDispatcher::deep_ep));
  std::erase_if(out,
                [](const TrainingConfig& c) { return sends_tokens_once(c.plan.dispatcher) && !c.software.deep_ep; });
  return out;
}

Configs other_micro_batch(const TrainingConfig& stated) {
  Configs out = variants_of(
      stated, [](TrainingConfig& c) { c.batch.micro_batch_sequences *= 2; },
      [](TrainingConfig& c) { c.batch.micro_batch_sequences = std::max(1, c.batch.micro_batch_sequences / 2); });
  std::erase_if(out, [](const TrainingConfig& c) {
    return c.batch.sequences % (std::int64_t{c.plan.data} * c.batch.micro_batch_sequences) != 0;
  });
  return out;
}

/// Loads of ranks as measured: hardly uneven (0.15: pre-training text under a capacity), as of DeepSeek-R1 over 32 GPUs
/// (0.48: NVIDIA/TensorRT-LLM examples/wide_ep/ep_load_balancer/README.md), and balanced.
Configs other_load(const TrainingConfig& stated) {
  if (stated.model.moe.experts == 0 || stated.plan.expert == 1) return {};
  const auto ranks = [](double coefficient) {
    return [coefficient](TrainingConfig& c) {
      c.expert_load = {};
      if (coefficient == 0) return;
      c.expert_load.kind = ExpertLoad::Kind::skewed;
      c.expert_load.level = ExpertLoad::Level::rank;
      c.expert_load.coefficient_of_variation = coefficient;
    };
  };
  return variants_of(stated, ranks(0), ranks(0.15), ranks(0.48));
}

Configs other_kernel(const TrainingConfig& stated) {
  const auto as = [](AttentionKernel k) { return [k](TrainingConfig& c) { c.attention_kernel = k; }; };
  return variants_of(stated, as(AttentionKernel::fused), as(AttentionKernel::flash2));
}

Configs other_tensor_overlap(const TrainingConfig& stated) {
  if (stated.plan.tensor == 1) return {};
  return variants_of(stated, [](TrainingConfig& c) { c.plan.tensor_overlap = !c.plan.tensor_overlap; });
}

Configs other_overlap(const TrainingConfig& stated) {
  return variants_of(stated, [](TrainingConfig& c) {
    c.plan.overlap_gradients = !c.plan.overlap_gradients;
    c.plan.overlap_parameters = c.plan.overlap_gradients;
  });
}

Configs other_gradients(const TrainingConfig& stated) {
  const auto as = [](Precision p) { return [p](TrainingConfig& c) { c.precision.gradients = p; }; };
  return variants_of(stated, as(Precision::bf16), as(Precision::fp32));
}

constexpr OpenField kOpenFields[] = {
    {"recompute", "what is computed again", other_recompute},
    {"dispatcher", "what carries tokens to experts", other_dispatcher},
    {"micro_batch_sequences", "sequences per micro-batch", other_micro_batch},
    {"expert_load", "how evenly tokens fall on GPUs", other_load},
    {"attention_kernel", "which attention kernel", other_kernel},
    {"tensor_overlap", "whether tensor parallelism's exchange overlaps", other_tensor_overlap},
    {"overlap", "whether gradients and parameters travel beside compute", other_overlap},
    {"gradients", "the precision of gradients", other_gradients},
};

}  // namespace

std::span<const OpenField> open_fields() { return kOpenFields; }

const OpenField* find_open_field(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kOpenFields), std::end(kOpenFields), [&](const OpenField& f) { return f.name == name; });
  return found == std::end(kOpenFields) ? nullptr : found;
}

}  // namespace flopcast
