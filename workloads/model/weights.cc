#include "workloads/model/weights.h"

#include "workloads/model/attention_kinds.h"

namespace flopcast {

WeightFormats formats_of(Precision linear) {
  const double bytes = bytes_per_element(linear);
  return {bytes, bytes, bytes_per_element(Precision::bf16)};
}

WeightBytes weight_bytes(const ModelConfig& model, const WeightFormats& formats) {
  const ParameterCount count = count_parameters(model);
  const double layers = model.moe_layers();
  const double routed = layers * count.expert * model.moe.experts, shared = layers * count.shared_expert;
  const double edges = count.embedding + count.head;
  WeightBytes out;
  out.experts = Bytes(routed * formats.experts + shared * formats.linear);
  out.others = Bytes((count.total - routed - shared - edges) * formats.linear + edges * formats.edges);
  return out;
}

std::int64_t weight_tensors(const ModelConfig& model) {
  const std::int64_t ffn = model.ffn_matrices(), shared = model.moe.width_of_shared() > 0 ? ffn : 0, router = 1;
  const std::int64_t every_layer = attention_kind(model.attention).tensors(model.attention) + model.norms_per_layer;
  const std::int64_t experts = ffn * model.moe.experts + shared + router;
  const std::int64_t edges = 3;  // embedding, head, last norm
  return edges + model.layers * every_layer + model.dense_layers() * ffn + model.moe_layers() * experts;
}

}  // namespace flopcast
