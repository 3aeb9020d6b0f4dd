#include "workloads/serving/cache/kv_bytes.h"

#include <cassert>

#include "workloads/model/attention_kinds.h"

namespace flopcast {

double kv_elements_per_token(const ModelConfig& model) {
  const AttentionConfig& a = model.attention;
  return attention_kind(a).cache_elements(a, 1) * a.cache_entries * model.growing_layers();
}

Bytes kv_bytes_per_token(const ModelConfig& model, Precision precision) {
  return kv_bytes_per_token_and_gpu(model, precision, 1);
}

Bytes kv_bytes_per_token_and_gpu(const ModelConfig& model, Precision precision, int tensor) {
  assert(tensor >= 1);
  const AttentionConfig& a = model.attention;
  const double elements = attention_kind(a).cache_elements(a, tensor) * a.cache_entries;
  // Keys of an index: FP8, a scale in FP32 for each, on every GPU.
  const double index = a.indexer.heads > 0 ? (a.indexer.dim + 4.0) * a.indexer.cache_entries : 0.0;
  const double index_layers = a.indexer.layers > 0 ? a.indexer.layers : model.growing_layers();
  return Bytes(bytes_per_element(precision) * elements * model.growing_layers() + index * index_layers);
}

Bytes kv_bytes_per_window_and_gpu(const ModelConfig& model, Precision precision, int tensor) {
  const AttentionConfig w = model.attention.windowed();
  const double window = static_cast<double>(attention_kind(w).cache_elements(w, tensor)) * w.window.tokens;
  return Bytes(bytes_per_element(precision) * window * model.windowed_layers());
}

Bytes kv_bytes_per_state_and_gpu(const ModelConfig& model, int tensor) {
  const StateLayersConfig& states = model.state_layers;
  return Bytes(states.state_bytes * static_cast<double>(states.state_elements) * states.layers / tensor);
}

}  // namespace flopcast
