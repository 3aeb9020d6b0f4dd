#include "workloads/model/attention_kinds.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "workloads/model/attention/rows.h"

namespace flopcast {

LayerWork::LayerWork(const ModelConfig& of) : model(of), attention(&attention_kind(of.attention)) {}

AttentionWidths::AttentionWidths(const LayerWork& work) {
  const AttentionConfig& a = work.model.attention;
  const bool latent = a.from_latent();
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
  projected = heads * v;
  if (!latent) mix(work);
}

/// Layers of other kinds multiply other widths: their mean is what a layer multiplies on average. The core keeps the
/// heads of the layers that attend to everything.
void AttentionWidths::mix(const LayerWork& work) {
  const AttentionConfig& a = work.model.attention;
  const StateLayersConfig& states = work.model.state_layers;
  const double tensor = work.tensor, layers = work.model.layers;
  if (a.output_gate) query += heads * v;
  if (a.values_are_keys) value = 0;
  const double with_window = work.model.windowed_layers(), with_state = states.layers;
  if (with_window == 0 && with_state == 0) return;
  const AttentionConfig w = a.windowed();
  const double window_heads = std::ceil(w.heads / tensor);
  const double window_kv_heads = std::max(1.0, std::ceil(w.kv_heads / tensor));
  const auto mean = [&](double all, double window, double state) {
    return (all * (layers - with_window - with_state) + window * with_window + state * with_state) / layers;
  };
  const double gate = a.output_gate ? window_heads * w.value_dim() : 0;
  query = mean(query, window_heads * w.qk_dim() + gate, states.in_width / tensor);
  key = mean(key, window_kv_heads * w.qk_dim(), 0);
  value = mean(value, a.values_are_keys ? 0 : window_kv_heads * w.value_dim(), 0);
  projected = mean(projected, window_heads * w.value_dim(), states.out_width / tensor);
}

// The table of kinds of attention. A new kind is a file in attention/ and a line here.
std::span<const AttentionKindRow> attention_kinds() {
  static const std::array table{rows::multi_head(), rows::grouped_query(), rows::latent()};
  return table;
}

const AttentionKindRow* find_attention_kind(std::string_view name) {
  const auto table = attention_kinds();
  const auto row = std::ranges::find(table, name, &AttentionKindRow::name);
  return row == table.end() ? nullptr : &*row;
}

std::vector<std::string_view> unread_fields(const AttentionKindRow& kind) {
  std::vector<std::string_view> out;
  const auto among = [](std::string_view field, const std::vector<std::string_view>& list) {
    return std::ranges::find(list, field) != list.end();
  };
  const auto other = [&](std::string_view field) {
    if (!among(field, kind.needs) && !among(field, kind.reads) && !among(field, out)) out.push_back(field);
  };
  for (const AttentionKindRow& row : attention_kinds()) {
    std::ranges::for_each(row.needs, other);
    std::ranges::for_each(row.reads, other);
  }
  return out;
}

const AttentionKindRow& attention_kind(const AttentionConfig& a) {
  const AttentionKindRow* row = find_attention_kind(a.type);
  assert(row != nullptr);
  return *row;
}

}  // namespace flopcast
