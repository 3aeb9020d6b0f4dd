// What a pass meets in a stage, in order.
#pragma once
#include <cstdint>
#include <vector>

#include "workloads/training/stages.h"

namespace flopcast {

/// A stage as a forward (or, reversed, a backward) pass walks it: transformer layers, and the edge work (embedding,
/// head, MTP projection) that comes before layer i; `edges.back()` comes after the last layer.
struct StageWalk {
  struct Layer {
    bool moe = false;
    double weight = 1;        ///< below 1 for the rest of a fractional split
    std::uint16_t index = 0;  ///< within the model
  };
  enum class Edge : std::uint8_t { embedding, head, mtp_projection };
  std::vector<Layer> layers;
  std::vector<std::vector<Edge>> edges;  ///< layers.size() + 1 entries
};
StageWalk forward_walk(const ModelConfig& model, const StageContent& stage);
StageWalk reversed(const StageWalk& walk);

}  // namespace flopcast
