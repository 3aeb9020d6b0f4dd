// How long a GPU kernel takes, as a function of its shape and of the SMs it may use.
//
// Efficiencies are fitted on measured kernels (see hwmodels/calibration/ and `flopcast calibrate`); nothing here knows
// of models, steps or schedules.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "hwmodels/chips/gpu.h"

namespace flopcast {

/// What a predicted time rests on, from strongest to weakest.
enum class Evidence : std::uint8_t {
  measured,  ///< interpolated between measurements of this kernel on this die
  fitted,    ///< fit on this die's measurements, shape outside the measured range or grid
  roofline,  ///< no measurement of this kernel or die: bounds and another die's efficiencies only
};

struct KernelTime {
  Seconds time;
  Evidence evidence = Evidence::roofline;
};

enum class GemmKind : std::uint8_t {
  dense,               ///< one C[m,n] = A[m,k] B[k,n]
  grouped_contiguous,  ///< `groups` weight matrices, rows of A sorted by group; m = rows of ALL groups together
  grouped_masked,      ///< as above with a fixed slot per group (decoding); m = rows of all groups together
  weight_gradient,     ///< C[m,n] += A^T B, k = tokens; BF16 and per-tensor FP8 as dense, beside a read of C
};

/// m, n, k in elements. For grouped GEMMs n and k are those of one group.
struct GemmShape {
  GemmKind kind = GemmKind::dense;
  std::int64_t m = 0, n = 0, k = 0;
  int groups = 1;
  Precision precision = Precision::bf16;  ///< of both operands
  Scaling scaling = Scaling::none;
  Precision output = Precision::bf16;
  /// FP8 with one scale per tensor as cuBLASLt multiplies it (training), not the CUTLASS kernels of serving engines.
  bool vendor_library = false;
};

enum class AttentionKind : std::uint8_t { forward, backward, decode };

/// Multi-head, grouped-query or latent attention core (no projections).
struct AttentionShape {
  AttentionKind kind = AttentionKind::forward;
  std::int64_t batch = 1;
  std::int64_t query_length = 0;  ///< per sequence; decode: tokens per step (1, or 2 with MTP)
  std::int64_t kv_length = 0;     ///< per sequence, the queries' own tokens included
  int query_heads = 1;
  int kv_heads = 1;  ///< MLA decode in absorbed form: 1
  int qk_dim = 128;  ///< MLA training/prefill: 192; MLA decode (absorbed): 576
  int v_dim = 128;   ///< MLA training/prefill: 128; MLA decode (absorbed): 512
  bool causal = true;
  Precision precision = Precision::bf16;
  Precision kv_precision = Precision::bf16;
  bool latent = false;  ///< absorbed MLA decode: K and V are one cached vector per token
};

/// Kernels limited by memory traffic. The class decides the reachable fraction of HBM bandwidth.
enum class MemoryKernel : std::uint8_t {
  norm,
  norm_backward,
  rotary,
  swiglu,
  swiglu_backward,
  cast,
  cast_transpose,
  transpose,
  copy,
  permute,
  reduce,
  gating,
  elementwise,
  embedding,
  cross_entropy,
  optimizer,
};
constexpr int kMemoryKernels = 16;
std::string_view name(MemoryKernel kernel);

struct KernelCalibration;  // hwmodels/kernels/calibration.h: the numbers that `flopcast calibrate` writes

/// What the chip's clock does. Kernels are measured in short runs; in a run of weeks a power-limited chip slows down.
enum class ClockState : std::uint8_t {
  benchmark,  ///< as where the kernels were measured one by one
  sustained,  ///< as in a long run (KernelCalibration::sustained_clock)
};

/// Prices kernels on one GPU type. Immutable; cheap to copy around by pointer. All SM counts are 1 .. gpu.sms;
/// 0 means all of them. SMs that a kernel may not use are taken to run communication, which takes HBM bandwidth too.
///
/// Chips cut from one die share one fit: times follow from the chip's figures (SMs, clock, peaks, memory), never from
/// its name, and each figure that is lowered makes every kernel slower or leaves it as it is. A die without
/// measurements takes the fit of the most similar die that has some (then the evidence is `roofline`): rates inside an
/// SM scale with the clock, or with the peak of an SM where the architecture differs.
class KernelModel {
 public:
  KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration,
              ClockState clock = ClockState::benchmark);
  /// @param clock over that of the data sheet's peaks.
  KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, double clock);

  KernelTime gemm(const GemmShape& shape, int sms = 0) const;
  KernelTime attention(const AttentionShape& shape, int sms = 0) const;
  /// @param traffic bytes read plus bytes written.
  KernelTime memory_bound(MemoryKernel kernel, Bytes traffic, int sms = 0) const;
  /// Gap between two kernels of a stream that was filled ahead of time (no host wait).
  Seconds kernel_gap() const;
  const GpuSpec& gpu() const { return gpu_; }

 private:
  struct Resolved;  // which fit serves which family on this GPU
  GpuSpec gpu_;
  std::shared_ptr<const KernelCalibration> calibration_;
  std::shared_ptr<const Resolved> resolved_;
};

/// FLOP of the shape, a multiply-add counted as two; causal attention counts the lower triangle only.
Flop flop(const GemmShape& shape);
Flop flop(const AttentionShape& shape);

}  // namespace flopcast
