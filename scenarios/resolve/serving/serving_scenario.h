// A serving deployment after reading, look-ups and checks.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sim/base/fields.h"
#include "workloads/serving/config/class_rules.h"
#include "workloads/serving/config/failure_config.h"
#include "workloads/serving/config/pool_spec.h"
#include "workloads/serving/experts/expert_pace.h"
#include "workloads/serving/metrics/service_level.h"
#include "workloads/serving/traffic/traffic.h"

namespace flopcast {

struct EngineConstants;

/// What tokens are sold for.
struct TokenPriceTable {
  Usd input, cached, output;  ///< per million tokens
  std::string source;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("input", &TokenPriceTable::input, {"money"});
    field("cached", &TokenPriceTable::cached, {"money"});
    field("output", &TokenPriceTable::output, {"money"});
    field("source", &TokenPriceTable::source, {kLabel});
  }
};

struct ServingScenario {
  TrafficConfig traffic;
  std::string traffic_description;  ///< as the file has it: two that are equal ask the same
  std::vector<std::string> class_names;
  std::vector<std::string> clients;  ///< of benchmarks, "stream: client"
  std::vector<ServiceLevel> levels;  ///< per class
  ClassRules classes;                ///< per class: priorities, shares, deadlines
  std::vector<PoolSpec> pools;       ///< a chain: requests enter the first
  ExpertPaceConfig expert_pace;
  bool expert_pace_stated = false;
  FailureConfig failures;
  std::string faults;  ///< stated ones, as the file has them
  TokenPriceTable token_prices;
  int sample = 1;
  bool sample_time = false;          ///< the sample is of time, else of replicas
  bool layer_wise_transfer = false;  ///< caches leave while prompts are computed
  std::uint64_t seed = 1;
  bool jump = true;
  Seconds warm_up;
  std::shared_ptr<const EngineConstants> constants;  ///< filled in beside the other calibrations

  const ModelConfig& model() const { return answer_pool().engine.model; }
  /// The pool that computes prompts, and the one that gives answers; the same where one does both.
  std::size_t prompt_pool_index() const { return pool_that(computes_prompts); }
  std::size_t answer_pool_index() const { return pool_that(gives_answers); }
  const PoolSpec& answer_pool() const { return pools[answer_pool_index()]; }
  int gpus() const;  ///< of all replicas
  bool autoscaled() const;
  /// Gives caches and conversations the blocks by which prefixes are found: those of a trace; of conversations, which
  /// are drawn, whole pages as the engines keep them, of all pools alike. To be done again whenever pages or traffic
  /// have changed.
  void set_prefix_blocks();
  /// Replicas that one of the replay stands for.
  int replicas_per_replica() const { return sample_time ? 1 : sample; }
  /// How many times faster than in the scenario slow changes pass in the replay.
  int haste() const { return sample_time ? sample : 1; }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field.aside(&ServingScenario::traffic, "traffic_description");
    field("traffic", &ServingScenario::traffic_description,
          {.cause = "traffic", .shown = "requests", .resolved = true});
    field.aside(&ServingScenario::class_names, "traffic_description");
    field.aside(&ServingScenario::clients, "traffic_description");
    field.aside(&ServingScenario::levels, "traffic_description");
    field.aside(&ServingScenario::classes, "traffic_description");
    field("pools", &ServingScenario::pools, {.cause = "plan", .resolved = true});
    field("expert_skew", &ServingScenario::expert_pace);
    field.aside(&ServingScenario::expert_pace_stated, "expert_skew");
    field("failures", &ServingScenario::failures, {.resolved = true});
    field("fault", &ServingScenario::faults, {.cause = "upkeep", .shown = "faults", .resolved = true});
    field("token_prices", &ServingScenario::token_prices);
    field("sample", &ServingScenario::sample, {"traffic"});
    field("sample_by", &ServingScenario::sample_time, {.cause = "traffic", .shown = "sample_time", .on = "time"});
    field("kv_transfer", &ServingScenario::layer_wise_transfer,
          {.cause = "transfers", .shown = "layer_wise", .on = "layer_wise"});
    field("seed", &ServingScenario::seed, {"traffic"});
    field("jump", &ServingScenario::jump, {kLabel});
    field("warm_up", &ServingScenario::warm_up, {"traffic"});
    field.aside(&ServingScenario::constants, "calibration");
  }

 private:
  std::size_t pool_that(bool (*does)(ReplicaRole)) const {
    std::size_t pool = 0;
    while (pool + 1 < pools.size() && !does(pools[pool].role)) ++pool;
    return pool;
  }
};

}  // namespace flopcast
