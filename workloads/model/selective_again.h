// Selective activation checkpointing by operation, as PyTorch's users set it (torchtitan parallelize_llama.py @
// 004b314, 2024-12): a backward pass does a layer again but for attention's core, every second matrix product and the
// reduce-scatter of tensor parallelism, whose results are kept.
#pragma once
#include "workloads/model/layer_kernels.h"

namespace flopcast {

/// Those kernels of a forward pass over attention block and gate that are done again. Products are numbered as the
/// model computes them (queries, keys, values, output; gate, up, down): those of even number are.
void add_attention_again(LayerKernels& out, const LayerWork& work);
/// Of the feed-forward block. Products of routed experts are not among those that are kept.
void add_ffn_again(LayerKernels& out, const LayerWork& work, FfnPart part);

/// Bytes of a layer's own matrices and residuals that stay until its backward pass, per token; `sliced` are those that
/// the GPUs of a tensor-parallel group share.
struct SelectivelyKept {
  double own = 0, sliced = 0;
};
SelectivelyKept selectively_kept(const ModelConfig& model, bool moe);

}  // namespace flopcast
