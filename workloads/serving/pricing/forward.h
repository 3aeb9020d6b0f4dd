// One forward pass of a serving engine on one GPU of a replica: what a layer takes for so many tokens, attention for so
// many cached ones, tensor and expert parallelism for what they exchange. Which kernels those are stands in
// workloads/model/layer_kernels.h, for training and serving.
#pragma once
#include <cstdint>
#include <memory>

#include "hwmodels/fabric/cluster.h"
#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/kernels.h"
#include "workloads/model/layer_kernels.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/engine_constants.h"

namespace flopcast {

/// Everything that prices are made of. `hot_load`: rows on the busiest GPU's experts over the mean.
struct ForwardSetting {
  EngineConfig engine;
  ClusterSpec cluster;
  std::shared_ptr<const KernelModel> kernels;
  std::shared_ptr<const LinkCalibration> links;
  std::shared_ptr<const EngineConstants> constants;
  double hot_load = 1.0;
  double expert_variation = 0;  ///< of the experts' loads (ExpertPaceConfig::variation)
  double gpu_speed = 1;         ///< of kernels, over that of the data sheet's chip
};

/// The same engine with the model that drafts for it, which has its weights in BF16 and is cut by tensor parallelism
/// alone. @pre engine.has_drafter()
ForwardSetting drafter_setting(const ForwardSetting& setting);

enum class StepKind : std::uint8_t {
  prompt,  ///< at least one prompt is in the batch: kernels launched one by one
  decode,  ///< every request decodes: a CUDA graph where the engine has them
};

/// What the host takes to launch so many kernels of a pass one by one, and for latent attention of prompts beside them:
/// microseconds.
double launch_us(const ForwardSetting& setting, double kernels, StepKind kind);

/// Part of a pass at full clock: what its kernels take, and how many they are. Gaps between them, and what the clock
/// loses under the board's limit, are the caller's (under_limit): the limit is met by a whole iteration.
struct PassTime {
  Seconds time;
  int kernels = 0;
  Joules energy;      ///< idle power apart; collectives have none
  Seconds on_sms;     ///< of `time`: what waits for the SMs, and so for the clock
  Seconds exchanged;  ///< of `time`: collectives
  Seconds kernel_time() const { return time - exchanged; }
  PassTime& operator+=(const PassTime& o) {
    time += o.time;
    kernels += o.kernels;
    energy += o.energy;
    on_sms += o.on_sms;
    exchanged += o.exchanged;
    return *this;
  }
  friend PassTime operator*(PassTime a, int times) {
    return {a.time * times, a.kernels * times, a.energy * times, a.on_sms * times, a.exchanged * times};
  }
};

/// What each of a pipeline's stages takes of it, with as many kernels.
inline PassTime of_stage(const PassTime& pass, double stages) {
  return {pass.time / stages, pass.kernels, pass.energy / stages, pass.on_sms / stages, pass.exchanged / stages};
}

/// Kernels in turn that take `time`, of which `on_sms` waits for the SMs, and `energy` at full clock: memory-bound ones
/// and gaps leave room that matrix products take, as in a training step. Nobody has measured what a GPU draws while it
/// exchanges, waiting in a kernel for others: callers leave that out, as if it were what it draws beside.
ClockPoint under_limit(const KernelModel& kernels, Seconds time, Seconds on_sms, Joules energy);

/// What one layer takes for the tokens of an iteration, part by part, the attention core apart. Parts that do not occur
/// are empty.
struct LayerTime {
  PassTime projections;     ///< norms, projections and positions of attention
  PassTime shared_experts;  ///< which need nothing of the exchange
  PassTime ffn;             ///< dense FFN, or gate and routed experts
  PassTime all_reduces;     ///< of tensor parallelism
  PassTime dispatch;        ///< of tokens to experts, or their gathering: another micro-batch may compute meanwhile
  PassTime combine;
  Seconds exchange() const { return dispatch.time + combine.time; }
  Seconds sum() const { return projections.time + shared_experts.time + ffn.time + all_reduces.time + exchange(); }
  int kernels() const {
    return projections.kernels + shared_experts.kernels + ffn.kernels + all_reduces.kernels + dispatch.kernels +
           combine.kernels;
  }
};

/// Decoding: `batch` requests with `kv_tokens` cached tokens each, `queries` tokens of each in the pass.
struct DecodeAttention {
  double batch = 0;
  double kv_tokens = 0;
  int queries = 1;
};
/// Prompts: `requests` pieces of `tokens` tokens each, behind which the cache holds `kv_tokens` (own ones
/// included).
struct PromptAttention {
  double requests = 0;
  double tokens = 0;
  double kv_tokens = 0;
};

class ForwardModel {
 public:
  explicit ForwardModel(ForwardSetting setting);

  /// `tokens` of one attention group, i.e. of every GPU of it.
  LayerTime layer(double tokens, bool moe, StepKind kind, bool overlapped) const;
  /// Attention core of one layer, with what MLA unpacks from the cache for prompts.
  PassTime attention(const DecodeAttention& shape) const;
  PassTime attention(const PromptAttention& shape, bool overlapped) const;
  /// Embedding of `tokens`, final norm, output head and sampling of `sequences`.
  PassTime edges(double tokens, double sequences) const;
  /// Between pipeline stages: activations of `tokens`, all stages together.
  Seconds stage_transfers(double tokens) const;
  /// MTP: projection of `sequences` tokens to the module's input.
  PassTime draft_projection(double sequences) const;

  int moe_layers() const { return moe_layers_; }
  int dense_layers() const { return setting_.engine.model.layers - moe_layers_; }
  const ForwardSetting& setting() const { return setting_; }

 private:
  LayerWork work(double tokens, StepKind kind) const;
  LayerWork attention_work(double tokens, StepKind kind) const;
  ExpertShare expert_share(double tokens) const;
  PassTime price(const LayerKernels& list, int sms) const;
  PassTime all_reduces(const LayerKernels& list, StepKind kind) const;
  /// Of each collective over so many GPUs in a step, beside what NCCL takes.
  Seconds network_call(int gpus, StepKind kind) const;
  PassTime mean_ffn(const LayerWork& work, const LayerKernels& list, int sms) const;
  void add_exchange(LayerTime& layer, double tokens, StepKind kind, bool overlapped) const;
  void add_gathering(LayerTime& layer, double tokens, StepKind kind) const;
  int compute_sms(bool overlapped, StepKind kind) const;

  ForwardSetting setting_;
  int moe_layers_ = 0;
  double expert_skew_ = 0;  ///< of rows of experts whose blocks are cut by them (ExpertShare::skew)
};

/// All-reduce of `bytes` among `ranks` neighbouring GPUs.
Seconds tensor_all_reduce_time(const ClusterSpec& cluster, const LinkCalibration& links, int ranks, Bytes bytes);

/// Dispatch and combine of low-latency kernels: `tokens` per GPU, each copied straight to the GPUs of its
/// experts.
struct LowLatencyExchange {
  double tokens = 0;
  int experts_per_token = 1;
  int ranks = 1;
  int ranks_per_node = 8;
  Bytes bytes_per_token;
  BytesPerSecond nic, nvlink;  ///< data-sheet rates per GPU and direction
  double hot_load = 1.0;       ///< of the busiest receiver
};
Seconds low_latency_time(const LowLatencyExchange& exchange, const EngineConstants& constants);

}  // namespace flopcast
