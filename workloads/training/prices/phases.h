// What a GPU computes in each phase of a transformer layer, and how long that takes. Which kernels those are stands in
// workloads/model/layer_kernels.h, for training and serving; here is what training's software does, and its prices.
//
// A layer's forward is ATTN(F), then MLP(F) between dispatch and combine; its backward is MLP(B), MLP(W), ATTN(B),
// ATTN(W). This is the granularity that DualPipe overlaps (DeepSeek-V3 report, 3.2.1, figure 4).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hwmodels/kernels/kernel_memo.h"
#include "hwmodels/kernels/kernels.h"
#include "workloads/model/layer_kernels.h"
#include "workloads/training/training.h"

namespace flopcast {

enum class Phase : std::uint8_t {
  attention_forward,
  mlp_forward,
  mlp_backward,
  mlp_weight,
  attention_backward,
  attention_weight,
  shared_forward,
  shared_backward  ///< shared experts, where they run beside the exchange of tokens
};
constexpr int kPhases = 8;
std::string_view name(Phase phase);  ///< "ATTN(F)", "MLP(F)", "MLP(B)", "MLP(W)", "ATTN(B)", "ATTN(W)"

/// What the time of compute is made of, by whose errors go together: kernels of a family are off together.
enum class PriceSource : std::uint8_t {
  gemm,
  gemm_fp8,
  expert_gemm,
  attention_forward,
  attention_backward,
  memory_bound,
  launches,  ///< gaps between kernels, and the host where it is slower than they are
};
constexpr int kPriceSources = 7;
PriceSource source_of(const LayerKernel& kernel);

struct PricedKernel {
  LayerKernel kernel;
  KernelTime price;  ///< of all its launches together
};

/// An exchange of a phase, and the compute that runs at the same time; zero: none.
struct PhaseExchange {
  LayerExchange exchange;
  Seconds beside;
};

/// A phase's kernels in launch order. `time` is their sum plus the gaps between launches.
struct PhaseCost {
  std::vector<PricedKernel> kernels;
  std::vector<PhaseExchange> exchanges;
  Seconds time;        ///< kernels and gaps
  Seconds host;        ///< that starting them takes the host, which runs ahead of the GPU; none under CUDA graphs
  Seconds kernel_sum;  ///< kernels only
};

/// The slice of work one rank does in one micro-batch.
struct LayerShape {
  std::int64_t tokens = 0;           ///< of a tensor-parallel group: its share of the micro-batch
  std::int64_t sequence_length = 0;  ///< whole sequence (attention reaches over all of it under context parallelism)
  double expert_rows = 0;            ///< token copies that this rank's experts process
  int local_experts = 0;
  bool moe = false;  ///< it has routed experts, not a dense network
};

/// What a GPU is busy with, for the board's power: time, the part of it that waits for the SMs, energy beside idle
/// power.
struct PhaseLoad {
  Seconds time, on_sms;
  Joules energy;
  PhaseLoad& operator+=(const PhaseLoad& o) {
    time += o.time;
    on_sms += o.on_sms;
    energy += o.energy;
    return *this;
  }
  friend PhaseLoad operator*(const PhaseLoad& a, double times) {
    return {a.time * times, a.on_sms * times, a.energy * times};
  }
};
PhaseLoad load_of(const PhaseCost& cost);
/// All phases of a layer in turn, at the model's clock.
PhaseLoad layer_load(const TrainingConfig& config, const LayerShape& shape, KernelMemo& kernels);
/// Prices one phase with `sms` SMs (0 = all).
/// @param clock over the model's own.
PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& shape, KernelMemo& kernels, int sms,
                      double clock = 1);
PhaseCost price_phase(Phase phase, const TrainingConfig& config, const LayerShape& shape, const KernelModel& kernels,
                      int sms, double clock = 1);

/// An FFN's forward that is done again, where software leaves its last product out and what comes behind it.
PhaseCost price_mlp_again(const TrainingConfig& config, const LayerShape& shape, KernelMemo& kernels, int sms,
                          double clock = 1);

/// Embedding, head with loss, MTP projection: forward, backward (input) and weight parts.
enum class EdgePhase : std::uint8_t {
  embedding_forward,
  embedding_backward,
  head_forward,
  head_backward,
  head_weight,
  mtp_projection_forward,
  mtp_projection_backward,
  mtp_projection_weight
};
PhaseCost price_edge(EdgePhase phase, const TrainingConfig& config, std::int64_t tokens, KernelMemo& kernels, int sms,
                     double clock = 1);
/// AdamW over `parameters` elements held by this rank after sharding.
PhaseCost price_optimizer(double parameters, const TrainingConfig& config, KernelMemo& kernels);
/// Copies that read and write `bytes` in all.
PhaseCost price_copy(Bytes bytes, const TrainingConfig& config, KernelMemo& kernels);

}  // namespace flopcast
