// Do iterations cost what the hardware allows: memory-bound attention, communication bounds, bytes of caches?
#include "scenarios/read/calibrations/engine_calibration.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "workloads/serving/experts/expert_pace.h"
#include "workloads/serving/experts/steady_load.h"
#include "workloads/serving/pricing/limits.h"

using namespace flopcast;

TEST_CASE("published lower bounds of TPOT", "[serving]") {
  ExchangeBound bound;
  bound.rate = 50_GBps;
  CHECK(exchange_time(bound).value() == Approx(120.96e-6).epsilon(0.001));
  CHECK(tpot_bound(bound).value() == Approx(14.76e-3).epsilon(0.01));
  bound.rate = 900_GBps;  // NVL72, one direction
  CHECK(exchange_time(bound).value() == Approx(6.72e-6).epsilon(0.001));
  CHECK(tpot_bound(bound).value() == Approx(0.82e-3).epsilon(0.01));
}

TEST_CASE("experts alike have no busiest GPU, skewed ones have, copies help", "[serving]") {
  ExpertPaceConfig config;
  const ExpertGroup plain{256, 0, 1, 32, 8}, copies{256, 32, 1, 32, 8};
  for (const double load : busiest_rank_loads(config, plain, 20, 1)) CHECK(load == 1.0);
  config.variation = 0.8;
  const auto mean = [](const std::vector<double>& loads) {
    double sum = 0;
    for (const double load : loads) sum += load;
    return sum / static_cast<double>(loads.size());
  };
  const auto with = busiest_rank_loads(config, copies, 200, 1);
  config.eplb = false;
  const auto in_order = busiest_rank_loads(config, plain, 200, 1);
  CHECK(mean(with) > 1.0);
  CHECK(mean(with) < mean(in_order));
}

TEST_CASE("placements go stale until they are renewed", "[serving]") {
  ExpertPaceConfig config;
  config.variation = 0.8;
  config.memory = 0.7;
  config.rebalance_period = config.drift_period * 10.0;
  const ExpertGroup group{256, 32, 1, 32, 8};
  const auto loads = busiest_rank_loads(config, group, 200, 3);
  double fresh = 0, stale = 0;
  for (std::size_t i = 0; i < loads.size(); i += 10) {
    fresh += loads[i];
    stale += loads[i + 9];
  }
  CHECK(stale > 1.1 * fresh);
}

TEST_CASE("copies placed by what the same traffic gave leave less than none, more than those placed in hindsight",
          "[serving]") {
  const ExpertGroup group{256, 32, 1, 36, 8}, none{256, 0, 1, 36, 8};
  constexpr double kInHindsight = 1.115;  // TensorRT-LLM, DeepSeek-R1 on 36 GPUs
  const EngineConstants constants = read_engine_calibration(testing::source_dir() + "/" + kEngineCalibrationFile);
  const double answers = constants.answers_alike.value, prompts = constants.prompts_alike.value;
  const double placed = steady_busiest_load(1, answers, group, 58, 1);
  CHECK(placed > kInHindsight);
  CHECK(placed < 1.5);
  CHECK(steady_busiest_load(1, 1, group, 58, 1) < kInHindsight);
  CHECK(steady_busiest_load(1, prompts, group, 58, 1) > placed);
  CHECK(steady_busiest_load(1, answers, none, 58, 1) > 1.2 * placed);
}
