#include "workloads/model/model.h"

#include "workloads/model/attention_kinds.h"

namespace flopcast {
namespace {

double product(int a, int b) { return static_cast<double>(a) * b; }

/// Matrix elements of the attention projections, biases and norms aside.
double projection_elements(const ModelConfig& model) {
  return attention_kind(model.attention.type).matrix_elements(model);
}

/// Vectors of the attention block: biases of q, k, v; norms of the latents.
double attention_vectors(const AttentionConfig& a) { return attention_kind(a.type).vector_elements(a); }

double ffn_elements(const ModelConfig& model, int width) {
  return (model.gated_ffn ? 3.0 : 2.0) * product(model.hidden, width);
}

double expert_elements(const ModelConfig& model) { return ffn_elements(model, model.moe.expert_width); }

double router_elements(const ModelConfig& model) { return product(model.hidden, model.moe.experts); }

int moe_layers(const ModelConfig& model) {
  int count = 0;
  for (int layer = 0; layer < model.layers; ++layer) count += model.is_moe_layer(layer);
  return count;
}

double vocabulary_elements(const ModelConfig& model) { return product(model.vocabulary, model.hidden); }

double mtp_projection_elements(const ModelConfig& model) { return 2.0 * product(model.hidden, model.hidden); }

/// Matrix elements that a token meets in one layer.
double active_layer_elements(const ModelConfig& model, bool moe_layer) {
  const MoeConfig& moe = model.moe;
  const double ffn =
      moe_layer ? (moe.experts_per_token + moe.shared_experts) * expert_elements(model) + router_elements(model)
                : ffn_elements(model, model.ffn_width);
  return projection_elements(model) + ffn;
}

/// Training FLOP per token of one layer's attention core: scores and weighted values.
double attention_flop(const ModelConfig& model, std::int64_t sequence_length, bool causal) {
  const AttentionConfig& a = model.attention;
  const double keys = static_cast<double>(sequence_length) * (causal ? 0.5 : 1.0);
  return 6.0 * keys * product(a.heads, a.qk_dim() + a.value_dim());
}

}  // namespace

bool ModelConfig::is_moe_layer(int layer) const {
  if (moe.experts == 0 || layer < moe.first_dense_layers) return false;
  return (layer - moe.first_dense_layers + 1) % moe.every == 0;
}

ParameterCount count_parameters(const ModelConfig& model) {
  const int with_experts = moe_layers(model);
  const int dense = model.layers - with_experts;
  ParameterCount count;
  count.embedding = vocabulary_elements(model);
  count.head = model.tied_embeddings ? 0.0 : vocabulary_elements(model);
  count.attention_per_layer = projection_elements(model) + attention_vectors(model.attention);
  count.dense_ffn = ffn_elements(model, model.ffn_width);
  count.norms_per_layer = 2.0 * model.hidden;
  if (model.moe.experts > 0) {
    count.expert = expert_elements(model);
    count.shared_expert = model.moe.shared_experts * count.expert;
    count.router = router_elements(model);
  }

  const double every_layer = count.attention_per_layer + count.norms_per_layer;
  const double moe_ffn = model.moe.experts * count.expert + count.shared_expert + count.router;
  const double moe_ffn_active = model.moe.experts_per_token * count.expert + count.shared_expert + count.router;
  const double final_norm = model.hidden;
  const double shared = model.layers * every_layer + dense * count.dense_ffn + final_norm;
  count.total = count.embedding + count.head + shared + with_experts * moe_ffn;
  count.active = vocabulary_elements(model) + shared + with_experts * moe_ffn_active;
  if (model.mtp_depth > 0) {
    const double ffn = model.is_moe_layer(model.layers - 1) ? moe_ffn : count.dense_ffn;
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

}  // namespace flopcast
