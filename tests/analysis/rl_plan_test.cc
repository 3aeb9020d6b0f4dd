// Do `plan` and `size` of a loop find layouts that are as fast as they say, and say what is missing where none is?
#include "analysis/studies/plan/rl_plan.h"

#include <algorithm>
#include <set>

#include "analysis/face/run.h"
#include "analysis/studies/size/rl_size.h"
#include "flopcast/errors.h"
#include "flopcast/scenario.h"
#include "scenarios/proto/plan_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kLoop = "rl_llama_8b_16_h100";
/// One update a step, a run of a thousand.
const std::vector<std::string> kSmall{"rl.prompts=16", "rl.replayed_steps=1", "rl.run.steps=1000"};

LoopPlanStudy planned(const std::string& name, const std::vector<std::string>& sets, std::vector<std::string> open = {},
                      std::vector<std::string> keep = {}) {
  LoopPlanOptions options;
  options.open = std::move(open);
  options.keep = std::move(keep);
  options.workers = 2;
  return plan_loop(name, testing::environment(), sets, options);
}

Seconds step_of(const std::string& text) {
  const ResolvedScenario scenario = resolve_text(text, "loop.textproto", testing::environment());
  return run_rl(scenario.value(), rl_options(scenario.value(), testing::environment(), {})).step.length;
}

TEST_CASE("plan of a loop ranks layouts, its own among them, and each takes as long as it says", "[plan][rl]") {
  const LoopPlanStudy study = planned(kLoop, kSmall);
  REQUIRE(study.plans.size() > 4);
  REQUIRE(study.own);
  for (std::size_t i = 1; i < study.plans.size(); ++i) CHECK(study.plans[i - 1].step <= study.plans[i].step);
  for (const PlannedLoop& plan : study.plans) {
    CHECK(plan.choice.placement == RlPlacement::colocated);  // another placement would learn otherwise: only if opened
    CHECK(plan.choice.gpus() == 16);
    CHECK(plan.gpu_hours == Approx(1000 * plan.step.value() * 16 / 3600));
  }
  CHECK(std::any_of(study.plans.begin(), study.plans.end(), [&](const auto& p) { return p.choice == *study.own; }));
  const PlannedLoop& best = study.plans.front();
  CHECK(step_of(scenario_text(study, best.choice, testing::environment())).value() == Approx(best.step.value()));
  std::set<std::string> said;  // no two layouts look the same
  for (const PlannedLoop& plan : study.plans) CHECK(said.insert(loop_text(plan.choice)).second);
  CHECK_THAT(to_text(study), ContainsSubstring("The scenario's own layout"));
  CHECK_THAT(to_csv(study), ContainsSubstring("in turn: train DP"));
  CHECK(to_message(study).plans_size() == static_cast<int>(study.plans.size()));
}

TEST_CASE("GPUs that train and generate are split as well as they can be", "[plan][rl]") {
  std::vector<std::string> sets = kSmall;
  sets.emplace_back("rl.replayed_steps=2");
  const LoopPlanStudy study = planned("rl_llama_8b_async_16_h100", sets, {}, {"trainer", "engine", "batch"});
  std::set<int> trainers;
  for (const PlannedLoop& plan : study.plans) {
    CHECK(plan.choice.trainer_gpus + plan.choice.engine_gpus == 16);
    CHECK(plan.choice.engine == study.own->engine);
    trainers.insert(plan.choice.trainer_gpus);
  }
  CHECK(trainers.size() > 1);
  // In between: neither side waits for a single GPU of the other.
  CHECK(study.plans.front().choice.trainer_gpus > 2);
  CHECK(study.plans.front().choice.trainer_gpus < 16);
}

TEST_CASE("placement is opened on request; loops that only train or only write are laid out too", "[plan][rl]") {
  const LoopPlanStudy both = planned(kLoop, kSmall, {"placement"}, {"trainer", "batch", "engine"});
  std::set<RlPlacement> placements;
  for (const PlannedLoop& plan : both.plans) placements.insert(plan.choice.placement);
  CHECK(placements.size() == 2);
  const LoopPlanStudy writes =
      planned("rl_r1_data_512_h800", {"rl.prompts=16", "cluster.nodes=8"}, {}, {"batch", "engine"});
  CHECK(writes.plans.front().choice.trainer_gpus == 0);
  CHECK(writes.plans.front().choice.engine_gpus == 64);
}

TEST_CASE("what cannot be planned is said", "[plan][rl]") {
  CHECK_THROWS_WITH(planned(kLoop, kSmall, {"tensor"}), ContainsSubstring("some of placement, split"));
  CHECK_THROWS_WITH(planned(kLoop, kSmall, {}, {"split", "trainer", "engine", "batch"}),
                    ContainsSubstring("left open"));
  CHECK_THROWS_WITH(planned("llama_3_1_8b_64_h100", {}), ContainsSubstring("rl { ... }"));
  CHECK_THROWS_WITH(planned(kLoop, {"cluster.nodes=1", "model=llama-3.1-405b", "rl.prompts=16"}),
                    ContainsSubstring("no layout of"));
}

TEST_CASE("size names the smallest cluster that makes the run in time", "[size][rl]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(11 * 3600.0);
  options.workers = 2;
  const TrainingSize size = size_loop(kLoop, testing::environment(), kSmall, options);
  REQUIRE(size.met.size() == 1);
  const TrainingCluster& best = size.met.front();
  CHECK(best.days * 24 <= 11);
  CHECK(best.usd.has_value());
  CHECK(best.days_range->p95 > best.days);
  CHECK((*best.odds > 0.2 && *best.odds < 1));
  bool smaller = false;
  for (const TrainingCluster& tried : size.tried) {
    if (tried.gpus >= best.gpus) continue;
    smaller = true;
    CHECK(tried.days * 24 > 11);
  }
  CHECK(smaller);
  CHECK_THAT(to_text(size, options), ContainsSubstring("1,000 steps"));
  CHECK_THAT(to_csv(size), ContainsSubstring("in turn: train"));
  CHECK(to_message(size, options).steps() == 1000);

  options.deadline = Seconds(60.0);  // less than any answer takes
  options.most_gpus = 16;
  const TrainingSize none = size_loop(kLoop, testing::environment(), kSmall, options);
  CHECK(none.met.empty());
  CHECK(none.not_met.size() == 1);
  CHECK_THROWS_WITH(size_loop(kLoop, testing::environment(), {}, options), ContainsSubstring("rl.run.steps"));
  CHECK_THROWS_WITH(size_loop(kLoop, testing::environment(), kSmall, {}), ContainsSubstring("--budget"));
}

TEST_CASE("size of a loop on two kinds of GPU: both grow in proportion, at the mean of their prices", "[size][rl]") {
  std::vector<std::string> sets = kSmall;
  for (const char* set : {"rl.rollout_cluster.node=hgx-h200", "rl.rollout_cluster.nodes=2",
                          "rl.rollout_cluster.fabric=rail-ft2", "cluster.nodes=1", "date=2025-06-01"})
    sets.emplace_back(set);
  TrainingSizeOptions options;
  options.workers = 2;
  options.deadline = Seconds(3600.0 * 24 * 30);  // any does
  options.nodes = {"hgx-h100"};
  options.most_gpus = 48;
  const TrainingSize size = size_loop("rl_llama_8b_async_16_h100", testing::environment(), sets, options);
  REQUIRE(size.met.size() == 1);
  const TrainingCluster& best = size.met.front();
  CHECK(best.nodes == 1);
  CHECK(best.gpus == 24);
  CHECK(best.text() == "1 x hgx-h100 + 2 x hgx-h200");
  CHECK_THAT(best.layout, ContainsSubstring("8 + 16 apart"));
  CHECK_THAT(to_csv(size), ContainsSubstring("2 x hgx-h200"));
}

}  // namespace
}  // namespace flopcast
