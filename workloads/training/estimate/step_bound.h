// What no step does faster, whatever hides what: for searches, which need to know the time of few plans and of all
// others only that it is too long.
#pragma once
#include <span>
#include <vector>

#include "workloads/schedules/schedule.h"
#include "workloads/training/estimate/pass_profile.h"
#include "workloads/training/stages.h"

namespace flopcast {

/// One micro-batch through something that a stage may hold.
struct WorkFloor {
  Seconds lane;      ///< of the compute lane: forward, backward and weight gradients, one after the other
  Seconds weights;   ///< of it, weight gradients
  Seconds forward;   ///< from the activations that come in to those that leave
  Seconds backward;  ///< the same of gradients

  WorkFloor& operator+=(const WorkFloor& other);
};
WorkFloor operator*(double times, const WorkFloor& floor);

class FloorPrices;

/// The same of everything that a stage may hold.
struct WorkFloors {
  /// @param pairs forward and backward of different micro-batches may run together, so that tokens hide.
  /// @param stretch of compute, by the slowest GPU.
  WorkFloors(const TrainingConfig& config, const PassPrices& prices, bool pairs, double stretch = 1);

  WorkFloor of(const StageContent& stage) const;

  WorkFloor dense, moe, embedding, head, mtp;
  /// What tokens on their way to experts and back add to the lane.
  struct Tokens {
    Tokens() = default;
    Tokens(const FloorPrices& prices, Seconds tokens_alone, bool may_pair);
    Seconds of(double layers) const;

    bool pairs = false;
    Seconds forward_seen, backward_seen;      ///< of a layer: what nothing of its own micro-batch hides
    Seconds last_combine;                     ///< which a forward pass does not wait for
    Seconds forward_slower, backward_slower;  ///< of a layer beside another micro-batch
  } tokens;
  /// Of layers that are computed again as a whole: at most so many of a stage.
  WorkFloor dense_again, moe_again;
  int most_again = 0;
};

/// From the start of the step to its last pass, of the rank for which it is longest: its lane works on every
/// micro-batch, the first of which comes through the stages before its own, and back through them the last one's
/// gradients go.
/// @param stage_of Schedule::stage_of. @param floors [stage]
/// @param weights_later weight gradients may be computed after the gradients of inputs have left.
Seconds passes_bound(std::span<const std::vector<int>> stage_of, std::span<const WorkFloor> floors, int micro_batches,
                     bool weights_later);

}  // namespace flopcast
