// Durations of everything a rank computes in one pass, priced once per step and looked up ever after.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "hwmodels/chips/power.h"
#include "workloads/training/prices/exchange_times.h"
#include "workloads/training/prices/phases.h"
#include "workloads/training/prices/step_layout.h"
#include "workloads/training/stages.h"

namespace flopcast {

/// A duration and how much of it rests on what.
struct Price {
  Seconds time;      ///< of compute
  Seconds nominal;   ///< the same on a GPU of nominal speed
  Seconds exchange;  ///< communication inside the tensor or context parallel group that compute does not hide
  Seconds host;      ///< of `time`: the GPU waits for its host
  /// Of exchanges in the layer: what would be waited for the host without them.
  Seconds host_beside;
  std::array<Seconds, 3> by_evidence;            ///< indexed by Evidence
  std::array<Seconds, kPriceSources> by_source;  ///< indexed by PriceSource; sums to `time`
  std::vector<PhaseExchange> exchanges;          ///< what `exchange` is the sum of
};

/// Whether communication kernels run beside compute (and hold their SMs) while a phase runs.
enum class SmShare { all, beside_communication };

class StepPrices {
 public:
  /// @param rank_loads relative expert load per expert-parallel rank.
  /// @param exchanges what communication inside tensor and context parallel groups takes.
  StepPrices(const TrainingConfig& config, const KernelModel& kernels, const ExchangeTimes& exchanges,
             std::span<const double> rank_loads);
  /// With what was priced for other steps. @param kernels outlives the prices.
  StepPrices(const TrainingConfig& config, KernelMemo& kernels, const ExchangeTimes& exchanges,
             std::span<const double> rank_loads);
  StepPrices(const StepPrices&) = delete;
  StepPrices& operator=(const StepPrices&) = delete;

  const Price& phase(Phase phase, bool moe, int expert_rank, SmShare share) const;
  const Price& edge(EdgePhase phase, SmShare share) const;
  /// A layer's mlp_forward that is done again.
  const Price& mlp_again(bool moe, int expert_rank, SmShare share) const;
  Price optimizer(double parameters) const;
  Price copy(Bytes bytes) const;
  /// A pipeline's message: what a GPU sends of it, and what putting it together takes behind it.
  struct Message {
    Bytes bytes;
    Seconds gather;
  };
  Message message() const;
  /// Price::exchange for a GPU in whose groups some ports are slow.
  Seconds exchange(const Price& price, const ExchangeTimes::GroupSpeeds& speeds) const;
  /// Tokens of a tensor-parallel group in one micro-batch.
  std::int64_t tokens() const { return tokens_; }
  /// Of them, those that one GPU keeps between layers (its share under sequence parallelism).
  std::int64_t own_tokens() const { return own_tokens(config_); }
  static std::int64_t own_tokens(const TrainingConfig& config);
  /// Of them, those that one GPU sends to experts.
  static std::int64_t sent_tokens(const TrainingConfig& config);
  /// Cost of the things a stage may hold, forward and backward together, on the busiest expert rank: what "balanced"
  /// balances.
  LayerCosts layer_costs() const;
  /// Where the board's limit lets a step's kernels settle, at the model's clock and on; nothing where prices hold the
  /// clock that they were measured at.
  const std::optional<ClockPoint>& settled() const { return settled_; }

 private:
  static constexpr int kEdges = 8;
  using Layer = std::array<Price, kPhases>;
  struct LayerPrices {
    bool moe = false;
    double load = 1;               // of its experts, over the mean
    std::array<bool, 2> priced{};  // [share]
    std::array<Layer, 2> of{};     // [share][phase]
    std::array<Price, 2> again{};  // [share]: mlp_again, where software leaves out a part of it
  };
  Price price(const PhaseCost& cost) const;
  Price edge_price(EdgePhase phase, int sms) const;
  const LayerPrices& with_share(LayerPrices& layer, SmShare share) const;
  void price_layer(LayerPrices& layer, std::size_t share) const;
  void wait_for_copies(Layer& layer, Phase at, Seconds copy, Seconds beside) const;
  /// @param copied to the host's memory in the forward pass and back in the backward pass, beside compute or before it.
  /// @param again the FFN's forward as where the layer is done again.
  Layer price_phases(const LayerShape& shape, int sms, Seconds exchanged, Seconds copied, bool again = false) const;
  bool leaves_out() const { return config_.software.stops_early && config_.recompute.full_layer; }
  LayerPrices& moe(std::size_t expert_rank) const;

  StepPrices(const TrainingConfig& config, std::unique_ptr<KernelMemo> kernels, const ExchangeTimes& exchanges,
             std::span<const double> rank_loads);

  const TrainingConfig& config_;
  std::unique_ptr<KernelMemo> own_kernels_;  // null: somebody else's
  KernelMemo& kernels_;
  const ExchangeTimes& exchanges_;
  std::int64_t tokens_;
  double stretch_;            // of all compute: the slowest GPU sets the pace
  std::size_t hottest_;       // expert rank that the others of its group wait for
  std::array<int, 2> sms_{};  // [share]
  std::optional<ClockPoint> settled_;
  double clock_ = 1;           // over the kernel model's own
  std::vector<double> loads_;  // [expert rank]
  // Priced when first asked for.
  mutable LayerPrices dense_;
  /// [expert rank]: a folded step has one of them.
  mutable std::vector<LayerPrices*> moe_;
  mutable std::deque<LayerPrices> moe_priced_;
  mutable std::array<std::array<std::optional<Price>, kEdges>, 2> edges_;  // [share][phase]
};

}  // namespace flopcast
