#include "workloads/training/stage_walk.h"

#include <algorithm>

namespace flopcast {

namespace {

void add_layers(std::vector<StageWalk::Layer>& layers, bool moe, double count, int& index) {
  while (count > 0) {
    layers.push_back({moe, std::min(1.0, count), static_cast<std::uint16_t>(index++)});
    count -= 1;
  }
}

}  // namespace

StageWalk forward_walk(const ModelConfig& model, const StageContent& stage) {
  StageWalk walk;
  int index = stage.first_layer;
  add_layers(walk.layers, false, stage.dense_layers, index);
  add_layers(walk.layers, true, stage.moe_layers, index);
  walk.edges.resize(walk.layers.size() + 1);
  if (stage.embedding) walk.edges.front().push_back(StageWalk::Edge::embedding);
  if (stage.head) walk.edges.back().push_back(StageWalk::Edge::head);
  for (int module = 0; module < static_cast<int>(stage.mtp_modules); ++module) {
    walk.edges.back().push_back(StageWalk::Edge::mtp_projection);
    add_layers(walk.layers, model.mtp_has_experts(), 1, index);
    walk.edges.push_back({StageWalk::Edge::head});
  }
  return walk;
}

StageWalk reversed(const StageWalk& walk) {
  StageWalk back = walk;
  std::reverse(back.layers.begin(), back.layers.end());
  std::reverse(back.edges.begin(), back.edges.end());
  for (auto& edges : back.edges) std::reverse(edges.begin(), edges.end());
  return back;
}

}  // namespace flopcast
