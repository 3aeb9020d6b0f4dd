// Layers with a state: sizes of their projections and states, class by class.
#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "scenarios/imports/config_reader.h"

namespace flopcast {
namespace {

/// Elements, of a layer.
struct StateSizes {
  double in = 0, out = 0, inner = 0, vectors = 0, state = 0;
};

/// Gated DeltaNet (Qwen3-Next, Qwen3.5; transformers modeling_qwen3_next.py): queries, keys, values, a gate of the
/// values' size, decay and step of each head; a convolution over the first three.
StateSizes gated_delta(ConfigReader& c) {
  const double key_heads = c.whole("linear_num_key_heads", 16, 1),
               value_heads = c.whole("linear_num_value_heads", 32, 1);
  const double key = c.whole("linear_key_head_dim", 128, 1), value = c.whole("linear_value_head_dim", 128, 1);
  const double kernel = c.whole("linear_conv_kernel_dim", 4, 1), keys = key_heads * key, values = value_heads * value;
  const double mixed = 2 * keys + values;
  return {mixed + values + 2 * value_heads, values, 0, mixed * kernel + 2 * value_heads + value,
          value_heads * key * value + mixed * (kernel - 1)};
}

/// Mamba-2: gate, inner stream, input and output matrices of groups, steps of heads.
StateSizes mamba2(double heads, double dim, double groups, double state, double kernel) {
  const double inner = heads * dim, mixed = inner + 2 * groups * state;
  return {inner + mixed + heads, inner, 0, mixed * (kernel + 1) + 3 * heads + inner,
          inner * state + mixed * (kernel - 1)};
}

/// As Nemotron-H calls them (modeling_nemotron_h.py).
StateSizes nemotron_mamba2(ConfigReader& c) {
  c.find("expand");
  return mamba2(c.whole("mamba_num_heads", 128, 1), c.whole("mamba_head_dim", 64, 1), c.whole("n_groups", 8, 1),
                c.whole("ssm_state_size", 128, 1), c.whole("conv_kernel", 4, 1));
}

/// As Bamba and Granite 4 do (modeling_bamba.py, modeling_granitemoehybrid.py).
StateSizes bamba_mamba2(ConfigReader& c) {
  const int heads = c.whole("mamba_n_heads", 128, 1), wider = c.whole("mamba_expand", 2, 1, 64);
  const bool automatic = c.text("mamba_d_head") == "auto" || !c.has("mamba_d_head");
  const int dim = automatic ? wider * c.model().hidden() / heads : c.whole("mamba_d_head", 64, 1);
  c.find("mamba_chunk_size");
  return mamba2(heads, dim, c.whole("mamba_n_groups", 1, 1), c.whole("mamba_d_state", 256, 1),
                c.whole("mamba_d_conv", 4, 1));
}

/// Mamba (Jamba; modeling_jamba.py).
StateSizes mamba(ConfigReader& c) {
  const double inner = static_cast<double>(c.whole("mamba_expand", 2, 1)) * c.model().hidden();
  const double state = c.whole("mamba_d_state", 16, 1), kernel = c.whole("mamba_d_conv", 4, 1);
  const double rank = c.whole("mamba_dt_rank", static_cast<int>(std::ceil(c.model().hidden() / 16.0)), 1);
  return {2 * inner, inner, inner * (rank + 2 * state) + rank * inner,
          inner * (kernel + 1) + inner * (state + 2) + rank + 2 * state, inner * (state + kernel - 1)};
}

/// Lightning attention (MiniMax-Text-01; modeling_minimax_text_01.py): queries, keys, values and an output gate.
StateSizes lightning(ConfigReader& c) {
  const proto::Attention& a = c.model().attention();
  const double width = static_cast<double>(a.heads()) * a.head_dim();
  return {4 * width, width, 0, width, width * a.head_dim()};
}

/// Kimi Delta Attention (Kimi Linear, arXiv 2510.26692): decay and output gate of low rank, the latter of full rank in
/// Kimi K3.
StateSizes kimi_delta(ConfigReader& c) {
  const double heads = c.whole("num_heads", 32, 1), dim = c.whole("head_dim", 128, 1);
  const double kernel = c.whole("short_conv_kernel_size", 4, 1), width = heads * dim;
  const double state = width * dim + 3 * width * (kernel - 1), vectors = 3 * width * kernel + heads + width + dim;
  c.find("gate_lower_bound");
  if (c.flag("use_full_rank_gate", false)) return {4 * width + heads + dim, width, dim * width, vectors, state};
  return {3 * width + heads + 2 * dim, width, 2 * dim * width, vectors, state};
}

/// Of Ring and Ling (modeling_bailing_moe_linear_v2.py): lightning attention with a head of keys and values for each of
/// queries, norms of queries and keys, and one of the output.
StateSizes ring_lightning(ConfigReader& c) {
  const double dim = c.whole("head_dim", 128, 1), width = c.model().attention().heads() * dim;
  for (const char* scale : {"group_norm_size", "linear_silu", "linear_mode", "linear_rope", "attention_type"})
    c.find(scale);
  return {4 * width, width, 0, width + 2 * dim, width * dim};
}

/// The recurrent unit of Griffin (RecurrentGemma; modeling_recurrent_gemma.py): a gate and the stream of it, a
/// convolution, two gates in blocks of a head, all with biases.
StateSizes griffin(ConfigReader& c) {
  const double width = c.whole("lru_width", c.model().hidden(), 1), kernel = c.whole("conv1d_width", 4, 1);
  const double heads = std::max(1, c.model().attention().heads());
  for (const char* other : {"w_init_variance_scale", "final_w_init_variance_scale", "logits_soft_cap",
                            "embeddings_scale_by_sqrt_dim", "block_types"})
    c.find(other);
  return {2 * width, width, 2 * width * width / heads,
          2 * width + width * (kernel + 1) + 3 * width + c.model().hidden(), width * kernel};
}

/// A short convolution between two gates (LFM2; modeling_lfm2.py).
StateSizes short_convolution(ConfigReader& c) {
  const double h = c.model().hidden(), kernel = c.whole("conv_L_cache", 3, 1);
  for (const char* other : {"conv_bias", "conv_dim", "conv_dim_out", "conv_use_xavier_init"}) c.find(other);
  return {3 * h, h, 0, h * kernel, h * (kernel - 1)};
}

std::optional<StateSizes> sizes_of(ConfigReader& c) {
  if (c.has("linear_num_value_heads")) return gated_delta(c);
  if (c.has("mamba_num_heads")) return nemotron_mamba2(c);
  if (c.has("mamba_n_heads")) return bamba_mamba2(c);
  if (c.has("mamba_d_state")) return mamba(c);
  if (c.has("kda_layers")) return kimi_delta(c);
  if (c.has("layer_group_size")) return ring_lightning(c);
  if (c.has("lru_width") || c.family().model_type == "recurrent_gemma") return griffin(c);
  if (c.has("conv_L_cache")) return short_convolution(c);
  if (c.has("attn_type_list") || c.family().model_type.starts_with("minimax")) {
    for (const char* scale :
         {"linear_attn_alpha_factor", "linear_attn_beta_factor", "full_attn_alpha_factor", "full_attn_beta_factor",
          "mlp_alpha_factor", "mlp_beta_factor", "layernorm_linear_attention_alpha", "layernorm_linear_attention_beta",
          "layernorm_full_attention_alpha", "layernorm_full_attention_beta", "layernorm_mlp_alpha",
          "layernorm_mlp_beta", "postnorm", "block", "full_attn_layers", "shared_moe_mode"})
      c.find(scale);
    return lightning(c);
  }
  return std::nullopt;
}

/// Fields of layers with a state, where nothing says which layers have one: they would be taken for attention.
void refuse_stray_states(ConfigReader& config) {
  for (const char* beginning : {"mamba_", "ssm_", "lru_", "linear_num_", "rwkv_", "layer_group_size", "block_types",
                                "attn_layer_indices", "recurrent_", "n_mamba_heads", "delta_", "gla_", "lightning_"}) {
    const std::vector<std::string> stray = config.not_asked_for(beginning);
    if (!stray.empty())
      return config.fault(stray.front(), "sizes of layers with a state",
                          "a field that says which layers they are, such as layer_types");
  }
}

}  // namespace

void read_state_layers(ConfigReader& config) {
  const LayerKinds kinds = layer_kinds(config);
  if (kinds.with_state <= 0) return refuse_stray_states(config);
  const auto sizes = sizes_of(config);
  if (!sizes) {
    return config.fault("layer_types", fmt::format("{} layers of linear attention", kinds.with_state),
                        "fields that say their sizes, such as linear_num_value_heads or mamba_num_heads");
  }
  proto::StateLayers& states = *config.model().mutable_state_layers();
  const auto whole = [](double elements) { return static_cast<int>(std::min(elements, 2e9)); };
  states.set_layers(kinds.with_state);
  states.set_in_width(whole(sizes->in));
  states.set_out_width(whole(sizes->out));
  states.set_inner_elements(whole(sizes->inner));
  states.set_vector_elements(whole(sizes->vectors));
  states.set_state_elements(static_cast<std::int64_t>(sizes->state));
}

}  // namespace flopcast
