#include "analysis/runs/parts/slow_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "analysis/render/text/format.h"
#include "workloads/training/prices/step_layout.h"

namespace flopcast {
namespace {

std::string place(const Scenario& scenario, int gpu) {
  if (!scenario.training) return fmt::format("GPU {}", gpu);
  const int rank = pipeline_rank_of(*scenario.training, gpu);
  return rank < 0 ? fmt::format("GPU {} (not in the job)", gpu) : fmt::format("GPU {} (pipeline rank {})", gpu, rank);
}

std::string part_text(const SlowPart& part) {
  const std::string what = part.kind == SlowPart::Kind::gpu ? "runs" : "its " + slow_part_name(part.kind);
  return fmt::format("{} at {}", what, format_percent(part.speed, 0));
}

}  // namespace

std::string slow_part_name(SlowPart::Kind kind) {
  switch (kind) {
    case SlowPart::Kind::gpu:
      return "GPU";
    case SlowPart::Kind::nic:
      return "NIC";
    case SlowPart::Kind::nvlink:
      return "NVLink";
  }
  return {};
}

int pipeline_rank_of(const TrainingConfig& config, int gpu) {
  if (gpu < 0 || gpu >= config.plan.gpus()) return -1;
  return JobGrid(config.plan).pipeline_rank(RankId::at(gpu));
}

std::string slow_parts_text(const Scenario& scenario) {
  std::map<int, std::vector<std::string>> parts_of_gpu;
  for (const SlowPart& part : scenario.cluster.slow_parts) parts_of_gpu[part.rank].push_back(part_text(part));
  std::vector<std::string> texts;
  for (const auto& [gpu, parts] : parts_of_gpu)
    texts.push_back(fmt::format("{} {}", place(scenario, gpu), fmt::join(parts, ", ")));
  return fmt::format("{}", fmt::join(texts, "; "));
}

bool has_slow_part(const Scenario& scenario, int pipeline_rank) {
  const std::vector<SlowPart>& parts = scenario.cluster.slow_parts;
  return std::any_of(parts.begin(), parts.end(), [&](const SlowPart& part) {
    return pipeline_rank_of(*scenario.training, part.rank) == pipeline_rank;
  });
}

}  // namespace flopcast
