#include "workloads/software/software.h"

#include <fmt/format.h>

namespace flopcast {

std::string to_text(const SoftwareProfile& software) {
  std::string text = fmt::format("a logit takes {:g} bytes at the peak of the loss ({:g} fused)", software.loss_bytes,
                                 software.fused_loss_bytes);
  if (software.workspace > Bytes(0)) {
    text += fmt::format(", scratch {:.2f} GB", software.workspace.value() / 1e9);
    if (software.expert_workspace > Bytes(0))
      text += fmt::format(" ({:.2f} with experts)", (software.workspace + software.expert_workspace).value() / 1e9);
  }
  if (!software.fused_activation) text += ", activation and product in kernels of their own";
  if (software.eager) text += ", norms, positions and activations as chains of eager kernels";
  if (software.attention_rate > FlopPerSecond(0))
    text += fmt::format(", attention at {:.0f} TFLOPS at most", software.attention_rate.value() / 1e12);
  if (software.expert_cast_bytes > 0)
    text += fmt::format(", FP8 weights of experts cast for every micro-batch ({:g} bytes each)",
                        software.expert_cast_bytes);
  if (software.expert_tensor_follows_tensor) text += ", experts sliced like dense matrices";
  if (!software.overlaps_exchange) text += ", gradients and parameters not beside compute";
  if (software.dispatcher == ExpertDispatcher::all_to_all) text += ", tokens to experts by NCCL all-to-all";
  return text;
}

}  // namespace flopcast
