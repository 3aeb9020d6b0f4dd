// A transformer as its data file (or a Hugging Face config.json) describes it.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "sim/base/fields.h"

#include "hwmodels/chips/gpu.h"  // Source
#include "hwmodels/chips/precision.h"

namespace flopcast {

/// Matrices that have low-rank adapters beside them.
enum class AdapterTargets : std::uint8_t { all, attention, qkv, ffn };
constexpr std::array<std::string_view, 4> enum_names(AdapterTargets) { return {"all", "attention", "qkv", "ffn"}; }

/// Norms of queries and keys.
enum class HeadNorms : std::uint8_t { none, per_head, whole };
constexpr std::array<std::string_view, 3> enum_names(HeadNorms) { return {"none", "per_head", "whole"}; }

/// Layers that attend to the last tokens only; 0 where they are like the others.
struct WindowConfig {
  int tokens = 0;
  int layers = 0;  ///< 0: none
  bool chunked = false;
  int heads = 0, kv_heads = 0, head_dim = 0, v_dim = 0;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("tokens", &WindowConfig::tokens, {"attention"});
    field("layers", &WindowConfig::layers, {"attention"});
    field("chunked", &WindowConfig::chunked, {"attention"});
    field("heads", &WindowConfig::heads, {"attention"});
    field("kv_heads", &WindowConfig::kv_heads, {"attention"});
    field("head_dim", &WindowConfig::head_dim, {"attention"});
    field("v_dim", &WindowConfig::v_dim, {"attention"});
  }
};

/// Chooses the tokens that are attended to.
struct IndexerConfig {
  int heads = 0;  ///< 0: there is none
  int dim = 0;
  int tokens = 0;
  int layers = 0;            ///< with an indexer of their own; 0: all
  double cache_entries = 1;  ///< keys per token, in those layers

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("heads", &IndexerConfig::heads, {"attention"});
    field("dim", &IndexerConfig::dim, {"attention"});
    field("tokens", &IndexerConfig::tokens, {"attention"});
    field("layers", &IndexerConfig::layers, {"attention"});
    field("cache_entries", &IndexerConfig::cache_entries, {"attention"});
  }
};

/// Layers with a state of fixed size instead of keys and values.
struct StateLayersConfig {
  int layers = 0;
  int in_width = 0, out_width = 0;  ///< elements of a token, of the input and output projections
  int inner_elements = 0;           ///< matrices between the two
  int vector_elements = 0;
  std::int64_t state_elements = 0;  ///< of a sequence, in a layer
  double state_bytes = 4;           ///< of one element

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("layers", &StateLayersConfig::layers, {"attention"});
    field("in_width", &StateLayersConfig::in_width, {"attention"});
    field("out_width", &StateLayersConfig::out_width, {"attention"});
    field("inner_elements", &StateLayersConfig::inner_elements, {"attention"});
    field("vector_elements", &StateLayersConfig::vector_elements, {"attention"});
    field("state_elements", &StateLayersConfig::state_elements, {"attention"});
    field("state_bytes", &StateLayersConfig::state_bytes, {"attention"});
  }
};

struct AttentionConfig {
  std::string type = "multi_head";  ///< a row of attention_kinds()
  int heads = 0;
  int kv_heads = 0;  ///< = heads for multi-head
  int head_dim = 0;  ///< multi-head and grouped-query
  bool qkv_bias = false;
  // Latent attention (MLA) only:
  int q_lora_rank = 0;  ///< 0: queries are projected directly
  int kv_lora_rank = 0;
  int qk_nope_dim = 0;
  int qk_rope_dim = 0;
  int v_dim = 0;  ///< others: 0 is head_dim
  // Any:
  WindowConfig window;
  IndexerConfig indexer;
  bool output_bias = false;
  HeadNorms head_norms = HeadNorms::none;
  bool sinks = false;
  bool output_gate = false;      ///< as wide as the queries
  bool values_are_keys = false;  ///< one projection makes both
  int further_elements = 0;      ///< matrix elements of a layer, on average
  double cache_entries = 1;      ///< per token
  int output_rank = 0;           ///< of an output projection in two steps; 0: in one
  int output_groups = 1;

  /// What the layers with a window are like.
  AttentionConfig windowed() const;

  /// Keys and values of all heads are made of one latent vector per token, which is what decoding reads.
  bool from_latent() const { return kv_lora_rank > 0; }
  int qk_dim() const { return from_latent() ? qk_nope_dim + qk_rope_dim : head_dim; }
  int value_dim() const { return from_latent() || v_dim > 0 ? v_dim : head_dim; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("type", &AttentionConfig::type, {"attention"});
    field("heads", &AttentionConfig::heads, {"attention"});
    field("kv_heads", &AttentionConfig::kv_heads, {"attention"});
    field("head_dim", &AttentionConfig::head_dim, {"attention"});
    field("qkv_bias", &AttentionConfig::qkv_bias, {"attention"});
    field("q_lora_rank", &AttentionConfig::q_lora_rank, {"attention"});
    field("kv_lora_rank", &AttentionConfig::kv_lora_rank, {"attention"});
    field("qk_nope_dim", &AttentionConfig::qk_nope_dim, {"attention"});
    field("qk_rope_dim", &AttentionConfig::qk_rope_dim, {"attention"});
    field("v_dim", &AttentionConfig::v_dim, {"attention"});
    field("window", &AttentionConfig::window);
    field("indexer", &AttentionConfig::indexer);
    field("output_bias", &AttentionConfig::output_bias, {"attention"});
    field("head_norms", &AttentionConfig::head_norms, {"attention"});
    field("sinks", &AttentionConfig::sinks, {"attention"});
    field("output_gate", &AttentionConfig::output_gate, {"attention"});
    field("values_are_keys", &AttentionConfig::values_are_keys, {"attention"});
    field("further_elements", &AttentionConfig::further_elements, {"attention"});
    field("cache_entries", &AttentionConfig::cache_entries, {"attention"});
    field("output_rank", &AttentionConfig::output_rank, {"attention"});
    field("output_groups", &AttentionConfig::output_groups, {"attention"});
  }
};

struct MoeConfig {
  int experts = 0;             ///< routed experts per layer; 0 = a dense model
  int experts_per_token = 0;   ///< top-k
  int shared_experts = 0;      ///< in units of expert_width
  int expert_width = 0;        ///< FFN width of one expert
  int groups = 1;              ///< expert groups of node-limited routing
  int groups_per_token = 1;    ///< groups a token may reach
  int first_dense_layers = 0;  ///< leading layers with a dense FFN
  int every = 1;               ///< of the others, each `every`-th has experts: layers every-1, 2 every-1, ... of them
  int layers = -1;             ///< instead of `every`: the number of the others, spread evenly; -1: as `every` says
  int shared_width = 0;        ///< of the shared experts together; 0: shared_experts x expert_width
  int latent_width = 0;        ///< routed experts work on a projection to this width; 0: on the residual stream
  bool bias = false;
  double load_variation = 0;  ///< coefficient of variation of loads that its router gives experts; 0: not measured

  double width_of_shared() const {
    return shared_width > 0 ? shared_width : static_cast<double>(shared_experts) * expert_width;
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("experts", &MoeConfig::experts, {"experts"});
    field("experts_per_token", &MoeConfig::experts_per_token, {"experts"});
    field("shared_experts", &MoeConfig::shared_experts, {"experts"});
    field("expert_width", &MoeConfig::expert_width, {"experts"});
    field("groups", &MoeConfig::groups, {"routing"});
    field("groups_per_token", &MoeConfig::groups_per_token, {"routing"});
    field("first_dense_layers", &MoeConfig::first_dense_layers, {"experts"});
    field("every", &MoeConfig::every, {"experts"});
    field("layers", &MoeConfig::layers, {.cause = "experts", .resolved = true});
    field("shared_width", &MoeConfig::shared_width, {"experts"});
    field("latent_width", &MoeConfig::latent_width, {"experts"});
    field("bias", &MoeConfig::bias, {"experts"});
    field("load_variation", &MoeConfig::load_variation, {"expert-load"});
  }
};

/// How the weights of a published model are stored (quantization_config). Of what is not said, BF16.
enum class PublishedWeights : std::uint8_t {
  bf16,
  fp8_blocks,  ///< FP8 with a scale for 128 x 128 (DeepSeek)
  fp8,         ///< FP8 with a scale for a tensor or a row
  int4,        ///< AWQ, GPTQ and other integers of 4 bits
  mxfp4,       ///< of experts, where there are any
  nvfp4,
};
constexpr std::array<std::string_view, 6> enum_names(PublishedWeights) {
  return {"bf16", "fp8_blocks", "fp8", "int4", "mxfp4", "nvfp4"};
}

struct ModelConfig {
  std::string name;
  std::string title;
  int layers = 0;
  int hidden = 0;
  int vocabulary = 0;
  int ffn_width = 0;      ///< width of the dense FFN
  bool gated_ffn = true;  ///< SwiGLU: three matrices; false: two
  bool tied_embeddings = false;
  AttentionConfig attention;
  MoeConfig moe;
  int mtp_depth = 0;  ///< multi-token prediction modules
  int max_positions = 0;
  StateLayersConfig state_layers;
  int ffn_layers = -1;  ///< of a dense model: those with an FFN; -1: all
  bool ffn_bias = false;
  int learned_positions = 0;
  bool rotary = true;  ///< queries and keys are turned by their positions, unless those are learned
  int norms_per_layer = 2;
  std::int64_t further_parameters = 0;
  std::int64_t encoder_parameters = 0;  ///< of images and sounds: held by a server, passed by text; in no count below
  PublishedWeights published_weights = PublishedWeights::bf16;   ///< what serving takes where nothing else is stated
  WeightFormat published_experts = WeightFormat::as_multiplied;  ///< of routed experts, where it is another
  std::map<std::string, Source> sources;

  /// Of `norms_per_layer` beyond the two before attention and FFN (Gemma has two more): half behind each, the odd one
  /// behind the FFN.
  int norms_behind_attention() const { return norms_per_layer > 2 ? (norms_per_layer - 2) / 2 : 0; }
  int norms_behind_ffn() const { return norms_per_layer > 2 ? (norms_per_layer - 1) / 2 : 0; }
  bool turns_positions() const { return rotary && learned_positions == 0; }
  bool is_moe_layer(int layer) const;
  int moe_layers() const;
  int dense_layers() const { return layers - moe_layers(); }
  /// MTP modules are built as the last layer is.
  bool mtp_has_experts() const { return is_moe_layer(layers - 1); }
  /// Weight matrices of an FFN: gate, up and down, or up and down.
  int ffn_matrices() const { return gated_ffn ? 3 : 2; }
  int attention_layers() const { return layers - state_layers.layers; }
  /// Layers whose cache grows with every token. Where every layer has a window, all of them are counted: an upper
  /// bound.
  int growing_layers() const;
  int windowed_layers() const { return attention_layers() - growing_layers(); }
  /// Width of a dense FFN, on average over layers without experts.
  double mean_ffn_width() const;
  /// Keys that a token's query meets, on average over the model's layers: windows, indexers and layers without
  /// attention counted. @param keys before and with it.
  double mean_keys(double keys) const;
  /// The same summed over `queries` tokens, of which the last has `keys`: query-key pairs under a causal mask.
  double mean_pairs(double queries, double keys) const;
  /// Every layer attends, to everything before it.
  bool attends_to_all() const;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &ModelConfig::name, {.cause = "model", .shown = "model", .resolved = true});
    field("title", &ModelConfig::title, {kLabel});
    field("layers", &ModelConfig::layers, {"model"});
    field("hidden", &ModelConfig::hidden, {"model"});
    field("vocabulary", &ModelConfig::vocabulary, {"model"});
    field("ffn_width", &ModelConfig::ffn_width, {"experts"});
    field("gated_ffn", &ModelConfig::gated_ffn, {"model"});
    field("tied_embeddings", &ModelConfig::tied_embeddings, {"model"});
    field("attention", &ModelConfig::attention);
    field("moe", &ModelConfig::moe);
    field("mtp_depth", &ModelConfig::mtp_depth, {"model"});
    field("max_positions", &ModelConfig::max_positions, {"model"});
    field("state_layers", &ModelConfig::state_layers);
    field("ffn_layers", &ModelConfig::ffn_layers, {.cause = "model", .resolved = true});
    field("ffn_bias", &ModelConfig::ffn_bias, {"model"});
    field("learned_positions", &ModelConfig::learned_positions, {"model"});
    field("rotary", &ModelConfig::rotary, {"model"});
    field("norms_per_layer", &ModelConfig::norms_per_layer, {"model"});
    field("further_parameters", &ModelConfig::further_parameters, {"model"});
    field("encoder_parameters", &ModelConfig::encoder_parameters, {"model"});
    // What it changes shows in the engine's own formats.
    field("published_weights", &ModelConfig::published_weights, {kLabel});
    field("published_experts", &ModelConfig::published_experts, {kLabel});
    field("sources", &ModelConfig::sources, {.cause = kLabel, .resolved = true});
  }
};

/// Parameter counts, in elements. Not counted: biases of norms. Of models whose layers differ, figures of a layer are
/// the mean over layers.
struct ParameterCount {
  double embedding = 0;            ///< input embedding
  double head = 0;                 ///< output head (0 when tied)
  double attention_per_layer = 0;  ///< projections of the attention block and the norms inside it
  double dense_ffn = 0;            ///< one dense FFN
  double expert = 0;               ///< one routed expert
  double shared_expert = 0;        ///< the shared experts of one layer together
  double router = 0;               ///< gate of one layer
  double norms_per_layer = 0;      ///< before the attention block and before the FFN
  /// One MTP module without the shared embedding and head: projection (2 hidden -> hidden), one layer like the model's
  /// last, norms. DeepSeek-V3: 11.61 B; the published 11.5 B leave the 0.1 B of the projection out.
  double mtp_module = 0;
  double total = 0;  ///< without MTP, as published
  /// Per token, without MTP: what a token is multiplied with. The output head counts, the embedding does not, for
  /// looking up a row multiplies nothing (gives DeepSeek-V3's 36.7 B).
  double active = 0;
};
ParameterCount count_parameters(const ModelConfig& model);

/// Training FLOP per token, forward and backward, matrix multiplications and attention (recomputation not counted):
///
///   6 N + 6 l h (d_qk + d_v) s,   s = sequence_length / 2 when `causal` (lower triangle only), else sequence_length
///
/// N: active matrix elements, output head included and embedding not; l layers, h heads. 6 = 2 per multiply-add, once
/// forward and twice backward. Reproduces, without MTP, the causal figures of arXiv 2505.09343, Table 2 for DeepSeek-V3
/// (250 GFLOP, +0.2 %) and V2 (155, +0.2 %) and V3's 280 non-causal (+0.4 %); its figures for dense models follow no
/// convention that would give these too: Llama 3.1 405B 2448 (here 2473, +1.0 %), Qwen 72B 394 (here 445, +13 %; 394 is
/// less than 6 N for any 72 B model). MTP modules (projection, layer, head) are added when the model has them and
/// `with_mtp`; published utilisations leave them out.
double training_flop_per_token(const ModelConfig& model, std::int64_t sequence_length, bool causal,
                               bool with_mtp = true);
/// Of it, what weight gradients take: 2 N.
double weight_gradient_flop_per_token(const ModelConfig& model);

}  // namespace flopcast
