// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, 2.1): keys and values of all heads are made of one latent
// vector per token, beside a key part with positions that all heads share. Only these two are cached. Decoding works on
// latent vectors: what makes keys and values of them is multiplied into queries and results instead (absorbed form).
#include "workloads/model/attention/rows.h"
#include "workloads/model/tensor_exchanges.h"

namespace flopcast::rows {
namespace {

double latent_matrix_elements(const AttentionConfig& a, double hidden) {
  const double heads = a.heads;
  const double query_width = heads * a.qk_dim();
  const double query = a.q_lora_rank > 0 ? a.q_lora_rank * (hidden + query_width) : hidden * query_width;
  const double kv_down = hidden * (a.kv_lora_rank + a.qk_rope_dim);
  const double kv_up = a.kv_lora_rank * (heads * (a.qk_nope_dim + a.v_dim));
  const double out = heads * a.v_dim * hidden;
  return query + kv_down + kv_up + out;
}

/// Norms of the latent vectors.
double latent_vector_elements(const AttentionConfig& a) { return a.q_lora_rank + a.kv_lora_rank; }

/// Queries, keys and values of a low rank have two matrices and a norm.
int latent_tensors(const AttentionConfig& a) { return 4 + (a.q_lora_rank > 0 ? 3 : 1); }

/// The latent vector is copied to every GPU.
int latent_cache_elements(const AttentionConfig& a, int) { return a.kv_lora_rank + a.qk_rope_dim; }

double latent_kept_bytes(const AttentionConfig& a, const KeptActivations& kept) {
  double bytes = 2.0 * (a.q_lora_rank + a.kv_lora_rank + a.qk_rope_dim);
  if (kept.norms) bytes += kept.bytes_per_element * (a.q_lora_rank + a.kv_lora_rank);
  if (kept.up_projections) bytes += 2.0 * a.heads * (2.0 * a.qk_dim() + a.v_dim);
  return bytes;
}

/// Keys without positions, and values.
double expanded(const AttentionWidths& w) { return w.heads * (w.qk - w.rope) + w.value; }

/// Query, key and value from the latent vectors.
void up_projections(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  if (w.q_rank > 0) {
    list.quantize("cast q latent", t * w.q_rank);
    list.linear("q_b_proj", t, w.query, w.q_rank);
  }
  if (list.work().habits.positions_write_cache) {
    list.memory("rotary and cache", MemoryKernel::rotary, t * (w.heads * w.rope + w.kv_rank + w.rope) * 2 * 2);
    return;  // keys and values are made of the cache where they are needed
  }
  list.quantize("cast kv latent", t * w.kv_rank);
  list.linear("kv_b_proj", t, expanded(w), w.kv_rank);
  list.memory("rotary q", MemoryKernel::rotary, t * w.heads * w.rope * 2 * 2);
  list.memory("rotary k", MemoryKernel::rotary, t * w.rope * 2 * 2);
  // Keys are assembled from their positional and other parts, values made contiguous.
  list.memory("assemble keys", MemoryKernel::copy, t * (w.heads * (w.qk - w.rope) + w.key) * 2);
  list.memory("copy values", MemoryKernel::copy, t * w.value * 2 * 2);
}

void latent_input(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  const double query_in = w.q_rank > 0 ? w.q_rank : w.query;
  if (list.work().habits.fused_latent_down) {
    tensor_gather(list, list.linear("q_a_proj and kv_a_proj", t, query_in + (w.kv_rank + w.rope), w.hidden));
    list.norm("latent norms", t * (w.q_rank + w.kv_rank), false);
  } else {
    list.linear(w.q_rank > 0 ? "q_a_proj" : "q_proj", t, query_in, w.hidden);
    if (w.q_rank > 0) list.norm("q latent norm", t * w.q_rank, false);
    tensor_gather(list, list.linear("kv_a_proj", t, w.kv_rank + w.rope, w.hidden));
    list.norm("kv latent norm", t * w.kv_rank, false);
  }
  up_projections(list, w);
  if (list.work().reach.decode)
    list.linear_in(Precision::bf16, "queries into latent space", t, w.heads * w.kv_rank, w.qk - w.rope);
}

void latent_output(KernelWriter& list, const AttentionWidths& w) {
  if (list.work().reach.decode)
    list.linear_in(Precision::bf16, "results out of latent space", list.work().tokens, w.output(), w.kv_rank);
}

/// Keys and values of all tokens that a prompt meets, cached ones too, come out of the latent vectors.
void unpack_cache(KernelWriter& list, const AttentionWidths& w) {
  const double keys = list.work().reach.cached;
  list.quantize("cast cached latents", keys * w.kv_rank);
  list.linear("kv_b_proj of the cache", keys, expanded(w), w.kv_rank);
  list.memory("assemble keys of the cache", MemoryKernel::copy, keys * w.heads * ((w.qk - w.rope) + w.qk) * 2);
}

void input_again(KernelWriter& list, const AttentionWidths& w) {
  if (list.work().again.norms) list.norm("latent norms", list.work().tokens * (w.q_rank + w.kv_rank), false);
  if (list.work().again.attention_up_projections) up_projections(list, w);
}

void latent_input_gradient(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  const double kv_up = expanded(w);
  list.memory("split key gradients", MemoryKernel::copy, t * (w.key + w.heads * (w.qk - w.rope)) * 2);
  list.memory("gather value gradients", MemoryKernel::copy, t * w.value * 2 * 2);
  list.memory("rotary backward", MemoryKernel::rotary, t * (w.heads + 1) * w.rope * 2 * 2, 2);
  list.quantize("cast up-projection gradients", t * (w.query + kv_up));
  const double q_in = w.q_rank > 0 ? w.q_rank : w.hidden;
  list.quantize_transposed("transpose up-projection operands", t * (w.query + kv_up + q_in + w.kv_rank), 4);
  list.linear("q_b_proj", t, q_in, w.query);
  list.linear("kv_b_proj", t, w.kv_rank, kv_up);
  list.norm_backward("latent norms backward", t * (w.q_rank + w.kv_rank));
  list.quantize("cast latent gradients", t * (w.q_rank + w.kv_rank + w.rope));
  list.quantize_transposed("transpose down-projection operands", t * (w.q_rank + w.kv_rank + w.rope + w.hidden), 3);
  const int dgrad = list.linear("kv_a_proj", t, w.hidden, w.kv_rank + w.rope);
  tensor_gather_again(list, dgrad);
  tensor_scatter_gradient(list, dgrad, list.weight_gradient_elsewhere("kv_a_proj", w.kv_rank + w.rope, w.hidden, t));
  if (w.q_rank > 0) list.linear("q_a_proj", t, w.hidden, w.q_rank);
}

void latent_input_weights(KernelWriter& list, const AttentionWidths& w) {
  const double t = list.work().tokens;
  list.weight_gradient("kv_b_proj", expanded(w), w.kv_rank, t);
  if (w.q_rank > 0) {
    list.weight_gradient("q_b_proj", w.query, w.q_rank, t);
    list.weight_gradient("q_a_proj", w.q_rank, w.hidden, t);
  } else {
    list.weight_gradient("q_proj", w.query, w.hidden, t);
  }
  list.weight_gradient("kv_a_proj", w.kv_rank + w.rope, w.hidden, t);
}

double latent_travelling(const AttentionWidths& w) { return w.kv_rank + w.rope; }

/// Latent vectors are expanded where they arrive, and their gradients folded up again.
void unpack_hop(KernelWriter& list, const AttentionWidths& w, double tokens, bool backward) {
  list.linear("kv_b_proj of a hop", tokens, expanded(w), w.kv_rank);
  if (backward) list.linear("gradients of kv_b_proj of a hop", tokens, w.kv_rank, expanded(w));
}

}  // namespace

AttentionKindRow latent() {
  AttentionKindRow row;
  row.name = "latent";
  row.needs = {"kv_lora_rank", "qk_nope_dim", "qk_rope_dim", "v_dim"};
  row.reads = {"q_lora_rank"};
  row.matrix_elements = latent_matrix_elements;
  row.vector_elements = latent_vector_elements;
  row.tensors = latent_tensors;
  row.cache_elements = latent_cache_elements;
  row.kept_bytes = latent_kept_bytes;
  row.input = latent_input;
  row.input_again = input_again;
  row.input_gradient = latent_input_gradient;
  row.input_weights = latent_input_weights;
  row.output = latent_output;
  row.unpack_cache = unpack_cache;
  row.travelling = latent_travelling;
  row.unpack_hop = unpack_hop;
  return row;
}

}  // namespace flopcast::rows
