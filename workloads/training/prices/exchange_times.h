// How long communication inside a layer takes (tensor and context parallelism), and how much of it compute hides.
//
// These exchanges come many times per layer, between GPUs that sit close together and carry nothing else at that
// moment, so they are priced in closed form from the measured collectives and not replayed as flows.
#pragma once
#include "hwmodels/fabric/cluster.h"
#include "hwmodels/fabric/link_calibration.h"
#include "workloads/collectives/nccl.h"
#include "workloads/training/prices/phases.h"
#include "workloads/training/training.h"

namespace flopcast {

class ExchangeTimes {
 public:
  ExchangeTimes(const TrainingConfig& config, const ClusterSpec& cluster, const LinkCalibration& links);

  struct Split {
    Seconds exposed, hidden;
  };
  /// Rates of the slowest ports of a group over those of the data sheet: everybody waits for them.
  struct PortSpeed {
    double nvlink = 1, nic = 1;
    bool operator==(const PortSpeed&) const = default;
  };
  /// Of the groups that a GPU is in.
  struct GroupSpeeds {
    PortSpeed tensor, expert_tensor, context;
    bool operator==(const GroupSpeeds&) const = default;
  };
  /// time C beside compute of length G: what is longer than the compute is exposed, and of the rest the share that
  /// calibration runs show (chunks that wait for each other, SMs and memory shared): C - (1 - share) min(C, G).
  Split split(const PhaseExchange& exchange, const GroupSpeeds& speeds) const;
  Split split(const PhaseExchange& exchange) const { return split(exchange, {}); }
  /// Once, alone.
  Seconds time(const LayerExchange& exchange, const GroupSpeeds& speeds) const;
  Seconds time(const LayerExchange& exchange) const { return time(exchange, {}); }
  /// A dispatch or a combine of so many tokens per GPU, alone, with equal loads. Zero where experts are not spread.
  Seconds expert_exchange(std::int64_t tokens) const;
  const NodeSpec& node() const { return cluster_.node; }

 private:
  /// `ranks` that lie `stride` GPUs apart.
  struct Group {
    int ranks, stride;
  };
  Group group_of(LayerExchange::Kind kind) const;
  NcclGroup lie_of(const Group& group) const;

  const TrainingConfig& config_;
  const ClusterSpec& cluster_;
  const LinkCalibration& links_;
};

}  // namespace flopcast
