#include "workloads/model/model.h"

#include <algorithm>

#include "workloads/model/attention_kinds.h"

namespace flopcast {
namespace {

double product(int a, int b) { return static_cast<double>(a) * b; }

/// Mean over layers of what a layer with full attention, one with a window and one with a state have.
double mean_of_layers(const ModelConfig& model, double full, double window, double state) {
  const double windows = model.attention.window.layers, states = model.state_layers.layers;
  if (windows == 0 && states == 0) return full;
  return (full * (model.layers - windows - states) + window * windows + state * states) / model.layers;
}

double indexer_elements(const ModelConfig& model) {
  const IndexerConfig& index = model.attention.indexer;
  if (index.heads == 0) return 0;
  const AttentionConfig& a = model.attention;
  const double queries_from = a.q_lora_rank > 0 ? a.q_lora_rank : model.hidden;
  const double own =
      queries_from * index.heads * index.dim + model.hidden * static_cast<double>(index.dim + index.heads);
  return own * (index.layers > 0 ? index.layers : model.attention_layers()) / model.layers;
}

/// Matrix elements of the attention projections of a layer, biases and norms aside.
double projection_elements(const ModelConfig& model) {
  const AttentionConfig& a = model.attention;
  const StateLayersConfig& states = model.state_layers;
  const AttentionKindRow& kind = attention_kind(a);
  const double state = product(states.in_width + states.out_width, model.hidden) + states.inner_elements;
  return mean_of_layers(model, kind.matrix_elements(a, model.hidden), kind.matrix_elements(a.windowed(), model.hidden),
                        state) +
         indexer_elements(model) + a.further_elements;
}

/// Vectors of the attention block: biases, norms of heads and latents, sinks.
double attention_vectors(const ModelConfig& model) {
  const auto of = [&](const AttentionConfig& a) {
    return attention_kind(a).vector_elements(a) + (a.output_bias ? model.hidden : 0) + (a.sinks ? a.heads : 0);
  };
  return mean_of_layers(model, of(model.attention), of(model.attention.windowed()), model.state_layers.vector_elements);
}

/// Of one routed expert.
double expert_elements(const ModelConfig& model) {
  const int in = model.moe.latent_width > 0 ? model.moe.latent_width : model.hidden;
  return model.ffn_matrices() * product(in, model.moe.expert_width);
}

double shared_elements(const ModelConfig& model) {
  return model.hidden * model.moe.width_of_shared() * model.ffn_matrices();
}

/// Projections of all tokens to the width that experts work on, and back.
double latent_elements(const ModelConfig& model) { return 2.0 * product(model.hidden, model.moe.latent_width); }

/// Biases of a gated or plain FFN of `width` over rows of `in`.
double ffn_biases(const ModelConfig& model, double width, double in) { return (model.ffn_matrices() - 1) * width + in; }

double router_elements(const ModelConfig& model) { return product(model.hidden, model.moe.experts); }

double vocabulary_elements(const ModelConfig& model) { return product(model.vocabulary, model.hidden); }

double mtp_projection_elements(const ModelConfig& model) { return 2.0 * product(model.hidden, model.hidden); }

/// Matrix elements that a token meets in one layer.
double active_layer_elements(const ModelConfig& model, bool moe_layer) {
  const MoeConfig& moe = model.moe;
  const double ffn = moe_layer ? moe.experts_per_token * expert_elements(model) + shared_elements(model) +
                                     router_elements(model) + latent_elements(model)
                               : model.ffn_matrices() * model.hidden * model.mean_ffn_width();
  return projection_elements(model) + ffn;
}

/// Training FLOP per token of one layer's attention core: scores and weighted values.
double attention_flop(const ModelConfig& model, std::int64_t sequence_length, bool causal) {
  const AttentionConfig& a = model.attention;
  const auto length = static_cast<double>(sequence_length);
  double keys = length * (causal ? 0.5 : 1.0);
  if (!model.attends_to_all()) keys = causal ? model.mean_pairs(length, length) / length : model.mean_keys(length);
  return 6.0 * keys * product(a.heads, a.qk_dim() + a.value_dim());
}

}  // namespace

AttentionConfig AttentionConfig::windowed() const {
  AttentionConfig out = *this;
  if (window.heads > 0) out.heads = window.heads;
  if (window.kv_heads > 0) out.kv_heads = window.kv_heads;
  if (window.head_dim > 0) out.head_dim = window.head_dim;
  if (window.v_dim > 0) out.v_dim = window.v_dim;
  if (window.head_dim > 0) out.values_are_keys = false;  // Gemma 4: only its global layers share them
  return out;
}

int ModelConfig::growing_layers() const {
  const int rest = attention_layers() - attention.window.layers;
  return rest > 0 ? rest : attention_layers();
}

double ModelConfig::mean_ffn_width() const {
  if (ffn_layers < 0 || moe.experts > 0) return ffn_width;
  return static_cast<double>(ffn_width) * ffn_layers / layers;
}

bool ModelConfig::attends_to_all() const {
  return attention.window.layers == 0 && attention.indexer.heads == 0 && state_layers.layers == 0;
}

namespace {

/// Keys that one query meets in a window, its own included.
double keys_in_window(const WindowConfig& window, double keys) {
  if (!window.chunked) return std::min<double>(keys, window.tokens);
  return keys <= window.tokens ? keys : (window.tokens + 1) / 2.0;  // a query stands anywhere in its chunk
}

}  // namespace

double ModelConfig::mean_keys(double keys) const {
  const WindowConfig& window = attention.window;
  const double full = attention.indexer.heads > 0 ? std::min<double>(keys, attention.indexer.tokens) : keys;
  const double with_window = window.layers;
  return (full * (attention_layers() - with_window) + keys_in_window(window, keys) * with_window) / layers;
}

double ModelConfig::mean_pairs(double queries, double keys) const {
  // Pairs of queries whose keys grow by one from each to the next, up to `most` of them.
  const auto up_to = [&](double most) {
    const double first = keys - queries, growing = std::clamp(most - first, 0.0, queries);
    return growing * (first + growing / 2) + (queries - growing) * most;
  };
  const WindowConfig& window = attention.window;
  const double full = attention.indexer.heads > 0 ? up_to(attention.indexer.tokens) : queries * (keys - queries / 2);
  const double in_window =
      window.layers == 0 ? 0
      : window.chunked   ? (keys <= window.tokens ? queries * (keys - queries / 2) : queries * window.tokens / 2.0)
                         : up_to(window.tokens);
  const double with_window = window.layers;
  return (full * (attention_layers() - with_window) + in_window * with_window) / layers;
}

bool ModelConfig::is_moe_layer(int layer) const {
  if (moe.experts == 0 || layer < moe.first_dense_layers) return false;
  if (moe.layers >= 0) {
    const std::int64_t rest = layers - moe.first_dense_layers, at = layer - moe.first_dense_layers;
    return (at + 1) * moe.layers / rest > at * moe.layers / rest;
  }
  return (layer - moe.first_dense_layers + 1) % moe.every == 0;
}

int ModelConfig::moe_layers() const {
  int count = 0;
  for (int layer = 0; layer < layers; ++layer) count += is_moe_layer(layer);
  return count;
}

ParameterCount count_parameters(const ModelConfig& model) {
  const int with_experts = model.moe_layers();
  const int dense = model.layers - with_experts;
  ParameterCount count;
  count.embedding = vocabulary_elements(model);
  count.head = model.tied_embeddings ? 0.0 : vocabulary_elements(model);
  count.embedding += product(model.learned_positions, model.hidden);
  count.attention_per_layer = projection_elements(model) + attention_vectors(model);
  count.dense_ffn = model.ffn_matrices() * model.hidden * model.mean_ffn_width();
  if (model.ffn_bias && model.ffn_width > 0) count.dense_ffn += ffn_biases(model, model.mean_ffn_width(), model.hidden);
  count.norms_per_layer = static_cast<double>(model.norms_per_layer) * model.hidden;
  if (model.moe.experts > 0) {
    count.expert = expert_elements(model);
    if (model.moe.bias) count.expert += ffn_biases(model, model.moe.expert_width, model.hidden);
    count.shared_expert = shared_elements(model);
    count.router = router_elements(model) + latent_elements(model) + (model.moe.bias ? model.moe.experts : 0);
  }

  const double every_layer = count.attention_per_layer + count.norms_per_layer;
  const double moe_ffn = model.moe.experts * count.expert + count.shared_expert + count.router;
  const double moe_ffn_active = model.moe.experts_per_token * count.expert + count.shared_expert + count.router;
  const double final_norm = model.hidden;
  const double shared = model.layers * every_layer + dense * count.dense_ffn + final_norm;
  count.total = count.embedding + count.head + shared + with_experts * moe_ffn;
  count.total += static_cast<double>(model.further_parameters);
  count.active = vocabulary_elements(model) + shared + with_experts * moe_ffn_active;
  if (model.mtp_depth > 0) {
    const double ffn = model.mtp_has_experts() ? moe_ffn : count.dense_ffn;
    const double norms = 3.0 * model.hidden;  // of both inputs of the projection, and before the head
    count.mtp_module = mtp_projection_elements(model) + every_layer + ffn + norms;
  }
  return count;
}

double training_flop_per_token(const ModelConfig& model, std::int64_t sequence_length, bool causal, bool with_mtp) {
  constexpr double kPerElement = 6.0;
  const double head = kPerElement * vocabulary_elements(model);
  const double attention = attention_flop(model, sequence_length, causal);
  const auto layer_flop = [&](int layer) {
    return kPerElement * active_layer_elements(model, model.is_moe_layer(layer)) + attention;
  };
  double flop = head;
  for (int layer = 0; layer < model.layers; ++layer) flop += layer_flop(layer);
  if (with_mtp) {
    const double module = kPerElement * mtp_projection_elements(model) + layer_flop(model.layers - 1) + head;
    flop += model.mtp_depth * module;
  }
  return flop;
}

double weight_gradient_flop_per_token(const ModelConfig& model) {
  double elements = vocabulary_elements(model);
  for (int layer = 0; layer < model.layers; ++layer)
    elements += active_layer_elements(model, model.is_moe_layer(layer));
  return 2 * elements;
}

}  // namespace flopcast
