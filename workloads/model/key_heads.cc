#include "workloads/model/key_heads.h"

namespace flopcast {

bool splits_key_heads(const ModelConfig& model, int tensor) {
  if (model.attention.from_latent() || model.attention.kv_heads == model.attention.heads) return true;
  const auto splits = [&](int keys) { return keys < 1 || keys % tensor == 0 || tensor % keys == 0; };
  return splits(model.attention.kv_heads) &&
         (model.attention.window.layers == 0 || splits(model.attention.window.kv_heads));
}

}  // namespace flopcast
