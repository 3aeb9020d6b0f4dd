// Kernels between products that only read and write, as the software runs them.
#pragma once
#include "workloads/model/kernel_writer.h"

namespace flopcast {

/// Positions. As PyTorch's chain of kernels where the software is eager, else fused.
void rotary(KernelWriter& list, std::string_view role, double elements, double fused_bytes, bool forward);

/// Whether halves of what one product made are taken apart by kernels for operands that do not lie in a row.
bool halves_are_strided(const LayerWork& work);

/// A residual that no norm adds, by a kernel of its own: where layers are eager or compiled.
void residual(KernelWriter& list, double elements);

/// Gradients of one input that `products` have made, summed up.
void sum_of_gradients(KernelWriter& list, double elements, int products);

}  // namespace flopcast
