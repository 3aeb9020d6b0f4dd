#include "workloads/software/software.h"

#include <fmt/format.h>

namespace flopcast {

std::string to_text(const SoftwareProfile& software) {
  std::string text = fmt::format("a logit takes {:g} bytes at the peak of the loss ({:g} fused)", software.loss_bytes,
                                 software.fused_loss_bytes);
  if (software.sharded_loss_bytes > 0)
    text += fmt::format(", {:g} of those that a tensor-parallel group shares", software.sharded_loss_bytes);
  if (software.workspace > Bytes(0)) {
    text += fmt::format(", scratch {:.2f} GB", software.workspace.value() / 1e9);
    if (software.expert_workspace > Bytes(0))
      text += fmt::format(" ({:.2f} with experts)", (software.workspace + software.expert_workspace).value() / 1e9);
  }
  if (!software.fused_activation) text += ", activation and product in kernels of their own";
  if (software.joint_values) text += ", queries and keys kept beside values, which are a view of one product";
  if (software.joint_queries) text += ", queries a view of one product with keys and values, which are copied";
  if (software.copied_attention) text += ", what attention gives kept in both orders";
  if (software.keeps_sent) text += ", what a stage has sent on kept";
  if (software.frees_gradients) text += ", gradients freed by the optimiser";
  if (software.shards_are_master) text += ", sharded weights are the master weights";
  if (software.keeps_stages_gathered) text += ", sharded weights of a pipeline's stages gathered for a whole step";
  if (software.gathers_edges) text += ", embedding and head gathered for a whole step";
  if (software.whole_embedding) text += ", all of the embedding on each GPU";
  if (software.whole_logits) text += ", all logits on each GPU of a tensor-parallel group";
  if (software.bf16_states) text += ", master weights and moments in BF16";
  if (software.eager) text += ", norms, positions and activations as chains of eager kernels";
  if (software.attention_rate > FlopPerSecond(0))
    text += fmt::format(", attention at {:.0f} TFLOPS at most", software.attention_rate.value() / 1e12);
  if (software.attention_rate_a100 > FlopPerSecond(0))
    text += fmt::format(" ({:.0f} on an A100)", software.attention_rate_a100.value() / 1e12);
  if (software.expert_cast_bytes > 0)
    text += fmt::format(", FP8 weights of experts cast for every micro-batch ({:g} bytes each)",
                        software.expert_cast_bytes);
  if (software.host_module > Seconds(0))
    text += fmt::format(", {:g} us of the host per call of a layer ({:g} more in FP8), {:g} ms per routing",
                        software.host_module.value() * 1e6, software.host_module_fp8.value() * 1e6,
                        software.host_experts.value() * 1e3);
  if (software.host_adapter > Seconds(0))
    text += fmt::format(", {:g} us per product of an adapter", software.host_adapter.value() * 1e6);
  if (software.host_layer > Seconds(0) || software.host_exchange > Seconds(0))
    text += fmt::format(", {:g} us of the host more per layer and {:g} per exchange within it",
                        software.host_layer.value() * 1e6, software.host_exchange.value() * 1e6);
  if (software.host_dispatch > Seconds(0))
    text += fmt::format(", {:g} us per operation on distributed tensors", software.host_dispatch.value() * 1e6);
  if (software.host_sizes > Seconds(0))
    text += fmt::format(", {:g} us until the host has read how many rows go to which expert",
                        software.host_sizes.value() * 1e6);
  if (software.accumulation_bytes > 0)
    text += fmt::format(", gradients of a micro-batch added up by kernels of their own ({:g} bytes a parameter)",
                        software.accumulation_bytes);
  if (software.blocking_messages) {
    text += ", ranks of a pipeline stop for its messages";
    if (software.host_message > Seconds(0))
      text += fmt::format(" (host {:g} us each)", software.host_message.value() * 1e6);
  }
  if (software.scatters_messages)
    text += ", a part of each message of a pipeline sent by each GPU that shares matrices";
  if (!software.schedules.empty()) text += fmt::format(", pipelines by {}", fmt::join(software.schedules, ", "));
  if (!software.lacks.empty()) text += fmt::format(", no {} parallelism", fmt::join(software.lacks, ", "));
  if (software.expert_tensor_follows_tensor) text += ", experts sliced like dense matrices";
  if (software.flash2) text += ", attention by FlashAttention-2";
  if (software.unfused_attention) text += ", attention unfused";
  if (software.repeats_keys) text += ", keys and values repeated for every head of queries";
  if (software.gathers_context) text += ", parts of sequences exchanged as PyTorch does it";
  if (software.flex_windows) text += ", attention with windows by FlexAttention";
  if (software.complex_positions) text += ", rotary positions as complex products";
  if (software.shard_copies) text += ", parameters and gradients of shards copied beside their exchange";
  if (software.foreach_optimizer) text += ", the optimiser as a chain of kernels";
  if (software.separate_projections) text += ", queries, keys, values, gate and up by products of their own";
  if (software.distributed_tensors) text += ", gathered inputs kept, with nothing beside their exchange";
  if (software.scatters_per_product) text += ", gradients of shared inputs scattered product by product";
  if (software.reduces_last) text += ", sharded gradients reduced with the last micro-batch";
  if (software.libraries == "cudnn") text += ", attention by cuDNN";
  if (software.libraries == "2024") text += ", matrix products by libraries of 2024";
  if (software.compiled_layers) text += ", layers compiled by PyTorch";
  if (software.torch_edges) text += ", loss and embedding by PyTorch's kernels";
  if (software.fused_norms) text += ", norms as single kernels";
  if (software.expert_bias_kernels > 0)
    text += fmt::format(", biases of {} of experts by kernels of their own",
                        software.expert_bias_kernels > 1 ? "products" : "second products");
  if (software.indexed_once) text += ", rows of experts gathered and added up once by index_select and index_add_";
  if (software.indexed_rows) text += ", rows of experts gathered and added up by PyTorch's kernels for indices";
  if (software.fuses_expert_activation) text += ", activations of experts within their products in MXFP8";
  if (software.bf16_loss) text += ", the loss of logits in BF16";
  if (software.stops_early)
    text += fmt::format(", layers done again without their last product{} and what comes behind it",
                        software.experts_keep_late ? " (unless of experts)" : "");
  if (software.splits_sequence == "never") text += ", no sequence parallelism unless asked for";
  if (software.splits_sequence == "dense_alone") text += ", no sequence parallelism beside pipelines or experts";
  if (!software.overlaps_tensor) text += ", tensor parallelism's exchange not beside GEMMs";
  if (software.autograd) text += ", weight gradients not beside the exchange of a lone backward";
  if (software.splits_layers == "filled") text += ", stages filled with layers one after the other";
  if (software.splits_layers.starts_with("even"))
    text += fmt::format(", layers spread evenly over stages{}",
                        software.splits_layers == "even_with_both" ? ", embedding and head as one each" : "");
  if (software.gradients != Precision::fp32) text += ", gradients reduced in BF16";
  if (!software.overlaps_exchange) text += ", gradients and parameters not beside compute";
  if (software.dispatcher == ExpertDispatcher::all_to_all) text += ", tokens to experts by NCCL all-to-all";
  if (software.dispatcher == ExpertDispatcher::hybrid_ep) text += ", tokens to experts by Hybrid-EP";
  return text;
}

}  // namespace flopcast
