#include "workloads/model/elementwise_kernels.h"

namespace flopcast {

/// As Inductor writes it: both parts of the sum before the norm and what the layer gives in, one out.
constexpr double kCompiledResidual = 8;

bool halves_are_strided(const LayerWork& work) {
  return work.habits.eager_elementwise && !work.habits.separate_projections;
}

void residual(KernelWriter& list, double elements) {
  const KernelHabits& habits = list.work().habits;
  if (habits.eager_elementwise) return list.memory("residual", MemoryKernel::elementwise, elements * kEagerResidual);
  if (habits.compiled_layers) list.memory("residual", MemoryKernel::elementwise, elements * kCompiledResidual);
}

/// Bytes per element of rotary positions as complex numbers: to FP32 6, product 8, to BF16 6.
constexpr double kEagerRotary = 20;

void rotary(KernelWriter& list, std::string_view role, double elements, double fused_bytes, bool forward) {
  const LayerWork& work = list.work();
  if (halves_are_strided(work) && !work.habits.complex_positions) {
    // Rotated halves of heads that do not lie in a row: half of them negated, two products, their sum, of queries and
    // of keys; between them both halves put together.
    list.memory(role, MemoryKernel::strided, elements * 4 * kStridedBytes, 8);
    return list.memory("rotated halves", MemoryKernel::elementwise, elements * 4, 2);
  }
  if (work.habits.eager_elementwise || work.habits.complex_positions)
    return list.memory(role, MemoryKernel::elementwise, elements * kEagerRotary, 6);
  list.memory(role, MemoryKernel::rotary, fused_bytes,
              compiled_serving(work) || (work.habits.compiled_layers && forward) ? 2 : 1);
}

void sum_of_gradients(KernelWriter& list, double elements, int products) {
  const bool eager = list.work().habits.eager_elementwise;  // two by two
  list.memory("sum of input gradients", MemoryKernel::elementwise,
              elements * 2 * (eager ? 3 * (products - 1) : products + 1), eager ? products - 1 : 1);
}

}  // namespace flopcast
