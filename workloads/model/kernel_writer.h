// What lists of kernels are written with: rounds sizes, knows which library multiplies what, and when a cast is a
// kernel of its own.
#pragma once
#include "workloads/model/layer_kernels.h"

namespace flopcast {

/// Bytes per element of an eager sum of two residuals.
inline constexpr double kEagerResidual = 6;

/// Role of the product behind attention.
inline constexpr std::string_view kOutputProjection = "o_proj";

/// A model compiled by PyTorch's Inductor that is served without an engine's own kernels: a norm adds the residual
/// before it without writing the sum, the residual behind the FFN is a kernel of its own, queries and keys are turned
/// by one each (their norms with them), values go to the cache by another (kernels of PyTorch 2.11 by name,
/// 2026-11-27).
inline bool compiled_serving(const LayerWork& work) {
  return work.habits.origin == KernelOrigin::compiled && work.habits.positions_write_cache;
}

/// Appends kernels of one pass to a list, in launch order. Methods that add a GEMM return its place in the list:
/// communication may run beside it.
class KernelWriter {
 public:
  KernelWriter(LayerKernels& out, const LayerWork& work, KernelPass pass) : out_(out), work_(work), pass_(pass) {}

  /// What follows stands in this part.
  void enter(LayerPart part) { part_ = part; }
  /// What follows is (or is not) computed again.
  void again(bool again) { again_ = again; }

  /// y[m,n] = x[m,k] w[k,n], forward or input gradient.
  int linear(std::string_view role, double m, double n, double k);
  int linear_in(Precision precision, std::string_view role, double m, double n, double k, int times = 1);
  /// The same for `experts` experts, m rows in all.
  int grouped(std::string_view role, double m, double n, double k, int experts);
  /// Gated experts as one block, forward; rows of all of them, width of one.
  void fused_experts(std::string_view role, double rows, double width, double hidden, int experts, double passing_rows);
  void latent_block(std::string_view role, const LatentBlockShape& shape);
  /// dw[m,n] += dy^T x over `tokens`, accumulated in the precision of the gradients.
  void weight_gradient(std::string_view role, double m, double n, double tokens, int times = 1);
  void weight_gradient_in(Precision precision, std::string_view role, double m, double n, double tokens, int times = 1);
  /// A weight gradient of another phase, to hide communication behind.
  int weight_gradient_elsewhere(std::string_view role, double m, double n, double tokens);
  int attention(std::string_view role, const AttentionShape& shape);
  void memory(std::string_view role, MemoryKernel kernel, double bytes, int times = 1);

  /// BF16 -> FP8 with scales, before a GEMM. Nothing to do in BF16, nor where the kernel before writes FP8.
  void quantize(std::string_view role, double elements);
  /// The same for rows of the residual stream: by who holds them, or, where scales belong to rows, behind the gather.
  void quantize_shared(std::string_view role);
  /// BF16 -> transposed FP8 with scales along the other axis: an operand of a weight gradient.
  void quantize_transposed(std::string_view role, double elements, int times = 1);
  /// As PyTorch's chain of kernels where the software is eager, else fused.
  void norm(std::string_view role, double elements, bool with_residual);
  /// @param with_residual of a norm that added two residuals forward
  void norm_backward(std::string_view role, double elements, bool with_residual = false);

  static constexpr int kNothing = -1;  ///< in place of a GEMM: nothing is computed meanwhile
  /// @param first, last kernels of the list that run meanwhile.
  void exchange(LayerExchange::Kind kind, double bytes, int times = 1, int first = 0, int last = 0);

  const LayerWork& work() const { return work_; }
  int size() const { return static_cast<int>(out_.kernels.size()); }

 private:
  int add(std::string_view role, LayerKernelShape shape, int count);
  bool has_adapter(std::string_view role) const;
  void adapter(double m, double n, double k);
  GemmShape gemm(GemmKind kind, double m, double n, double k) const;

  LayerKernels& out_;
  const LayerWork& work_;
  KernelPass pass_;
  LayerPart part_ = LayerPart::edge;
  bool again_ = false;
};

}  // namespace flopcast
