// Training in several sites: all together over thin links, or each on its own with an exchange now and then.
#include <algorithm>
#include <string>
#include <vector>

#include "analysis/runs/training/local_updates.h"
#include "analysis/runs/training/run.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"

using namespace flopcast;

namespace {

constexpr const char* kText = R"(title: "Two sites"
cluster { node: "hgx-h100" nodes: 8 fabric: "rail-ft2"
          fabric_override { sites: 2 site_bandwidth: "2 GB/s per direction" site_latency: "5 ms" } }
model: "llama-3.1-8b"
training {
  plan { pipeline: 2 data: 32 }
  schedule: "1f1b"
  batch { sequences: 512 sequence_length: 4096 }
}
)";

Scenario scenario(std::vector<std::string> sets = {}) {
  return resolve_text(kText, "sites.textproto", testing::environment(), sets).value();
}

TrainingReport ran_training(const Scenario& of) {
  RunOptions options;
  options.project = false;
  options.allow_oom = true;
  return run_training(of, options);
}

const std::vector<std::string> kOneSite{"cluster.nodes=4", "training.plan.data=16", "training.batch.sequences=256",
                                        "cluster.fabric_override.sites=1"};

}  // namespace

TEST_CASE("a step over two sites waits for what their links carry", "[analysis]") {
  const TrainingReport together = ran_training(scenario()), alone = ran_training(scenario(kOneSite));
  CHECK_FALSE(together.run.folded);
  // Stages lie in a site each: activations and gradients of 32 replicas cross, both ways at once.
  const double bytes = 512.0 * 4096 * 4096 * 2;
  CHECK(together.step_time.value() > bytes / 2e9);
  CHECK(together.step_time > 1.5 * alone.step_time);
}

TEST_CASE("workers train as one alone does, and wait for their exchange", "[analysis]") {
  const TrainingReport alone = ran_training(scenario(kOneSite));
  std::vector<std::string> sets{"training.local_updates.workers=2", "training.local_updates.inner_steps=50"};
  const Scenario waiting = scenario(sets);
  const TrainingReport report = ran_training(waiting);
  // Each sends as many bytes as it has parameters in FP32: 2 (2-1)/2.
  const double parameters = count_parameters(waiting.training->model).total;
  const double exchange = 4 * parameters / 2e9 + 2 * (5e-3 + waiting.cluster.fabric.cross_leaf_latency.value());
  CHECK(outer_exchange(waiting, alone.step_time).time.value() == Approx(exchange));
  CHECK(report.step_time.value() == Approx(alone.step_time.value() + exchange / 50));
  CHECK(report.tokens_per_step == Approx(2 * alone.tokens_per_step));
  CHECK(report.mfu == Approx(alone.mfu * (alone.step_time / report.step_time)));
  CHECK(report.mean.parts.total().value() == Approx(report.step_time.value()));
  CHECK(report.notes.back().find("local updates") != std::string::npos);
  sets.push_back("training.local_updates.streaming=true");
  CHECK(ran_training(scenario(sets)).step_time.value() ==
        Approx(alone.step_time.value() + std::max(0.0, exchange / 50 - alone.step_time.value())));
  sets.back() = "training.local_updates.bytes_per_parameter=0.5";
  CHECK(ran_training(scenario(sets)).step_time < report.step_time);
}

TEST_CASE("the range of a step with local updates counts the outer exchange as one of data", "[analysis]") {
  const Scenario waiting = scenario({"training.local_updates.workers=2", "training.local_updates.inner_steps=50"});
  RunOptions options;
  options.project = false;
  options.allow_oom = true;
  options.errors = testing::environment().data().step_errors();
  const TrainingReport report = run_training(waiting, options);
  REQUIRE(report.range);
  CHECK(report.range->step_s.p5 < report.step_time.value());
  CHECK(report.range->step_s.p95 > report.step_time.value());
  CHECK(report.range->step_s.p50 == Approx(report.step_time.value()).epsilon(0.05));
}

TEST_CASE("workers that cannot share out what there is are refused", "[analysis]") {
  CHECK_THROWS_AS(scenario({"training.local_updates.workers=3"}), InputError);
  CHECK_THROWS_AS(scenario({"training.local_updates.workers=4"}), InputError);  // two sites
  CHECK_THROWS_AS(scenario({"cluster.fabric_override.sites=3", "cluster.nodes=2"}), InputError);
}

TEST_CASE("what is left to each worker obeys the laws of a step of its own", "[analysis]") {
  const std::vector<std::string> two{"training.local_updates.workers=2", "training.plan.zero_stage=3"};
  const auto with = [&](const std::string& more) {
    std::vector<std::string> sets = two;
    sets.push_back(more);
    return sets;
  };
  CHECK_NOTHROW(scenario(with("training.plan.shard_group=16")));
  // 32 replicas have groups of 32, a worker's 16 have not; so with its 256 sequences in micro-batches of 32.
  CHECK_THROWS_WITH(scenario(with("training.plan.shard_group=32")),
                    Catch::Matchers::ContainsSubstring("training.plan.shard_group: found 32 in each of 2 workers"));
  CHECK_THROWS_AS(scenario({"training.local_updates.workers=2", "model=mixtral-8x7b", "training.plan.expert=8",
                            "training.plan.data=8", "cluster.nodes=2", "training.batch.sequences=64"}),
                  InputError);
}
