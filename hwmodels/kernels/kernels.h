// How long a GPU kernel takes, as a function of its shape and of the SMs it may use.
//
// Efficiencies are fitted on measured kernels (see hwmodels/calibration/ and `flopcast calibrate`); nothing here knows
// of models, steps or schedules.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/chips/gpu.h"
#include "hwmodels/chips/power.h"

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
  Joules energy;   ///< at the clock of `time`, idle power apart; zero where no power was measured
  Seconds on_sms;  ///< of `time`: what waits for the SMs, and so for the clock
};

enum class GemmKind : std::uint8_t {
  dense,               ///< one C[m,n] = A[m,k] B[k,n]
  grouped_contiguous,  ///< `groups` weight matrices, rows of A sorted by group; m = rows of ALL groups together
  grouped_masked,      ///< as above with a fixed slot per group (decoding); m = rows of all groups together
  weight_gradient,     ///< C[m,n] += A^T B, k = tokens; BF16 and per-tensor FP8 as dense, beside a read of C
  /// Gated experts as one block (fused_moe of SGLang and vLLM): rows sorted, multiplied with gate and up, activation,
  /// multiplied with down, summed up. m = rows of all experts, n = width of an expert on this GPU, k = hidden size,
  /// groups = experts that get rows.
  fused_experts,
};

/// Whose block of fused experts.
enum class ExpertBlock : std::uint8_t {
  sglang,    ///< fused_moe_triton, tuned
  vllm,      ///< fused_moe
  tensorrt,  ///< TensorRT-LLM's CUTLASS block
  // Weights of four bits, unpacked to BF16 by the kernel:
  triton_kernels,           ///< MXFP4, matmul_ogs of vLLM and SGLang
  triton_kernels_tensorrt,  ///< MXFP4, TensorRT-LLM's copy of it
  marlin,                   ///< INT4
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
  /// Of an element of B, where it lies in memory in fewer bytes than it is multiplied in: unpacked by the kernel.
  double weight_bytes = 0;
  ExpertBlock block = ExpertBlock::sglang;  ///< of fused experts
  /// Rows of groups fall as their rank to this power; 0: all have as many. (Grouped BF16, contiguous.)
  double skew = 0;
  /// Rows of experts on other GPUs that a fused block sorts, sets to nought and sums up beside its own.
  double passing_rows = 0;
  /// Of m: rows without a token that fill tiles up. They take time, and a part of the energy.
  double idle_rows = 0;
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

/// One decoding step of a whole block of latent attention (absorbed form) behind its norm: down-projections, their
/// norms, queries up and into latent space, positions, core, results out of latent space, output projection. Without
/// what GPUs tell each other.
struct LatentBlockShape {
  std::int64_t batch = 1;
  std::int64_t query_length = 1;  ///< tokens of each sequence in the step
  std::int64_t kv_length = 1;
  int heads = 128;  ///< on this GPU
  int hidden = 7168;
  int q_rank = 1536;  ///< 0: queries are made of the hidden state at once
  int kv_rank = 512;
  int nope_dim = 128, rope_dim = 64, v_dim = 128;  ///< per head
  Precision precision = Precision::bf16;           ///< of the projections
  Scaling scaling = Scaling::none;
  Precision kv_precision = Precision::bf16;
  bool tensorrt = false;  ///< as TensorRT-LLM runs it, not SGLang
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
  // PyTorch's kernels that the SMs hold up more than memory (MemoryClassFit::sm_bytes_per_cycle):
  strided,      ///< element by element of operands that do not lie in a row (halves of a product, a factor per row)
  index_add,    ///< rows added up by atomic additions; bytes: rows in
  scatter_add,  ///< elements, the same
  top_k,        ///< a block per row: bytes from top_k_bytes()
};
constexpr int kMemoryKernels = 20;
std::string_view name(MemoryKernel kernel);
/// What an element of a strided kernel counts as, whatever it is made of: a product of two BF16 numbers.
constexpr double kStridedBytes = 6;
/// What PyTorch's top-k of `rows` rows of FP32 counts as: a block starts per row, which takes as long as so many
/// elements of it (one H100, 2026-11-26: 16,384 rows of 8, 128 and 256 in 30, 103 and 200 us).
Bytes top_k_bytes(double rows, double width);
/// Who wrote them: the smallest of their kernels differ.
enum class KernelOrigin : std::uint8_t {
  compiled,  ///< Triton, torch.compile
  engine,    ///< serving engines' own (vLLM, SGLang)
};

struct KernelCalibration;  // hwmodels/kernels/calibration.h: the numbers that `flopcast calibrate` writes

/// What the chip's clock does. Kernels are measured in short runs; in a run of weeks a power-limited chip slows down.
enum class ClockState : std::uint8_t {
  benchmark,  ///< as where the kernels were measured one by one
  /// Each kernel at the clock that it settles at under the board's limit, one after the other without a pause.
  power_limited,
  /// As in DeepSeek's long runs (KernelCalibration::sustained_clock); boards of a lower limit are slower still.
  sustained,
};

/// Libraries whose own kernels price what was measured of them on the chip's die (FamilyFit::variant), the first that
/// has a fit: a year ("2024"), "cudnn", "row_scales", "vllm", "tensorrt_llm", "trtllm_gen". Others: as nobody's in
/// particular.
using MeasuredLibraries = std::vector<std::string>;

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
              ClockState clock = ClockState::benchmark, const MeasuredLibraries& libraries = {});
  /// @param clock over the data sheet's. What the board's limit leaves is the caller's to ask (settled).
  KernelModel(const GpuSpec& gpu, std::shared_ptr<const KernelCalibration> calibration, double clock,
              const MeasuredLibraries& libraries = {});

  KernelTime gemm(const GemmShape& shape, int sms = 0) const;
  KernelTime attention(const AttentionShape& shape, int sms = 0) const;
  KernelTime latent_block(const LatentBlockShape& shape, int sms = 0) const;
  /// @param traffic bytes read plus bytes written.
  KernelTime memory_bound(MemoryKernel kernel, Bytes traffic, int sms = 0,
                          KernelOrigin origin = KernelOrigin::compiled) const;
  /// The clock that the board's limit leaves while kernels of that load run in turn, for a model that prices at full
  /// clock or at a given one. Other models know their clock: nothing changes.
  ClockPoint settled(const PowerLoad& load) const;
  /// Of the board, with a program on it and no kernel; nothing where no chip's power was measured.
  std::optional<Watts> idle() const;
  /// What a large BF16 product draws at the lowest clock; nothing where no chip's power was measured.
  std::optional<Watts> least_power() const;
  /// A kernel of this model at another clock.
  KernelTime at_clock(const KernelTime& kernel, double clock) const;
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
/// Of projections and core.
Flop flop(const LatentBlockShape& shape);

}  // namespace flopcast
