#include "workloads/serving/pricing/layer_sums.h"

#include <algorithm>
#include <array>

#include "workloads/serving/pricing/grids.h"

namespace flopcast {
namespace {

double micro_batches(Split split) { return split == Split::two ? 2 : 1; }

}  // namespace

double with_exchange(const MoeBlocks& b, bool two_micro_batches, StepKind kind) {
  if (!two_micro_batches) return b.attention + b.experts + b.dispatch + b.combine;
  if (kind == StepKind::decode) return std::max(b.attention + b.experts, b.dispatch + b.combine);
  const auto beside = [](double x, double y) { return std::max(x, y) / 2; };
  return beside(b.attention, b.dispatch) + beside(b.attention, b.combine) + beside(b.experts, b.dispatch) +
         beside(b.experts, b.combine);
}

MoeBlocks between(const MoeBlocks& low, const MoeBlocks& high, double way) {
  const auto at = [way](double here, double there) { return here * (1 - way) + there * way; };
  return {at(low.attention, high.attention), at(low.experts, high.experts), at(low.dispatch, high.dispatch),
          at(low.combine, high.combine)};
}

std::span<const Split> LayerSums::splits() const {
  static constexpr std::array kSplits = {Split::one, Split::two};
  return std::span(kSplits).first(model_->setting().engine.two_micro_batches ? 2 : 1);
}

LayerSums::Layers LayerSums::price(double tokens, StepKind kind, Split split) const {
  const double batches = micro_batches(split);
  Layers sum;
  for (const bool moe : {false, true}) {
    const int layers = moe ? model_->moe_layers() : model_->dense_layers();
    if (layers == 0) continue;
    const LayerTime layer = model_->layer(tokens, moe, kind, split == Split::two);
    PassTime attention = layer.projections;
    attention += layer.shared_experts;
    attention += layer.all_reduces;
    PassTime own = attention;
    own += layer.dispatch;
    own += layer.combine;
    GpuPass all = pass_of(own) * (batches * layers), ffn = pass_of(layer.ffn) * (batches * layers);
    if (moe) {
      sum.blocks = {batches * in_microseconds(attention.time), batches * in_microseconds(layer.ffn.time),
                    batches * in_microseconds(layer.dispatch.time), batches * in_microseconds(layer.combine.time)};
      all.gpu_us = ffn.gpu_us = 0;
    }
    sum.own += all;
    (moe ? sum.experts : sum.own) += ffn;
  }
  return sum;
}

const LayerSums::Layers& LayerSums::at(std::size_t node, StepKind kind, Split split) {
  auto& known = known_[static_cast<std::size_t>(kind)][split];
  if (node >= known.size()) known.resize(node + 1);
  if (!known[node]) known[node] = std::make_unique<const Layers>(price(CountGrid::value(node), kind, split));
  return *known[node];
}

LayerSums::LayersBetween LayerSums::around(double tokens, StepKind kind, Split split) {
  const auto [node, way] = CountGrid::below(tokens / micro_batches(split));
  const Layers& low = at(node, kind, split);
  return {&low, way > 0 ? &at(node + 1, kind, split) : &low, way};
}

/// Not interpolated: kernels come whole.
void LayerSums::count_kernels(GpuPass& pass, const Layers& layers, double cores, Split split) const {
  const double all = micro_batches(split) * model_->setting().engine.model.layers;
  pass.kernels = layers.own.kernels + layers.experts.kernels + all * cores;
  pass.pieces = all * (1 + cores);  // a graph behind each core
}

/// With two micro-batches the last combine of the pass has nothing to hide behind.
GpuPass LayerSums::pass(double tokens, double mean_tokens, StepKind kind, const GpuPass& attention, Split split) {
  const LayersBetween own = around(tokens, kind, split);
  const LayersBetween mean = mean_tokens == tokens ? own : around(mean_tokens, kind, split);
  const int dense = model_->dense_layers(), moe = model_->moe_layers();
  MoeBlocks blocks = own.of(&Layers::blocks);
  blocks.attention += attention.gpu_us;
  blocks.experts = mean.of(&Layers::blocks).experts;
  GpuPass cores = attention * (dense + moe);
  cores.gpu_us = attention.gpu_us * dense;
  GpuPass pass = own.of(&Layers::own);
  pass += mean.of(&Layers::experts);
  pass += cores;
  pass.gpu_us +=
      moe * with_exchange(blocks, split == Split::two, kind) + (split == Split::two ? blocks.combine / 2 : 0);
  count_kernels(pass, *own.low, attention.kernels, split);
  return pass;
}

GpuPass LayerSums::launched(double tokens, StepKind kind, double cores) {
  GpuPass pass;
  count_kernels(pass, *around(tokens, kind, Split::one).low, cores, Split::one);
  return pass;
}

}  // namespace flopcast
