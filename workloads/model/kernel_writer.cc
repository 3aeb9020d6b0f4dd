#include "workloads/model/kernel_writer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "hwmodels/kernels/kernel_family.h"

namespace flopcast {
namespace {

std::int64_t whole(double elements) { return std::max<std::int64_t>(1, std::llround(elements)); }

std::string_view network(LayerPart part) {
  switch (part) {
    case LayerPart::dense_ffn:
      return "ffn ";
    case LayerPart::shared_experts:
      return "shared ";
    case LayerPart::routed_experts:
      return "routed ";
    default:
      return "";
  }
}

std::string_view half(const LayerKernel& kernel) {
  if (!std::holds_alternative<GemmShape>(kernel.shape) || kernel.again) return "";
  switch (kernel.pass) {
    case KernelPass::forward:
      return "";
    case KernelPass::input_gradient:
      return " dgrad";
    case KernelPass::weight_gradient:
      return " wgrad";
  }
  assert(false);
  return "";
}

/// Experts of four bits that are multiplied in BF16 have kernels of their own, in whichever engine: triton_kernels for
/// MXFP4 (vLLM, SGLang and TensorRT-LLM on Hopper), Marlin for other formats (vLLM, SGLang).
ExpertBlock block_of(ExpertBlock engine, const KernelPrecision& p) {
  const WeightFormat format = p.experts != WeightFormat::as_multiplied ? p.experts : p.weights;
  if (format == WeightFormat::as_multiplied || p.linear != Precision::bf16) return engine;
  const bool tensorrt = engine == ExpertBlock::tensorrt;
  if (format == WeightFormat::mxfp4)
    return tensorrt ? ExpertBlock::triton_kernels_tensorrt : ExpertBlock::triton_kernels;
  return tensorrt ? engine : ExpertBlock::marlin;
}

}  // namespace

std::string name(const LayerKernel& kernel) {
  std::string text(network(kernel.part));
  text += kernel.role;
  text += half(kernel);
  if (kernel.again) text += " again";
  return text;
}

int launches(const LayerKernel& kernel) {
  const auto* attention = std::get_if<AttentionShape>(&kernel.shape);
  return attention != nullptr && attention->kind == AttentionKind::backward ? 3 * kernel.count : kernel.count;
}

int KernelWriter::linear(std::string_view role, double m, double n, double k) {
  const int place = add(role, gemm(GemmKind::dense, m, n, k), 1);
  if (has_adapter(role)) adapter(m, n, k);
  return place;
}

bool KernelWriter::has_adapter(std::string_view role) const {
  if (work_.habits.adapter_rank == 0 || part_ == LayerPart::edge) return false;
  const bool attention = part_ == LayerPart::attention || part_ == LayerPart::attention_core;
  switch (work_.habits.adapter_targets) {
    case AdapterTargets::all:
      return true;
    case AdapterTargets::attention:
      return attention;
    case AdapterTargets::qkv:
      return attention && role != kOutputProjection;
    case AdapterTargets::ffn:
      return !attention;
  }
  assert(false);
  return false;
}

/// Two matrices of a low rank beside one of k x n, in BF16: their product, scaled and added. Backward (k and n are
/// those of the gradient's GEMM): gradients of both and of their input.
void KernelWriter::adapter(double m, double n, double k) {
  const double rank = work_.habits.adapter_rank;
  const auto first = out_.kernels.size();
  linear_in(Precision::bf16, "adapter down", m, rank, k);
  linear_in(Precision::bf16, "adapter up", m, n, rank);
  memory("adapter sum", MemoryKernel::elementwise, m * n * 10, 2);
  const auto mark = [&] {
    for (std::size_t i = first; i < out_.kernels.size(); ++i) out_.kernels[i].adapter = true;
  };
  if (pass_ != KernelPass::input_gradient || again_) return mark();
  const auto gradient = [&](double rows, double columns) {
    GemmShape shape = gemm(GemmKind::weight_gradient, rows, columns, m);
    shape.precision = Precision::bf16;
    shape.scaling = Scaling::none;
    shape.output = work_.precision.gradients;
    add("adapter gradient", shape, 1);
  };
  gradient(k, rank);
  gradient(rank, n);
  mark();
}

int KernelWriter::linear_in(Precision precision, std::string_view role, double m, double n, double k, int times) {
  GemmShape shape = gemm(GemmKind::dense, m, n, k);
  shape.precision = precision;
  shape.scaling = Scaling::none;
  shape.weight_bytes = 0;
  return add(role, shape, times);
}

int KernelWriter::grouped(std::string_view role, double m, double n, double k, int experts) {
  const ExpertGemms how = work_.habits.expert_gemms;
  if (how == ExpertGemms::one_by_one) return add(role, gemm(GemmKind::dense, m / experts, n, k), experts);
  const bool masked = how == ExpertGemms::masked;
  GemmShape shape = gemm(masked ? GemmKind::grouped_masked : GemmKind::grouped_contiguous, m, n, k);
  shape.groups = experts;
  if (!masked) shape.skew = work_.experts.skew;
  shape.idle_rows = std::max(0.0, work_.experts.multiplied_rows - work_.experts.rows);
  shape.vendor_library = false;
  return add(role, shape, 1);
}

void KernelWriter::fused_experts(std::string_view role, double rows, double width, double hidden, int experts,
                                 double passing_rows) {
  assert(work_.model.gated_ffn && pass_ == KernelPass::forward);
  GemmShape shape = gemm(GemmKind::fused_experts, rows, width, hidden);
  shape.groups = experts;
  shape.vendor_library = false;
  shape.block = block_of(work_.habits.expert_block, work_.precision);
  shape.passing_rows = passing_rows;
  if (unpacks(family_of(shape))) shape.skew = work_.experts.skew;
  add(role, shape, 1);
}

void KernelWriter::latent_block(std::string_view role, const LatentBlockShape& shape) { add(role, shape, 1); }

void KernelWriter::weight_gradient(std::string_view role, double m, double n, double tokens, int times) {
  if (work_.habits.adapter_rank > 0) return;  // frozen
  GemmShape shape = gemm(GemmKind::weight_gradient, m, n, tokens);
  shape.output = work_.precision.gradients;
  add(role, shape, times);
}

void KernelWriter::weight_gradient_in(Precision precision, std::string_view role, double m, double n, double tokens,
                                      int times) {
  if (work_.habits.adapter_rank > 0) return;
  GemmShape shape = gemm(GemmKind::weight_gradient, m, n, tokens);
  shape.precision = precision;
  shape.scaling = Scaling::none;
  shape.output = work_.precision.gradients;
  add(role, shape, times);
}

int KernelWriter::weight_gradient_elsewhere(std::string_view role, double m, double n, double tokens) {
  if (work_.habits.adapter_rank > 0) return kNothing;
  weight_gradient(role, m, n, tokens, 0);
  return size() - 1;
}

int KernelWriter::attention(std::string_view role, const AttentionShape& shape) { return add(role, shape, 1); }

void KernelWriter::memory(std::string_view role, MemoryKernel kernel, double bytes, int times) {
  if (bytes > 0) add(role, MemoryTraffic{kernel, Bytes(bytes / times), work_.habits.origin}, times);
}

void KernelWriter::quantize(std::string_view role, double elements) {
  const KernelPrecision& p = work_.precision;
  if (p.linear == Precision::fp4) {
    constexpr double kPacked = bytes_per_weight(WeightFormat::nvfp4);
    if (work_.habits.tensor_scales == TensorScales::fixed)
      return memory(role, MemoryKernel::cast, elements * (2.0 + kPacked));
    // Scales of 16 stand below one of the whole tensor, made of it by a pass of its own. Products take rows of 16 only:
    // the operand of a weight gradient is cast along the other dimension beside (Transformer Engine,
    // NVFP4BlockScaling).
    return memory(role, MemoryKernel::cast_transpose, elements * (2.0 + 2.0 + 2 * kPacked), 2);
  }
  if (p.fp8_blocks()) return memory(role, MemoryKernel::cast, elements * (2.0 + 1.0 + kScaleBytesPerElement));
  if (p.fp8_rows()) return memory(role, MemoryKernel::cast, elements * (2.0 + 1.0));
  if (p.fp8() && work_.habits.tensor_scales == TensorScales::current)
    memory(role, MemoryKernel::cast_transpose, elements * (2.0 + 1.0 + 1.0 + (work_.habits.amax_pass ? 2.0 : 0.0)),
           work_.habits.amax_pass ? 2 : 1);
}

void KernelWriter::quantize_shared(std::string_view role) {
  const double tokens = work_.precision.fp8_rows() ? work_.tokens : work_.own_tokens;
  quantize(role, tokens * work_.model.hidden);
}

// Scales along the tokens: a pass that finds the largest of each column, then a cast that writes its transpose as
// PyTorch's compiler does, which moves bytes at a fifth of the rate of tiled kernels (copies of 32 MB to 1 GB on an
// H100, torch 2.11: 0.52 and 2.74 TB/s).
constexpr double kTorchTranspose = 2.74 / 0.52;

void KernelWriter::quantize_transposed(std::string_view role, double elements, int times) {
  if (work_.precision.fp8_rows())
    return memory(role, MemoryKernel::cast, elements * (2.0 + (2.0 + 1.0) * kTorchTranspose), 2 * times);
  if (work_.precision.fp8_blocks())
    memory(role, MemoryKernel::cast_transpose, elements * (2.0 + 1.0 + kScaleBytesPerElement), times);
}

// Bytes per element of eager chains: torch.nn.functional.rms_norm as its parts (to FP32 6, square 8, mean 4, product
// with the inverse root 8, to BF16 6, product with the weight 4; backward: weight 4 and its gradient 6, to FP32 6,
// product 8, sum of products 16, square 8, sum 12, to BF16 6), a sum of two residuals 6 (kEagerResidual).
constexpr double kEagerNorm = 36, kEagerNormBackward = 66;
// As one kernel (PyTorch 2.9): in and out; backward both in, one out.
constexpr double kFusedNorm = 4, kFusedNormBackward = 6;
// Inductor. Forward the norm behind attention adds the residual without writing the sum, which is made again wherever
// it is needed. Backward the norm's result is made again for the gradient of the weights behind it: gradients of the
// norm and of the residual, its input (in two parts) in; the input's gradient and the norm's result out; partial sums
// of the gradient of the norm's own weight. Kernels of PyTorch 2.11 by name and time: 8 blocks of Llama 8B on one H100,
// 2026-11-27.
constexpr double kCompiledNorm = 4, kCompiledSumAndNorm = 6;
constexpr double kCompiledNormBackward = 11, kCompiledSumAndNormBackward = 14;

void KernelWriter::norm(std::string_view role, double elements, bool with_residual) {
  const KernelHabits& habits = work_.habits;
  if (habits.eager_elementwise && habits.fused_norms) {
    if (with_residual) memory("residual", MemoryKernel::elementwise, elements * kEagerResidual);
    return memory(role, MemoryKernel::norm, elements * kFusedNorm);
  }
  if (habits.eager_elementwise) {
    const double sum = with_residual ? kEagerResidual : 0;
    return memory(role, MemoryKernel::elementwise, elements * (kEagerNorm + sum), with_residual ? 7 : 6);
  }
  if (habits.compiled_layers)
    return memory(role, MemoryKernel::norm, elements * (with_residual ? kCompiledSumAndNorm : kCompiledNorm));
  const int tensors = !with_residual ? 2 : compiled_serving(work_) ? 3 : 4;
  memory(role, MemoryKernel::norm, elements * 2.0 * tensors);  // BF16 in and out
}

void KernelWriter::norm_backward(std::string_view role, double elements, bool with_residual) {
  const KernelHabits& habits = work_.habits;
  if (habits.eager_elementwise && habits.fused_norms) {
    memory(role, MemoryKernel::norm_backward, elements * kFusedNormBackward);
    return memory("sum of residual gradients", MemoryKernel::elementwise, elements * kEagerResidual);
  }
  if (habits.eager_elementwise)
    return memory(role, MemoryKernel::elementwise, elements * (kEagerNormBackward + kEagerResidual), 10);
  if (habits.compiled_layers)
    return memory(role, MemoryKernel::norm,
                  elements * (with_residual ? kCompiledSumAndNormBackward : kCompiledNormBackward), 2);
  memory(role, MemoryKernel::norm_backward, elements * 2.0 * 4);  // dy, x, residual gradient in; dx out
}

void KernelWriter::exchange(LayerExchange::Kind kind, double bytes, int times, int first, int last) {
  if (bytes > 0 && times > 0) out_.exchanges.push_back({kind, Bytes(bytes), times, first, last});
}

int KernelWriter::add(std::string_view role, LayerKernelShape shape, int count) {
  out_.kernels.push_back({role, part_, pass_, again_, count, shape, false});
  return size() - 1;
}

GemmShape KernelWriter::gemm(GemmKind kind, double m, double n, double k) const {
  const KernelPrecision& p = work_.precision;
  GemmShape shape{
      kind, whole(m), whole(n), whole(k), 1, p.linear, p.scaling, Precision::bf16, work_.habits.vendor_gemms};
  const bool routed = part_ == LayerPart::routed_experts;
  if (routed && p.experts != WeightFormat::as_multiplied)
    shape.weight_bytes = bytes_per_weight(p.experts);
  else if (routed || p.weights != WeightFormat::mxfp4 || work_.model.moe.experts == 0)
    shape.weight_bytes = bytes_per_weight(p.weights);
  return shape;
}

}  // namespace flopcast
