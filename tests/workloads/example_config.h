// DeepSeek-V3's published configuration, for tests that need a real model without reading files.
#pragma once
#include "workloads/training/training.h"

namespace flopcast {

inline ModelConfig deepseek_v3() {
  ModelConfig model;
  model.name = "deepseek-v3";
  model.layers = 61;
  model.hidden = 7168;
  model.vocabulary = 129280;
  model.ffn_width = 18432;
  model.attention.type = "latent";
  model.attention.heads = model.attention.kv_heads = 128;
  model.attention.q_lora_rank = 1536;
  model.attention.kv_lora_rank = 512;
  model.attention.qk_nope_dim = 128;
  model.attention.qk_rope_dim = 64;
  model.attention.v_dim = 128;
  model.moe.experts = 256;
  model.moe.experts_per_token = 8;
  model.moe.shared_experts = 1;
  model.moe.expert_width = 2048;
  model.moe.groups = 8;
  model.moe.groups_per_token = 4;
  model.moe.first_dense_layers = 3;
  model.mtp_depth = 1;
  return model;
}

inline TrainingConfig deepseek_v3_training() {
  TrainingConfig config;
  config.model = deepseek_v3();
  config.plan.data = 128;
  config.plan.pipeline = 16;
  config.plan.expert = 64;
  config.batch = {15360, 4096, 1};
  PrecisionPlan& p = config.precision;
  p.linear = p.dispatch = p.activations = Precision::fp8;
  p.scaling = Scaling::blocks;
  p.moments = Precision::bf16;
  config.recompute = {true, true, true, false};
  config.schedule = "dualpipe";
  return config;
}

}  // namespace flopcast
