#include "workloads/model/elementwise_kernels.h"

namespace flopcast {

/// Bytes per element of rotary positions as complex numbers: to FP32 6, product 8, to BF16 6.
constexpr double kEagerRotary = 20;

void rotary(KernelWriter& list, std::string_view role, double elements, double fused_bytes) {
  if (list.work().habits.eager_elementwise || list.work().habits.complex_positions)
    return list.memory(role, MemoryKernel::elementwise, elements * kEagerRotary, 6);
  list.memory(role, MemoryKernel::rotary, fused_bytes, compiled_serving(list.work()) ? 2 : 1);
}

void sum_of_gradients(KernelWriter& list, double elements, int products) {
  const bool eager = list.work().habits.eager_elementwise;  // two by two
  list.memory("sum of input gradients", MemoryKernel::elementwise,
              elements * 2 * (eager ? 3 * (products - 1) : products + 1), eager ? products - 1 : 1);
}

}  // namespace flopcast
