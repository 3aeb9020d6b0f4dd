#include "workloads/model/tensor_exchanges.h"

namespace flopcast {
namespace {

/// Bytes per element of an operand that is gathered.
double gathered_bytes(const KernelWriter& list) {
  // Operands travel quantised, unless their scales are made of whole rows.
  if (list.work().precision.linear == Precision::fp4) return bytes_per_weight(WeightFormat::nvfp4);
  return list.work().precision.fp8() && !list.work().precision.fp8_rows() ? 1 : 2;
}

void tensor_exchange(KernelWriter& list, LayerExchange::Kind kind, double bytes_per_element, int gemm, int times = 1) {
  const double elements = list.work().tensor > 1 ? list.work().tokens * list.work().model.hidden : 0;
  // PyTorch's functional collectives gather and scatter the outermost dimension, which a sequence is not.
  if (list.work().habits.gathers_context)
    list.memory("copy of shared activations", MemoryKernel::copy, elements * bytes_per_element * 2 * times, times);
  const bool beside = gemm != KernelWriter::kNothing;
  list.exchange(kind, elements * bytes_per_element, times, beside ? gemm : 0, beside ? gemm + 1 : 0);
}

/// Whether norms and residuals are on all tokens: what a product takes in is there already, and what it gives is summed
/// up everywhere.
bool whole_sequence(const LayerWork& work) { return work.own_tokens == work.tokens; }

}  // namespace

void tensor_gather(KernelWriter& list, int gemm, int products) {
  const LayerWork& work = list.work();
  if (work.habits.tensor_exchange != TensorExchange::gather_and_scatter) return;
  const bool each = work.habits.scatters_per_product && work.habits.eager_elementwise && !whole_sequence(work);
  tensor_exchange(list, LayerExchange::Kind::tensor_gather, gathered_bytes(list),
                  list.work().habits.tensor_overlap ? gemm : KernelWriter::kNothing, each ? products : 1);
}

void tensor_scatter(KernelWriter& list, int gemm) {
  if (list.work().habits.tensor_exchange == TensorExchange::gather_and_scatter)
    tensor_scatter_beside(list, list.work().habits.tensor_overlap ? gemm : KernelWriter::kNothing);
}

void tensor_all_reduce(KernelWriter& list) {
  if (list.work().habits.tensor_exchange == TensorExchange::all_reduce)
    tensor_exchange(list, LayerExchange::Kind::tensor_all_reduce, 2, KernelWriter::kNothing);
}

void tensor_gather_again(KernelWriter& list, int dgrad) {
  if (!list.work().habits.distributed_tensors) tensor_gather_beside(list, dgrad);
}

void tensor_scatter_gradient(KernelWriter& list, int fused, int wgrad, int products) {
  const KernelHabits& habits = list.work().habits;
  const int beside = !habits.distributed_tensors ? wgrad : habits.tensor_overlap ? fused : KernelWriter::kNothing;
  const int times = habits.scatters_per_product ? products : 1;
  tensor_exchange(list, LayerExchange::Kind::tensor_scatter, 2, beside, times);
  // An all-reduce for each product: its second half, of which the gather of what comes back stands for one.
  if (whole_sequence(list.work()) && times > 1)
    tensor_exchange(list, LayerExchange::Kind::tensor_gather, 2, KernelWriter::kNothing, times - 1);
}

void tensor_gather_beside(KernelWriter& list, int gemm) {
  tensor_exchange(list, LayerExchange::Kind::tensor_gather, gathered_bytes(list), gemm);
}

void tensor_scatter_beside(KernelWriter& list, int gemm) {
  tensor_exchange(list, LayerExchange::Kind::tensor_scatter, 2, gemm);
}

void expert_exchange(KernelWriter& list, LayerExchange::Kind kind) {
  const ExpertShare& experts = list.work().experts;
  const double rows = experts.rows * list.work().model.hidden * 2;
  if (!experts.same_tokens || experts.degree > list.work().tensor) {
    if (experts.degree > 1) list.exchange(kind, rows);
    return;
  }
  if (kind == LayerExchange::Kind::expert_gather) return;
  if (experts.degree > 1) list.exchange(LayerExchange::Kind::expert_all_reduce, rows);
  if (experts.degree < list.work().tensor)
    list.exchange(LayerExchange::Kind::tensor_gather, list.work().tokens * list.work().model.hidden * 2);
}

}  // namespace flopcast
