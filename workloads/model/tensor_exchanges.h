// What GPUs that share matrices, or experts, send each other within a layer.
#pragma once
#include "workloads/model/kernel_writer.h"

namespace flopcast {

// Gathers before a GEMM and scatters after it, among the GPUs that share matrices; `gemm` is its place in the list.
void tensor_gather(KernelWriter& list, int gemm, int products = 1);
void tensor_scatter(KernelWriter& list, int gemm);
/// An input that was cut up is gathered once more for the gradient of the weights, beside that of itself.
void tensor_gather_again(KernelWriter& list, int dgrad);
/// The gradient of an input that `products` share, beside that of their weights; `fused`: with what makes it.
void tensor_scatter_gradient(KernelWriter& list, int fused, int wgrad, int products = 1);
void tensor_gather_beside(KernelWriter& list, int gemm);
void tensor_scatter_beside(KernelWriter& list, int gemm);
void tensor_all_reduce(KernelWriter& list);  ///< where the group puts its parts together in that way instead
/// Rows that the GPUs of an expert pass round so that each has them all, and sum up afterwards.
void expert_exchange(KernelWriter& list, LayerExchange::Kind kind);

}  // namespace flopcast
