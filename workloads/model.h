// A transformer as its data file (or a Hugging Face config.json) describes it.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "hwmodels/gpu.h"  // Source

namespace flopcast {

enum class AttentionType : std::uint8_t { multi_head, grouped_query, latent };

struct AttentionConfig {
  AttentionType type = AttentionType::multi_head;
  int heads = 0;
  int kv_heads = 0;   ///< = heads for multi-head
  int head_dim = 0;   ///< multi-head and grouped-query
  bool qkv_bias = false;
  // Latent attention (MLA) only:
  int q_lora_rank = 0;   ///< 0: queries are projected directly
  int kv_lora_rank = 0;
  int qk_nope_dim = 0;
  int qk_rope_dim = 0;
  int v_dim = 0;

  int qk_dim() const { return type == AttentionType::latent ? qk_nope_dim + qk_rope_dim : head_dim; }
  int value_dim() const { return type == AttentionType::latent ? v_dim : head_dim; }
};

struct MoeConfig {
  int experts = 0;            ///< routed experts per layer; 0 = a dense model
  int experts_per_token = 0;  ///< top-k
  int shared_experts = 0;     ///< in units of expert_width
  int expert_width = 0;       ///< FFN width of one expert
  int groups = 1;             ///< expert groups of node-limited routing
  int groups_per_token = 1;   ///< groups a token may reach
  int first_dense_layers = 0; ///< leading layers with a dense FFN
  int every = 1;              ///< of the others, each `every`-th has experts
};

struct ModelConfig {
  std::string name;
  std::string title;
  int layers = 0;
  int hidden = 0;
  int vocabulary = 0;
  int ffn_width = 0;          ///< width of the dense FFN
  bool gated_ffn = true;      ///< SwiGLU: three matrices; false: two
  bool tied_embeddings = false;
  AttentionConfig attention;
  MoeConfig moe;
  int mtp_depth = 0;          ///< multi-token prediction modules
  int max_positions = 0;
  std::map<std::string, Source> sources;

  bool is_moe_layer(int layer) const;
};

/// Parameter counts, in elements.
struct ParameterCount {
  double embedding = 0;  ///< input embedding
  double head = 0;       ///< output head (0 when tied)
  double attention_per_layer = 0;  ///< projections and norms of the attention block
  double dense_ffn = 0;            ///< one dense FFN
  double expert = 0;               ///< one routed expert
  double shared_expert = 0;        ///< the shared experts of one layer together
  double router = 0;               ///< gate of one layer
  double norms_per_layer = 0;
  double mtp_module = 0;           ///< one MTP module without the shared embedding and head
  double total = 0;                ///< without MTP, as published
  double active = 0;               ///< per token, without MTP
};
ParameterCount count_parameters(const ModelConfig& model);

/// Training FLOP per token, forward and backward, matrix multiplications and attention (recomputation not counted).
/// `causal`: attention counts the lower triangle only. MTP included when the model has it and `with_mtp`.
double training_flop_per_token(const ModelConfig& model, std::int64_t sequence_length, bool causal, bool with_mtp = true);

}  // namespace flopcast
