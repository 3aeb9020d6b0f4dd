#include "workloads/serving/cache/kv_bytes.h"

#include <algorithm>
#include <cassert>

namespace flopcast {
namespace {

/// KV heads that each of `tensor` GPUs holds.
int kv_heads_per_gpu(const AttentionConfig& attention, int tensor) {
  return std::max(1, (attention.kv_heads + tensor - 1) / tensor);
}

}  // namespace

int kv_elements_per_layer(const AttentionConfig& attention) {
  if (attention.type == AttentionType::latent) return attention.kv_lora_rank + attention.qk_rope_dim;
  return 2 * attention.kv_heads * attention.head_dim;
}

Bytes kv_bytes_per_token(const ModelConfig& model, Precision precision) {
  return Bytes(bytes_per_element(precision) * kv_elements_per_layer(model.attention) * model.layers);
}

Bytes kv_bytes_per_token_and_gpu(const ModelConfig& model, Precision precision, int tensor) {
  assert(tensor >= 1);
  AttentionConfig share = model.attention;
  if (share.type != AttentionType::latent) share.kv_heads = kv_heads_per_gpu(share, tensor);
  return Bytes(bytes_per_element(precision) * kv_elements_per_layer(share) * model.layers);
}

}  // namespace flopcast
