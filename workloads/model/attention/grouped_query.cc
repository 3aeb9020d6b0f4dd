// Grouped-query attention (arXiv 2305.13245): each key-value head serves a group of query heads; with a group of one it
// is multi-head attention. Keys and values lie in the cache as the core reads them.
#include <algorithm>

#include "workloads/model/attention/rows.h"

namespace flopcast::rows {
namespace {

double matrix_elements(const ModelConfig& model) {
  const AttentionConfig& a = model.attention;
  const double heads_in = a.heads + 2.0 * a.kv_heads;  // q, k, v
  return model.hidden * static_cast<double>(a.head_dim) * (heads_in + a.heads);
}

double vector_elements(const AttentionConfig& a) {
  return a.qkv_bias ? static_cast<double>(a.head_dim) * (a.heads + 2 * a.kv_heads) : 0.0;
}

/// KV heads are divided as far as there are any, then copied.
int cache_elements(const AttentionConfig& a, int tensor) {
  return 2 * std::max(1, (a.kv_heads + tensor - 1) / tensor) * a.head_dim;
}

double kept_bytes(const AttentionConfig& a, const KeptActivations&) {
  return 2.0 * a.head_dim * (a.heads + 2.0 * a.kv_heads);
}

void input(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  list.tensor_gather(list.linear("qkv_proj", t, w.query + w.key + w.value, w.hidden));
  const double cached = list.work().habits.positions_write_cache ? w.value : 0;
  list.memory("rotary", MemoryKernel::rotary, t * (w.query + w.key + cached) * 2 * 2);
}

void input_gradient(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  const double qkv = w.query + w.key + w.value;
  list.memory("rotary backward", MemoryKernel::rotary, t * (w.query + w.key) * 2 * 2);
  list.quantize("cast qkv gradients", t * qkv);
  list.quantize_transposed("transpose qkv operands", t * (qkv + w.hidden), 2);
  list.tensor_gather_beside(list.linear("qkv_proj", t, w.hidden, qkv));
  list.tensor_scatter_beside(list.weight_gradient_elsewhere("qkv_proj", qkv, w.hidden, t));
}

void input_weights(KernelWriter& list, const AttentionWidths& w) {
  list.weight_gradient("qkv_proj", w.query + w.key + w.value, w.hidden, list.work().tokens);
}

double travelling(const AttentionWidths& w) { return w.key + w.value; }

}  // namespace

AttentionKindRow grouped_query() {
  AttentionKindRow row;
  row.type = AttentionType::grouped_query;
  row.name = "grouped_query";
  row.matrix_elements = matrix_elements;
  row.vector_elements = vector_elements;
  row.cache_elements = cache_elements;
  row.kept_bytes = kept_bytes;
  row.input = input;
  row.input_gradient = input_gradient;
  row.input_weights = input_weights;
  row.travelling = travelling;
  return row;
}

AttentionKindRow multi_head() {
  AttentionKindRow row = grouped_query();
  row.type = AttentionType::multi_head;
  row.name = "multi_head";
  return row;
}

}  // namespace flopcast::rows
