#include "workloads/serving/cache/kv_bytes.h"

#include <cassert>

#include "workloads/model/attention_kinds.h"

namespace flopcast {

int kv_elements_per_layer(const AttentionConfig& attention) {
  return attention_kind(attention.type).cache_elements(attention, 1);
}

Bytes kv_bytes_per_token(const ModelConfig& model, Precision precision) {
  return kv_bytes_per_token_and_gpu(model, precision, 1);
}

Bytes kv_bytes_per_token_and_gpu(const ModelConfig& model, Precision precision, int tensor) {
  assert(tensor >= 1);
  const int elements = attention_kind(model.attention.type).cache_elements(model.attention, tensor);
  return Bytes(bytes_per_element(precision) * elements * model.layers);
}

}  // namespace flopcast
