// A serving deployment after reading, look-ups and checks.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "workloads/serving/deployment.h"
#include "workloads/serving/expert_pace.h"
#include "workloads/serving/traffic.h"

namespace flopcast {

/// What tokens are sold for.
struct TokenPriceTable {
  Usd input, cached, output;  ///< per million tokens
  std::string source;
};

struct ServingScenario {
  TrafficConfig traffic;
  std::string traffic_description;  ///< as the file has it: two that are equal ask the same
  std::vector<std::string> class_names;
  std::vector<ServiceLevel> levels;  ///< per class
  std::vector<PoolSpec> pools;       ///< one, or prefill and decode
  ExpertPaceConfig expert_pace;
  FailureConfig failures;
  AutoscaleConfig autoscale;
  TokenPriceTable token_prices;
  int sample = 1;
  std::uint64_t seed = 1;
  bool jump = true;
  Seconds warm_up;
  std::shared_ptr<const EngineConstants> constants;  ///< filled in beside the other calibrations

  const ModelConfig& model() const { return pools.front().engine.model; }
  int gpus() const;  ///< of all replicas
};

}  // namespace flopcast
