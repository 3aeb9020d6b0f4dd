// Kernels between products that only read and write, as the software runs them.
#pragma once
#include "workloads/model/kernel_writer.h"

namespace flopcast {

/// Positions. As PyTorch's chain of kernels where the software is eager, else fused.
void rotary(KernelWriter& list, std::string_view role, double elements, double fused_bytes);

/// Gradients of one input that `products` have made, summed up.
void sum_of_gradients(KernelWriter& list, double elements, int products);

}  // namespace flopcast
