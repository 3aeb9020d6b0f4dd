// Grouped-query attention (arXiv 2305.13245): each key-value head serves a group of query heads; with a group of one it
// is multi-head attention. Keys and values lie in the cache as the core reads them.
#include <algorithm>

#include "workloads/model/attention/rows.h"
#include "workloads/model/elementwise_kernels.h"
#include "workloads/model/tensor_exchanges.h"

namespace flopcast::rows {
namespace {

/// Elements of a token: queries, their gate included; keys; values that are not keys.
double query_width(const AttentionConfig& a) {
  return static_cast<double>(a.heads) * a.head_dim + (a.output_gate ? static_cast<double>(a.heads) * a.value_dim() : 0);
}
double key_width(const AttentionConfig& a) { return static_cast<double>(a.kv_heads) * a.head_dim; }
double value_width(const AttentionConfig& a) {
  return a.values_are_keys ? 0.0 : static_cast<double>(a.kv_heads) * a.value_dim();
}

double matrix_elements(const AttentionConfig& a, double hidden) {
  const double query = query_width(a);
  const double queries = a.q_lora_rank > 0 ? a.q_lora_rank * (hidden + query) : hidden * query;
  const double results = static_cast<double>(a.heads) * a.value_dim();
  const double output = a.output_rank > 0 ? a.output_rank * (results + a.output_groups * hidden) : results * hidden;
  return queries + hidden * (key_width(a) + value_width(a)) + output;
}

double vector_elements(const AttentionConfig& a) {
  double elements = a.q_lora_rank;
  if (a.qkv_bias) elements += query_width(a) + key_width(a) + value_width(a);
  if (a.head_norms == HeadNorms::per_head) elements += 2.0 * a.head_dim;
  if (a.head_norms == HeadNorms::whole) elements += static_cast<double>(a.heads + a.kv_heads) * a.head_dim;
  return elements;
}

/// Queries, keys, values and output, with their biases.
int tensors(const AttentionConfig& a) { return 4 + (a.qkv_bias ? 3 : 0); }

/// KV heads are divided as far as there are any, then copied.
int cache_elements(const AttentionConfig& a, int tensor) {
  const int heads = std::max(1, (a.kv_heads + tensor - 1) / tensor);
  return heads * (a.head_dim + a.value_dim());
}

double kept_bytes(const AttentionConfig& a, const KeptActivations&) {
  return 2.0 * (query_width(a) + key_width(a) + value_width(a));
}

/// Queries and keys have norms of their own (Qwen3). One norm over all heads (MiniMax-M2, OLMo 2) takes the sum of
/// squares of the others' heads where GPUs share them: two FP32 numbers per token (vLLM MiniMaxText01RMSNormTP,
/// forward_qk), between a pass that sums and one that scales.
bool norms_are_shared(const LayerWork& work) {
  return work.model.attention.head_norms == HeadNorms::whole && work.tensor > 1;
}

void share_norms(KernelWriter& list) {
  if (norms_are_shared(list.work())) list.exchange(LayerExchange::Kind::tensor_all_reduce, list.work().tokens * 2 * 4);
}

void head_norms(KernelWriter& list, const AttentionWidths& w) {
  const LayerWork& work = list.work();
  if (work.model.attention.head_norms == HeadNorms::none) return;
  const double elements = work.tokens * (w.query + w.key);
  const bool shared = norms_are_shared(work);
  const int kernels = shared ? 4 : work.habits.head_norm_kernels;
  if (kernels == 0) return;  // the kernel of positions, on its way
  list.memory("head norms", MemoryKernel::norm, elements * 2 * (shared ? 3 : 2), kernels);
  share_norms(list);
}

void head_norms_backward(KernelWriter& list, const AttentionWidths& w) {
  const LayerWork& work = list.work();
  if (work.model.attention.head_norms == HeadNorms::none) return;
  const double elements = work.tokens * (w.query + w.key);
  const bool shared = norms_are_shared(work);
  list.memory("head norms backward", MemoryKernel::norm_backward, elements * 2 * (shared ? 5 : 3), shared ? 4 : 2);
  share_norms(list);
}

/// Products that make queries, keys and values of one input.
int products(const KernelWriter& list, const AttentionWidths& w) {
  return list.work().habits.separate_projections ? (w.value > 0 ? 3 : 2) : 1;
}

/// One product of queries, keys and values, or one of each. @return what the first call of `add` returned
template <class Add>
int project(KernelWriter& list, const AttentionWidths& w, Add add) {
  if (products(list, w) == 1) return add("qkv_proj", w.query + w.key + w.value);
  const int first = add("q_proj", w.query);
  add("k_proj", w.key);
  if (w.value > 0) add("v_proj", w.value);
  return first;
}

void input(KernelWriter& list, const AttentionWidths& w) {
  const LayerWork& work = list.work();
  const double t = work.tokens;
  const int first =
      project(list, w, [&](std::string_view role, double width) { return list.linear(role, t, width, w.hidden); });
  tensor_gather(list, first, products(list, w));
  if (!compiled_serving(work)) head_norms(list, w);
  const bool apart = work.habits.writes_cache_apart;
  const double cached = work.habits.positions_write_cache && !apart && !compiled_serving(work) ? w.value : 0;
  if (work.model.turns_positions() || work.habits.positions_write_cache)
    rotary(list, "rotary", t * (w.query + w.key), t * (w.query + w.key + cached) * 2 * 2, true);
  if (apart) list.memory("write cache", MemoryKernel::copy, t * (w.key + w.value) * 2 * 2);
  if (compiled_serving(work)) list.memory("write values", MemoryKernel::copy, t * w.value * 2 * 2);
}

void input_gradient(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  const double qkv = w.query + w.key + w.value;
  // Gradients of what one product made are put together, by the same kernel where layers are compiled.
  const KernelHabits& habits = list.work().habits;
  const bool together = (habits.compiled_layers || habits.eager_elementwise) && products(list, w) == 1;
  if (list.work().model.turns_positions())
    rotary(list, "rotary backward", t * (w.query + w.key), t * (together ? qkv : w.query + w.key) * 2 * 2, false);
  if (together && habits.eager_elementwise)
    list.memory("gradients put together", MemoryKernel::elementwise, t * qkv * 2 * 2);
  head_norms_backward(list, w);
  list.quantize("cast qkv gradients", t * qkv);
  list.quantize_transposed("transpose qkv operands", t * (qkv + w.hidden), 2);
  const int dgrad =
      project(list, w, [&](std::string_view role, double width) { return list.linear(role, t, w.hidden, width); });
  tensor_gather_again(list, dgrad);
  if (products(list, w) > 1) sum_of_gradients(list, t * w.hidden, products(list, w));
  tensor_scatter_gradient(list, dgrad, list.weight_gradient_elsewhere("qkv_proj", qkv, w.hidden, t), products(list, w));
}

void input_weights(KernelWriter& list, const AttentionWidths& w) {
  project(list, w, [&](std::string_view role, double width) {
    list.weight_gradient(role, width, w.hidden, list.work().tokens);
    return 0;
  });
}

double travelling(const AttentionWidths& w) { return w.key + w.value; }

}  // namespace

AttentionKindRow grouped_query() {
  AttentionKindRow row;
  row.name = "grouped_query";
  row.needs = {"kv_heads", "head_dim"};
  row.reads = {"v_dim", "q_lora_rank"};
  row.matrix_elements = matrix_elements;
  row.vector_elements = vector_elements;
  row.tensors = tensors;
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
  row.name = "multi_head";
  row.needs = {"head_dim"};
  return row;
}

}  // namespace flopcast::rows
