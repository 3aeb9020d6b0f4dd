// Dense FFNs, shared and routed experts, and what brings rows to experts.
#include <algorithm>
#include <cmath>

#include "workloads/model/elementwise_kernels.h"
#include "workloads/model/kernel_writer.h"
#include "workloads/model/tensor_exchanges.h"

namespace flopcast {
namespace {

/// A feed-forward network of `width` on this GPU over `rows` tokens. experts > 0: that many experts, rows in all.
struct Ffn {
  LayerPart part;
  double rows, width, in;  ///< in: width of the first matrix's output, gate and up side by side where gated
  double between;          ///< rows that kernels between the products pass over
  double stream;           ///< width of its rows
  int experts;

  Ffn(const LayerWork& work, LayerPart where, double tokens, double whole, double degree, int number)
      : part(where),
        rows(tokens),
        width(std::ceil(whole / degree)),
        in(work.model.gated_ffn ? 2 * width : width),
        between(tokens),
        stream(number > 0 && work.model.moe.latent_width > 0 ? work.model.moe.latent_width : work.model.hidden),
        experts(number) {}
};

Ffn dense(const LayerWork& work) {
  return {work, LayerPart::dense_ffn, work.tokens, work.model.mean_ffn_width(), static_cast<double>(work.tensor), 0};
}

Ffn shared(const LayerWork& work) {
  const double width = work.model.moe.width_of_shared();
  return {work, LayerPart::shared_experts, work.experts.shared_tokens, width, work.experts.shared_degree, 0};
}

Ffn routed(const LayerWork& work) {
  const ExpertShare& share = work.experts;
  Ffn ffn(work, LayerPart::routed_experts, share.multiplied_rows > 0 ? share.multiplied_rows : share.rows,
          static_cast<double>(work.model.moe.expert_width), share.degree, share.experts);
  ffn.between = share.buffer_rows > 0 ? share.buffer_rows : share.rows;
  return ffn;
}

int gemm(KernelWriter& list, const Ffn& ffn, std::string_view role, double n, double k) {
  return ffn.experts > 0 ? list.grouped(role, ffn.rows, n, k, ffn.experts) : list.linear(role, ffn.rows, n, k);
}

bool separate(const KernelWriter& list, const Ffn& ffn) {
  return list.work().habits.separate_projections && list.work().model.gated_ffn && ffn.experts == 0;
}

/// One product of gate and up, or one of each. @return what the first call of `add` returned
template <class Add>
int gate_and_up(KernelWriter& list, const Ffn& ffn, Add add) {
  if (!separate(list, ffn)) return add("gate_up", ffn.in);
  const int first = add("gate", ffn.width);
  add("up", ffn.width);
  return first;
}

/// Bytes of an element of a row that is on its way to or from experts.
double row_element(const LayerWork& work) {
  const bool scales = work.precision.fp8() && work.habits.counts_row_scales;
  return bytes_per_element(work.precision.linear) + (scales ? kScaleBytesPerElement : 0);
}

/// Bytes per element of what the activation writes: BF16, or the operand of the next GEMM.
double activation_element(const LayerWork& work, const Ffn& ffn) {
  const KernelPrecision& p = work.precision;
  if (ffn.experts > 0) {
    const bool fixed = p.fp8() && work.habits.tensor_scales == TensorScales::fixed;
    return p.fp8_blocks() || fixed ? row_element(work) : 2;
  }
  return p.fp8_blocks() && work.habits.activation_casts ? 1 + kScaleBytesPerElement : 2;
}

/// Biases that PyTorch's kernels add to the rows of each expert, which are put together again. Second product: times
/// the tokens' weights in FP32 (product 4, sum 2 + 4 + 4, together 8, to BF16 6; backward: to FP32 6, both products
/// with their sums 24, to BF16 6, together 4). First: sum 4, together 4; backward: sum of the rows 2, together 4.
void expert_biases(KernelWriter& list, const Ffn& ffn, bool forward) {
  const LayerWork& work = list.work();
  const int of = work.model.moe.bias && ffn.experts > 0 ? work.habits.expert_bias_kernels : 0;
  if (of > 1) {
    list.memory(forward ? "biases of first products" : "gradients of first biases", MemoryKernel::elementwise,
                ffn.rows * ffn.in * (forward ? 8 : 6), ffn.experts + 1);
  }
  if (of > 0) {
    list.memory(forward ? "biases of second products" : "gradients of second biases", MemoryKernel::elementwise,
                ffn.rows * ffn.stream * (forward ? 28 : 40), (forward ? 2 : 5) * ffn.experts + 2);
  }
}

/// What lies between the products of experts is done by them.
bool fuses_activation(const LayerWork& work, const Ffn& ffn) {
  return work.habits.fuses_expert_activation && ffn.experts > 0 && work.precision.fp8() &&
         work.precision.scaling == Scaling::mx;
}

void forward(KernelWriter& list, const Ffn& ffn) {
  const LayerWork& work = list.work();
  const double h = ffn.stream;
  list.enter(ffn.part);
  if (ffn.experts > 0 && work.habits.expert_gemms == ExpertGemms::fused)
    return list.fused_experts("experts", ffn.rows, ffn.width, h, ffn.experts, work.experts.passing_rows);
  const int first =
      gate_and_up(list, ffn, [&](std::string_view role, double width) { return gemm(list, ffn, role, width, h); });
  if (ffn.experts == 0) tensor_gather(list, first, separate(list, ffn) ? 2 : 1);
  expert_biases(list, ffn, true);
  const double written = activation_element(work, ffn);
  if (fuses_activation(work, ffn)) {
    // By the product of gate and up, which casts it too.
  } else if (halves_are_strided(work) && work.model.gated_ffn) {
    list.memory("activation", MemoryKernel::strided, ffn.between * ffn.width * 2 * kStridedBytes, 2);
  } else if (work.habits.eager_elementwise && work.model.gated_ffn) {  // SiLU 4, product 6
    list.memory("activation", MemoryKernel::elementwise, ffn.between * ffn.width * 10, 2);
  } else {
    list.memory("activation", MemoryKernel::swiglu, ffn.between * (ffn.in * 2 + ffn.width * written));
  }
  if (written == 2 && !fuses_activation(work, ffn)) list.quantize("cast activation", ffn.between * ffn.width);
  if (work.precision.activations == Precision::fp8) list.quantize("cast kept activation input", ffn.rows * ffn.in);
  // Rows that are weighted behind the experts (index_add_) are kept for the weights' gradients.
  const bool kept = ffn.experts > 0 && (work.habits.indexed_once || work.habits.experts_keep_late);
  if (work.last == LastProduct::left_out && !kept) return;
  const int second = gemm(list, ffn, "down", h, ffn.width);
  if (ffn.experts == 0) tensor_scatter(list, second);
}

void input_gradient(KernelWriter& list, const Ffn& ffn) {
  const LayerWork& work = list.work();
  const double h = ffn.stream;
  list.enter(ffn.part);
  if (work.again.mlp && ffn.experts == 0) {
    list.again(true);
    list.linear("gate_up", ffn.rows, ffn.in, h);
    list.memory("activation", MemoryKernel::swiglu, ffn.rows * (ffn.in * 2 + ffn.width * 2));
    list.again(false);
  }
  expert_biases(list, ffn, false);
  const int down = gemm(list, ffn, "down", ffn.width, h);
  if (ffn.experts == 0) tensor_gather(list, down);
  if (work.precision.activations == Precision::fp8 && work.precision.fp8()) {
    list.memory("cast back activation input", MemoryKernel::cast, ffn.rows * ffn.in * (1 + 2.0));
  }
  // dy and the kept input in, the input's gradient (and the output, when recomputed) out.
  const double again = work.again.activation_function ? ffn.width * 2 : 0;
  if (fuses_activation(work, ffn)) {
    // By the product that the gradient of the activation comes from.
  } else if (halves_are_strided(work) && work.model.gated_ffn) {
    // Of one half's gradient a product of tensors that lie in a row, of the other's a product and SiLU; both put
    // together.
    list.memory("activation backward", MemoryKernel::strided, ffn.rows * ffn.width * 2 * kStridedBytes, 2);
    list.memory("gradients of both halves", MemoryKernel::elementwise, ffn.rows * (ffn.width * 6 + ffn.in * 4 + again),
                2);
  } else if (work.habits.eager_elementwise && work.model.gated_ffn) {  // both factors 6 each, SiLU 6
    list.memory("activation backward", MemoryKernel::elementwise, ffn.rows * (ffn.width * 18 + again), 3);
  } else {  // Inductor makes the output again for the gradient of the weights behind it
    const double made_again = work.habits.compiled_layers ? ffn.width * 2 : again;
    list.memory("activation backward", MemoryKernel::swiglu_backward,
                ffn.rows * (ffn.width * 2 + ffn.in * 2 + ffn.in * 2 + made_again));
  }
  if (ffn.experts > 0 && !fuses_activation(work, ffn)) {
    list.memory("routing weight gradients", MemoryKernel::swiglu_backward, ffn.rows * ffn.width * 2 * 2);
  }
  if (!fuses_activation(work, ffn)) list.quantize("cast gate_up gradient", ffn.rows * ffn.in);
  list.quantize_transposed("transpose gradient", ffn.rows * h, std::max(1, ffn.experts));
  if (work.precision.fp8_rows())
    list.quantize_transposed("transpose FFN operands", ffn.rows * (h + ffn.in + ffn.width), std::max(1, ffn.experts));
  const int dgrad =
      gate_and_up(list, ffn, [&](std::string_view role, double width) { return gemm(list, ffn, role, h, width); });
  if (separate(list, ffn)) sum_of_gradients(list, ffn.rows * h, 2);
  if (ffn.experts == 0) {
    tensor_gather_again(list, dgrad);
    tensor_scatter_gradient(list, dgrad, list.weight_gradient_elsewhere("gate_up", ffn.in, h, ffn.rows),
                            separate(list, ffn) ? 2 : 1);
  }
}

void weight_gradient(KernelWriter& list, const Ffn& ffn) {
  const double h = ffn.stream;
  const int times = std::max(1, ffn.experts);
  list.enter(ffn.part);
  if (list.work().precision.fp8_blocks()) {
    // The FP8 input is dequantised, transposed and quantised again along the token axis.
    list.memory("transpose input", MemoryKernel::cast_transpose, ffn.rows * h * 2 * (1 + kScaleBytesPerElement),
                ffn.experts > 0 ? 2 : 1);
  }
  list.weight_gradient("down", h, ffn.width, ffn.rows / times, times);
  gate_and_up(list, ffn, [&](std::string_view role, double width) {
    list.weight_gradient(role, width, h, ffn.rows / times, times);
    return 0;
  });
}

void networks(KernelWriter& list, FfnPart part, void (*add)(KernelWriter&, const Ffn&)) {
  const LayerWork& work = list.work();
  if (!work.moe) {
    if (part != FfnPart::shared && work.model.mean_ffn_width() > 0) add(list, dense(work));
    return;
  }
  if (work.model.moe.width_of_shared() > 0 && part != FfnPart::routed) add(list, shared(work));
  if (part != FfnPart::shared) add(list, routed(work));
}

/// What PyTorch's stable sort of so many numbers takes, in launches of the smallest kernel: one warp's worth, one block
/// that goes over them four bits at a time, or eight passes over all SMs with what they need (one H100, 2026-11-26: 10,
/// 29 to 36, 65 to 77 us up to 131,072 numbers).
int launches_of_sort(double numbers) { return numbers <= 128 ? 7 : numbers <= 4096 ? 22 : 50; }

/// Calls that each expert's loop makes of its own; all of them together where products are grouped.
int times_of_experts(const LayerWork& work) {
  return work.habits.expert_gemms == ExpertGemms::one_by_one ? std::max(1, work.experts.experts) : 1;
}

/// Rows as PyTorch users move them (SoftwareProfile::indexed_once): picks sorted by expert, rows gathered by
/// index_select.
void gather_once(KernelWriter& list) {
  const LayerWork& work = list.work();
  const double rows = work.experts.rows, h = work.model.hidden;
  const double picks = work.own_tokens * work.model.moe.experts_per_token;
  list.memory("picks into order", MemoryKernel::gating, picks * 16, launches_of_sort(picks));
  // Copies of a token find it in the cache.
  list.memory("expand rows", MemoryKernel::permute, (std::min(work.own_tokens, rows) + rows) * h * 2,
              times_of_experts(work));
}

/// And back: times their weights in BF16, added up by index_add_ where nothing was before.
void sum_once(KernelWriter& list, std::string_view role) {
  const LayerWork& work = list.work();
  const int times = times_of_experts(work);
  const double elements = work.experts.rows * work.model.hidden;
  list.memory("weights into order", MemoryKernel::gating, work.experts.rows * 12, 2 * times);
  list.memory("rows times weights", MemoryKernel::strided, elements * kStridedBytes, times);
  list.memory("zeros", MemoryKernel::elementwise, work.own_tokens * work.model.hidden * 2);
  list.memory(role, MemoryKernel::index_add, elements * 2, times);
  if (work.model.moe.width_of_shared() > 0)
    list.memory("sum with shared experts", MemoryKernel::elementwise, work.own_tokens * work.model.hidden * 6);
}

void rows_to_experts(KernelWriter& list) {
  const LayerWork& work = list.work();
  const KernelHabits& habits = work.habits;
  const int latent = work.model.moe.latent_width;
  const double rows = work.experts.rows, h = latent > 0 ? latent : work.model.hidden;
  list.enter(LayerPart::rows);
  if (latent > 0) list.linear("to the width of experts and back", work.own_tokens, 2.0 * latent, work.model.hidden);
  if (habits.row_map_kernels > 0) {
    list.memory("count and map rows to experts", MemoryKernel::gating,
                work.own_tokens * work.model.moe.experts * 4 * 2 * 12, habits.row_map_kernels);
  }
  expert_exchange(list, LayerExchange::Kind::expert_gather);
  if (work.precision.fp8_tensor() && habits.expert_cast_bytes > 0) {
    const Ffn ffn = routed(work);
    list.memory("cast expert weights", MemoryKernel::cast_transpose,
                habits.expert_cast_bytes * ffn.experts * h * (ffn.in + ffn.width), 2 * std::max(1, ffn.experts));
  }
  if (habits.rows_come_sorted || habits.expert_gemms == ExpertGemms::fused) return;
  if (habits.indexed_once) return gather_once(list);
  list.memory("expand rows", MemoryKernel::permute, rows * h * 2 * row_element(work));
  if (habits.indexed_rows && work.experts.exchanged)
    list.memory("a row of zeros behind those received", MemoryKernel::copy, rows * h * 2 * row_element(work));
  if (habits.indexed_rows) list.memory("rows into order", MemoryKernel::permute, rows * h * 2 * row_element(work));
  if (work.precision.fp8_blocks() && habits.transposes_row_scales)
    list.memory("transpose scales", MemoryKernel::transpose, rows * h * row_element(work), 2);
}

// Rows times weights in FP32: to FP32 6, product 8, to BF16 6. Backward: the same, and the weights' gradients, a
// product 12 and its sum 4 more; fused, two rows in and one out.
constexpr double kWeighted = 20, kWeightedBackward = 36, kWeightedFused = 4, kWeightedFusedBackward = 6;

/// What PyTorch's kernels for indices do behind the experts: rows back into the order they came in, weighted, added up;
/// backward they are added up where they were put into order and where they were gathered.
void sum_indexed_rows(KernelWriter& list, std::string_view role, bool forward) {
  const LayerWork& work = list.work();
  const double elements = work.experts.rows * work.model.hidden;
  if (forward) {
    const bool eager = work.habits.eager_elementwise;
    list.memory("rows out of order", MemoryKernel::permute, elements * 4);
    list.memory("rows times weights", MemoryKernel::elementwise, elements * (eager ? kWeighted : kWeightedFused),
                eager ? 3 : 1);
  }
  const int times = forward ? 1 : 2;
  list.memory(role, MemoryKernel::scatter_add, elements * 2 * times, times);
}

void sum_rows(KernelWriter& list, std::string_view role, bool forward) {
  const LayerWork& work = list.work();
  list.enter(LayerPart::rows);
  expert_exchange(list, LayerExchange::Kind::expert_scatter);
  if (work.habits.indexed_once && forward) return sum_once(list, role);
  if (work.habits.indexed_once)
    return list.memory(role, MemoryKernel::index_add, work.experts.rows * work.model.hidden * 2,
                       times_of_experts(work));
  if (work.habits.indexed_rows) return sum_indexed_rows(list, role, forward);
  if (!work.habits.rows_come_sorted && work.habits.expert_gemms != ExpertGemms::fused)
    list.memory(role, MemoryKernel::reduce, (work.experts.rows + work.experts.sums) * work.model.hidden * 2);
}

void block_forward(KernelWriter& list, FfnPart part) {
  const LayerWork& work = list.work();
  const bool rows = work.moe && part != FfnPart::shared;
  if (rows) rows_to_experts(list);
  networks(list, part, forward);
  // What is left out has nothing behind it.
  if (part == FfnPart::shared || (work.last == LastProduct::left_out && !work.habits.indexed_once)) return;
  if (rows) sum_rows(list, "sum rows of a token", true);
  if (work.last == LastProduct::left_out) return;
  if (!(work.moe && work.experts.exchanged)) tensor_all_reduce(list);
  for (int i = 0; i < work.model.norms_behind_ffn(); ++i)
    list.norm("norm behind the FFN", work.own_tokens * work.model.hidden, false);
  residual(list, work.own_tokens * work.model.hidden);
  // Both parts of the sum before the norm, and what the FFN gives.
  if (compiled_serving(work)) {
    list.enter(LayerPart::dense_ffn);
    list.memory("residual", MemoryKernel::elementwise, work.own_tokens * work.model.hidden * 2 * 4);
  }
}

void block_input_gradient(KernelWriter& list, FfnPart part) {
  const LayerWork& work = list.work();
  const double h = work.model.hidden, own = work.own_tokens;
  if (part == FfnPart::shared) return networks(list, part, input_gradient);
  list.enter(LayerPart::ffn_input);
  for (int i = 0; i < work.model.norms_behind_ffn(); ++i) list.norm_backward("norm behind the FFN backward", own * h);
  list.again(true);
  if (work.again.norms) list.norm("MLP norm", own * h, true);
  list.again(false);
  if (work.moe) {
    list.enter(LayerPart::rows);
    expert_exchange(list, LayerExchange::Kind::expert_gather);
    list.memory("expand gradient rows", MemoryKernel::permute, work.experts.rows * h * 2 * row_element(work));
    if (work.habits.indexed_once) {
      // Gradients of rows and of their weights: two products, one of them summed up over a row.
      list.memory("rows times weights backward", MemoryKernel::strided, work.experts.rows * h * 2 * kStridedBytes,
                  2 * times_of_experts(work));
    } else if (work.habits.indexed_rows) {
      const bool eager = work.habits.eager_elementwise;
      list.memory("rows times weights backward", MemoryKernel::elementwise,
                  work.experts.rows * h * (eager ? kWeightedBackward : kWeightedFusedBackward), eager ? 5 : 1);
      if (work.experts.exchanged)  // zeros written, then the gradients behind the slice of what came back
        list.memory("gradients of what was sent back", MemoryKernel::copy, work.experts.rows * h * 6, 2);
      list.memory("gradient rows into order", MemoryKernel::permute, work.experts.rows * h * 4);
    }
  }
  list.quantize_shared("cast gradient");
  networks(list, part, input_gradient);
  if (work.moe) sum_rows(list, "sum gradient rows", false);
}

/// Scores, group-limited top-k, normalised weights, over tokens x experts in FP32.
void gate_forward(KernelWriter& list) {
  const LayerWork& work = list.work();
  const double t = work.own_tokens, experts = work.model.moe.experts;
  const int kernels = work.habits.router_kernels;
  list.enter(LayerPart::gate);
  list.linear_in(Precision::bf16, "gate", t, experts, work.model.hidden);
  if (work.habits.indexed_once) {
    // To FP32, scores, the best; with groups first the two best of each, then the best groups, the others' scores set
    // to nought; weights over their sum.
    const double groups = work.model.moe.groups;
    const auto best = [&](double rows, double width) {
      list.memory("top-k", MemoryKernel::top_k, top_k_bytes(rows, width).value());
    };
    if (groups > 1) best(t * groups, experts / groups), best(t, groups);
    best(t, experts);
    return list.memory("routing weights", MemoryKernel::elementwise, t * experts * (groups > 1 ? 30 : 6),
                       groups > 1 ? 10 : 3);
  }
  if (kernels > 0)
    list.memory("top-k and routing weights", MemoryKernel::gating, t * experts * 4 * 2 * kernels, kernels);
}

void gate_backward(KernelWriter& list) {
  const LayerWork& work = list.work();
  const double t = work.own_tokens, experts = work.model.moe.experts, h = work.model.hidden;
  list.enter(LayerPart::gate);
  list.linear_in(Precision::bf16, "gate", t, h, experts);
  list.linear_in(Precision::bf16, "gate weights", experts, h, t);
  list.memory("routing weights backward", MemoryKernel::gating, t * experts * 4 * 2 * 8, 8);
}

}  // namespace

void add_ffn_input(LayerKernels& out, const LayerWork& work, KernelPass pass) {
  KernelWriter list(out, work, pass);
  if (pass == KernelPass::forward) {
    list.enter(LayerPart::ffn_input);
    const bool in_block = work.moe && work.habits.expert_gemms == ExpertGemms::fused;
    if (!in_block || work.model.moe.shared_experts > 0) list.quantize_shared("cast MLP input");
    if (work.moe) gate_forward(list);
  } else if (pass == KernelPass::input_gradient && work.moe) {
    gate_backward(list);
  }
}

void add_ffn_block(LayerKernels& out, const LayerWork& work, KernelPass pass, FfnPart part) {
  KernelWriter list(out, work, pass);
  switch (pass) {
    case KernelPass::forward:
      return block_forward(list, part);
    case KernelPass::input_gradient:
      return block_input_gradient(list, part);
    case KernelPass::weight_gradient:
      return networks(list, part, weight_gradient);
  }
}

}  // namespace flopcast
