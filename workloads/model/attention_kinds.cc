#include "workloads/model/attention_kinds.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "workloads/model/attention/rows.h"

namespace flopcast {

LayerWork::LayerWork(const ModelConfig& of) : model(of), attention(&attention_kind(of.attention.type)) {}

AttentionWidths::AttentionWidths(const LayerWork& work) {
  const AttentionConfig& a = work.model.attention;
  const bool latent = work.attention->from_latent;
  const int tensor = work.tensor;
  hidden = work.model.hidden;
  heads = std::ceil(static_cast<double>(a.heads) / tensor);
  kv_heads = latent ? heads : std::max(1.0, std::ceil(static_cast<double>(a.kv_heads) / tensor));
  qk = a.qk_dim();
  v = a.value_dim();
  rope = latent ? a.qk_rope_dim : a.head_dim;
  query = heads * qk;
  key = kv_heads * qk;
  value = kv_heads * v;
  q_rank = a.q_lora_rank;
  kv_rank = a.kv_lora_rank;
}

// The table of kinds of attention. A new kind is a file in attention/ and a line here.
std::span<const AttentionKindRow> attention_kinds() {
  static const std::array table{rows::multi_head(), rows::grouped_query(), rows::latent()};
  return table;
}

const AttentionKindRow& attention_kind(AttentionType type) {
  const auto table = attention_kinds();
  const auto row = std::ranges::find(table, type, &AttentionKindRow::type);
  assert(row != table.end());
  return *row;
}

}  // namespace flopcast
