#include "workloads/model/selective_again.h"

#include <cmath>

#include "workloads/model/attention_kinds.h"

namespace flopcast {
namespace {

/// What of a kernel's width is done again, where several products of the model are one kernel here: 0 to 1.
double width_again(const LayerKernel& kernel, const AttentionWidths& w, int& products) {
  const auto next = [&products] { return ++products % 2 == 0; };
  if (kernel.role == "qkv_proj") {
    double again = 0;
    for (const double width : {w.query, w.key, w.value}) again += next() ? width : 0;
    return again / (w.query + w.key + w.value);
  }
  if (kernel.role == "gate_up") {
    const int first = next() ? 1 : 0;
    return (first + (next() ? 1 : 0)) / 2.0;
  }
  return next() ? 1.0 : 0.0;
}

/// @param products numbers of the products before these
void add_again(LayerKernels& out, const LayerKernels& forward, const LayerWork& work, int products) {
  const AttentionWidths w(work);
  int first_gemm = -1;
  for (LayerKernel kernel : forward.kernels) {
    kernel.pass = KernelPass::input_gradient;
    kernel.again = true;
    if (auto* gemm = std::get_if<GemmShape>(&kernel.shape);
        gemm != nullptr && kernel.part != LayerPart::routed_experts) {
      const double share = width_again(kernel, w, products);
      if (share == 0) continue;
      gemm->n = std::max<std::int64_t>(1, std::llround(static_cast<double>(gemm->n) * share));
    }
    out.kernels.push_back(kernel);
    if (first_gemm < 0 && std::holds_alternative<GemmShape>(kernel.shape))
      first_gemm = static_cast<int>(out.kernels.size()) - 1;
  }
  // What was scattered is kept, what was gathered is not.
  for (LayerExchange exchange : forward.exchanges) {
    if (!work.habits.distributed_tensors || exchange.kind != LayerExchange::Kind::tensor_gather) continue;
    const bool beside = exchange.last_beside > exchange.first_beside && first_gemm >= 0;
    exchange.first_beside = beside ? first_gemm : 0;
    exchange.last_beside = beside ? first_gemm + 1 : 0;
    out.exchanges.push_back(exchange);
  }
}

/// Of an attention block with separate queries, keys and values.
constexpr int kAttentionProducts = 4;

}  // namespace

void add_attention_again(LayerKernels& out, const LayerWork& work) {
  LayerKernels forward;
  add_attention_block(forward, work, KernelPass::forward, AttentionCore::left_out);
  add_ffn_input(forward, work, KernelPass::forward);
  add_again(out, forward, work, 0);
}

void add_ffn_again(LayerKernels& out, const LayerWork& work, FfnPart part) {
  LayerKernels forward;
  add_ffn_block(forward, work, KernelPass::forward, part);
  // A gate's product stands between the two blocks.
  add_again(out, forward, work, kAttentionProducts + (work.moe ? 1 : 0));
}

SelectivelyKept selectively_kept(const ModelConfig& model, bool moe) {
  const AttentionConfig& a = model.attention;
  constexpr double kElement = 2;  // BF16
  SelectivelyKept kept;
  // A layer's input, and the result of the last product before each sum of residuals where its number is odd: "down".
  kept.own = (1 + (moe ? 0 : 1)) * kElement * model.hidden;
  // Results of queries and values (or, latent, of the first and third projection), of the core and of the gate half.
  const double core = static_cast<double>(a.heads) * a.value_dim();
  const double queries = static_cast<double>(a.heads) * a.qk_dim();
  kept.sliced = kElement * (queries + static_cast<double>(a.kv_heads) * a.value_dim() + core) + 4.0 * a.heads;
  const double width = moe ? model.moe.width_of_shared() : model.mean_ffn_width();
  kept.sliced += kElement * width;
  return kept;
}

}  // namespace flopcast
