// What all layers of a pass take for so many tokens: sums per node of a grid, for iterations ask for no part of a layer
// alone.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "workloads/serving/pricing/forward.h"
#include "workloads/serving/pricing/gpu_pass.h"

namespace flopcast {

/// Blocks of a layer with experts, both micro-batches together where there are two. Any unit of time.
struct MoeBlocks {
  double attention = 0;  ///< and shared experts
  double experts = 0;    ///< routed ones
  double dispatch = 0, combine = 0;
};
MoeBlocks between(const MoeBlocks& low, const MoeBlocks& high, double way);
/// What the layer takes. With two micro-batches each exchange of one half runs beside computation of the other. Prompts
/// go through the blocks in turn (DeepSeek-V3 report 3.4.1): attention of one half beside dispatch or combine of the
/// other, experts likewise; a pair of blocks takes as long as the longer one. For decoding attention is cut so that the
/// blocks match (deepseek-ai/open-infra-index, day 6: "5-stage pipeline"): a layer takes what both halves compute, or
/// what both exchange.
double with_exchange(const MoeBlocks& blocks, bool two_micro_batches, StepKind kind);

/// A pass as one batch or as two micro-batches.
enum class Split : std::uint8_t { one, two };
/// One of something for each of both.
template <class T>
class BySplit {
 public:
  T& operator[](Split split) { return both_[static_cast<std::size_t>(split)]; }
  const T& operator[](Split split) const { return both_[static_cast<std::size_t>(split)]; }

 private:
  std::array<T, 2> both_{};
};

/// Not thread-safe: it fills its tables when asked.
class LayerSums {
 public:
  /// @param model null where nobody asks
  explicit LayerSums(const ForwardModel* model) : model_(model) {}

  /// How a pass may be cut.
  std::span<const Split> splits() const;
  bool may_split() const { return splits().size() > 1; }
  /// All layers for `tokens`; routed experts work on the mean of all groups.
  /// @param attention cores of one layer, their kernels counted as those of one micro-batch
  GpuPass pass(double tokens, double mean_tokens, StepKind kind, const GpuPass& attention, Split split);
  /// Of a pass as one batch: kernels and pieces alone.
  /// @param cores kernels of attention in one layer
  GpuPass launched(double tokens, StepKind kind, double cores);

 private:
  /// All layers at a node, all micro-batches together, attention's cores apart.
  struct Layers {
    GpuPass own;       ///< what the tokens of an attention group take; `gpu_us` of dense layers alone
    GpuPass experts;   ///< routed ones, which work on the mean of all groups; no `gpu_us`
    MoeBlocks blocks;  ///< of one layer with experts: what may run beside what
  };
  struct LayersBetween {
    const Layers *low, *high;
    double way;  ///< from the one to the other
    template <class Part>
    Part of(Part Layers::*part) const {
      return between(low->*part, high->*part, way);
    }
  };
  Layers price(double tokens, StepKind kind, Split split) const;
  const Layers& at(std::size_t node, StepKind kind, Split split);
  LayersBetween around(double tokens, StepKind kind, Split split);
  void count_kernels(GpuPass& pass, const Layers& layers, double cores, Split split) const;

  const ForwardModel* model_;
  std::array<BySplit<std::vector<std::unique_ptr<const Layers>>>, 2> known_;  // by kind, split and node; null: not yet
};

}  // namespace flopcast
