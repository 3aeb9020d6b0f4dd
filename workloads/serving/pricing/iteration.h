// How long one iteration of an engine takes, from tables that are filled as shapes turn up: kernels are
// priced at the nodes of a grid (tokens, requests, cached tokens), between nodes times are interpolated.
// Prices are whole ticks and do not depend on what was asked before.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "workloads/serving/base/clock.h"
#include "workloads/serving/pricing/decode_curve.h"
#include "workloads/serving/pricing/forward.h"
#include "workloads/serving/pricing/gpu_pass.h"
#include "workloads/serving/pricing/grids.h"
#include "workloads/serving/pricing/layer_sums.h"
#include "workloads/serving/pricing/lone_prompts.h"

namespace flopcast {

/// The prompts of an iteration on one attention group.
struct PromptLoad {
  std::int64_t tokens = 0;     ///< computed in this iteration
  std::int64_t requests = 0;   ///< that they belong to
  std::int64_t finishing = 0;  ///< of these, how many get their first token
  /// Query-key pairs: sum over requests of tokens x (cached before + tokens / 2), as twice that.
  std::int64_t twice_pairs = 0;
  void add(std::int64_t piece, std::int64_t cached, bool last) {
    tokens += piece;
    ++requests;
    finishing += last;
    twice_pairs += piece * (2 * cached + piece);
  }
};

/// Prices iterations of one kind of replica. Not thread-safe: it fills its tables when asked.
class IterationPricer {
 public:
  explicit IterationPricer(ForwardSetting setting);
  ~IterationPricer();
  /// Fixed times, for toys that queueing theory knows: every iteration takes `iteration`, a prompt
  /// `per_prompt_token` more per token.
  IterationPricer(Ticks iteration, Ticks per_prompt_token);

  /// @param drafts whether there are any (SpeculationConfig::most_batch); without it as the batch has it.
  const DecodeCurve& decode(std::int64_t batch, bool drafts);
  const DecodeCurve& decode(std::int64_t batch);
  /// An iteration with prompts, beside `batch` decoding requests with `kv` cached tokens in all.
  /// @param mean_tokens of the attention groups that share experts, prompts' and decoding ones'; 0: as many
  /// as here.
  Ticks prompt(const PromptLoad& prompts, std::int64_t batch, std::int64_t kv, double mean_tokens = 0,
               bool with_drafts = true);
  /// An iteration of one prompt with nothing beside it.
  Ticks lone_prompt(std::int32_t tokens, std::int32_t cached);
  /// What the host takes to launch the kernels of an iteration with prompts, or of one that only decodes: nothing to
  /// speak of where it is one graph.
  Ticks prompt_launch(const PromptLoad& prompts, std::int64_t batch);
  Ticks decode_launch(std::int64_t batch);
  /// From a request's coming in to its being queued.
  Ticks request_overhead() const { return request_overhead_; }
  /// Share of an iteration's HBM time that decode attention takes, for reports: attention / whole at this
  /// batch.
  double attention_share(std::int64_t batch, std::int64_t kv);
  const ForwardModel* forward() const { return forward_.get(); }
  /// What a decoding batch is padded to in its CUDA graph; 0: it has none, and its kernels are launched one by one.
  /// @param batch of one of the pipeline's parts
  double graph_batch(double batch) const;

 private:
  /// Attention of prompts at a node of its grid.
  struct PromptCore {
    double log_us = 0;
    double sm_share = 0;
    double joules_per_us = 0;
    void add(const PromptCore& o, double weight) {
      log_us += weight * o.log_us;
      sm_share += weight * o.sm_share;
      joules_per_us += weight * o.joules_per_us;
    }
  };
  using PromptNode = BySplit<PromptCore>;
  const PromptNode& prompt_node(const std::array<std::size_t, 3>& node);
  BySplit<GpuPass> prompt_attention(const PromptLoad& prompts);
  /// The fastest of a pass's splits, in microseconds.
  /// @param pass_as what it takes at full clock: GpuPass(Split)
  /// @param launched how long it takes as it is launched, or no less than a bound that it cannot be below:
  /// double(const GpuPass&, double bound)
  template <class PassAs, class Launched>
  double fastest(PassAs&& pass_as, Launched&& launched) const;
  GpuPass decode_attention(double batch, double kv_per_request, Split split, int queries);
  Ticks launch_of(double tokens, StepKind kind, double attention_kernels);
  GpuPass edges(double sequences);
  GpuPass drafts(double batch, double kv_per_request, bool with_drafts);
  const GpuPass& draft_layer(double batch);
  double prompts_alone_us(const PromptLoad& prompts);
  double core_kernels(StepKind kind);
  double decode_us(std::int64_t batch_node, std::int64_t length_node, bool with_drafts);
  DecodeCurve make_curve(std::int64_t batch, bool drafts);

  std::unique_ptr<ForwardModel> forward_;  // none: fixed times
  LayerSums layers_;
  std::unique_ptr<IterationPricer> drafter_;  // a model that drafts; none: no such
  std::vector<int> graph_sizes_;              // batches with a graph; empty: all
  double core_kernels_[2] = {-1, -1};         // by kind; below 0: not counted yet
  Ticks fixed_iteration_ = 0, fixed_per_token_ = 0, request_overhead_ = 0;
  std::unordered_map<std::uint64_t, PromptNode> prompt_nodes_;
  CornerCache<PromptNode> prompt_cells_;  // of them
  LonePrompts lone_prompts_;
  std::unordered_map<std::uint64_t, GpuPass> decode_nodes_;
  std::unordered_map<double, GpuPass> draft_layers_;                      // by batch
  std::vector<GpuPass> edge_nodes_;                                       // by node; below 0: not asked for yet
  std::unordered_map<std::uint64_t, std::vector<Ticks>> curve_nodes_[2];  // without drafts and with them
  std::vector<std::unique_ptr<DecodeCurve>> curves_[2];
};

}  // namespace flopcast
