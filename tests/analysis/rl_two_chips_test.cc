// A loop that trains on one kind of GPU and writes on another: does each count with its own price, power, rules and
// memory? And loops that take fewer GPUs than there are, or have slow ones.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "analysis/runs/metrics.h"
#include "analysis/runs/parts/message_parts.h"
#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/training/training_message.h"
#include "analysis/studies/compare/compare.h"
#include "flopcast/flopcast.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/temporary.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinRel;
using Sets = std::vector<std::string>;

const std::string kTwo = R"(cluster { node: "hgx-h800" nodes: 1 fabric: "rail-ft2" }
model: "qwen2.5-1.5b"
training {
  plan { data: 8 zero_stage: 1 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 8192 }
  recompute { full_layer: true }
}
rl {
  algorithm: "grpo"
  prompts: 16 group: 8
  prompt { mean: 300 }
  answer { mean: 1000 shape: "log_normal" variation: 0.8 most: 4000 group_correlation: 0.5 }
  placement: "separate"
  rollout { count: 16 engine: "vllm-0.11" }
  rollout_cluster { node: "hgx-h20" nodes: 2 fabric: "rail-ft2" }
  asynchrony { staleness: 1 in_flight: "recompute" }
  run { steps: 500 }
}
date: "2025-06-01"
price { gpu: "2 USD/h" source: "assumed" }
)";

RlReport ran(const Sets& sets = {}) {
  const Scenario scenario = resolve_text(kTwo, "two.textproto", testing::environment(), sets).value();
  RlOptions options;
  options.power = testing::power_of(scenario);
  return run_rl(scenario, options);
}

double figure_of(const RlReport& report, const char* name) {
  const std::vector<Metric> found = metrics(report);
  const Metric* const metric = find_metric(found, name);
  REQUIRE(metric != nullptr);
  REQUIRE(metric->number().has_value());
  return *metric->number();
}

bool noted(const RlReport& report, const std::string& part) {
  return std::any_of(report.notes.begin(), report.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

/// Dollars of a GPU-hour of the run.
double hour(const Sets& sets) {
  const RlReport report = ran(sets);
  return report.run->cost.value() / report.run->gpu_hours;
}

TEST_CASE("two kinds of GPU: each has its own price, whatever the price model", "[rl][money]") {
  for (const char* model : {"rental", "owned", "amortised"}) {
    INFO(model);
    const auto with = [&](const std::string& trains, const std::string& writes) {
      return hour(
          {fmt::format("price.model={}", model), "cluster.node=" + trains, "rl.rollout_cluster.node=" + writes});
    };
    // 8 train and 16 write.
    const double both = with("hgx-h100", "hgx-h200"), trains = with("hgx-h100", "hgx-h100"),
                 writes = with("hgx-h200", "hgx-h200");
    CHECK(std::abs(trains / writes - 1) > 0.02);
    CHECK_THAT(both, WithinRel((trains + 2 * writes) / 3, 1e-9));
  }
}

TEST_CASE("two kinds of GPU: each draws its own power, and is judged by the rules of the day", "[rl]") {
  const RlReport two = ran(), h800 = ran({"rl.rollout_cluster.node=hgx-h800"});
  const auto watts = [](const RlReport& r) { return r.run->energy.value() / (r.run->gpu_hours * 3600); };
  CHECK(watts(two) < 0.9 * watts(h800));  // 400 W and 700 W
  CHECK(noted(two, "h800-sxm to China"));
  CHECK(noted(two, "h20 to China"));
  const std::string text = testing::one_line(to_text(two, TextStyle(false)));
  CHECK_THAT(text, ContainsSubstring("on 8 x NVIDIA H800 80GB SXM5 to train and 16 x NVIDIA H20 96GB to generate"));
  const std::vector<Metric> found = metrics(two);
  CHECK(find_metric(found, "rl.engine_gpu")->shown() == "h20");
  CHECK(noted(two, "taken of both kinds of GPU"));
  // A kind that nobody rents out is no other kind's price.
  CHECK_THROWS_WITH(ran({"price.model=rental"}),
                    ContainsSubstring("h20, of which no offer is known") && ContainsSubstring("owned or amortised"));
  CHECK_THROWS_WITH(ran({"price.model=rental", "price.rental.term=3-yaer", "rl.rollout_cluster.node=hgx-h100"}),
                    ContainsSubstring("price.rental.term") && ContainsSubstring("expected one of"));
}

TEST_CASE("cost of a loop: the kinds and numbers of GPUs, both prices, a range of the hours", "[rl][money]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("two.textproto", kTwo);
  const auto outcome = testing::flopcast(
      "cost " + file + " --set price.model=rental --set cluster.node=hgx-h100 --set rl.rollout_cluster.node=hgx-h200");
  REQUIRE(outcome.code == 0);
  const std::string text = testing::one_line(outcome.out);
  for (const char* part : {"24 h100-sxm and h200-sxm", "h100-sxm: GPU-hour", "h200-sxm: GPU-hour", "run.gpu_hours"})
    CHECK_THAT(text, ContainsSubstring(part));
}

TEST_CASE("comparing: memory of the engine is its own chip's, and its cluster has the causes of any", "[rl][compare]") {
  const auto scenario = [](const Sets& sets) {
    return resolve_text(kTwo, "two.textproto", testing::environment(), sets).value();
  };
  CompareOptions options;
  options.workers = 2;
  options.whole_runs = false;
  const auto causes = [&](const Sets& a, const Sets& b) {
    const ScenarioComparison c = compare({scenario(a), scenario(b)}, options);
    const Waterfall& w = c.waterfalls.front();
    CHECK(w.unexplained == 0);
    CHECK(w.remarks.empty());
    std::vector<std::string> ids;
    for (const CauseShare& cause : w.causes) ids.push_back(cause.id);
    return ids;
  };
  CHECK(causes({}, {"rl.rollout.max_batch=64"}) == Sets{"engine"});
  CHECK(causes({}, {"rl.rollout_cluster.slow[0].gpu=3", "rl.rollout_cluster.slow[0].speed=0.5"}) == Sets{"slow"});
  const Sets chips = causes({}, {"rl.rollout_cluster.node=hgx-h800"});
  CHECK(std::count(chips.begin(), chips.end(), "compute") == 1);
  CHECK(std::count(chips.begin(), chips.end(), "memory-bandwidth") == 1);
  CHECK(std::count(chips.begin(), chips.end(), "plan") == 0);
}

TEST_CASE("GPUs that wait for a slow one do not compute", "[rl]") {
  const RlReport even = ran(), slow = ran({"cluster.slow[0].gpu=3", "cluster.slow[0].speed=0.5"});
  CHECK(slow.step.training() > 1.5 * even.step.training());
  // The slow one computes twice as long, the seven others as long as before and wait for as long.
  CHECK_THAT(computing(slow) / computing(even), WithinRel(9.0 / 8, 0.05));
  CHECK(figure_of(slow, "rl.idle_imbalance") > 0.25 * (slow.step.training() / slow.step.length) / 3);
  CHECK_THAT(figure_of(slow, "rl.gpu_busy") + figure_of(slow, "rl.idle_tail") + figure_of(slow, "rl.idle_waiting") +
                 figure_of(slow, "rl.idle_moving") + figure_of(slow, "rl.idle_imbalance") +
                 figure_of(slow, "rl.idle_host"),
             WithinRel(1.0, 1e-6));
  const report::Report message =
      to_message(ran({"rl.rollout_cluster.slow[0].gpu=3", "rl.rollout_cluster.slow[0].speed=0.5"}));
  REQUIRE(message.scenario().slow_parts_size() == 1);
  CHECK(message.scenario().slow_parts(0).engine());
}

TEST_CASE("GPUs that a loop leaves alone are said, and change neither hours nor failures", "[rl]") {
  const Sets fails{"resilience.failure_rate=1e-3 per GPU-hour"};
  const auto with = [&](Sets sets) {
    sets.insert(sets.end(), fails.begin(), fails.end());
    return ran(sets);
  };
  const RlReport all = with({});
  CHECK_FALSE(noted(all, "the others do nothing"));
  for (const Sets& larger : {Sets{"cluster.nodes=30"}, Sets{"rl.rollout_cluster.nodes=40"}}) {
    const RlReport some = with(larger);
    CHECK(noted(some, "the others do nothing"));
    CHECK_THAT(some.run->gpu_hours, WithinRel(all.run->gpu_hours, 1e-9));
  }
}

TEST_CASE("a run whose answers do not grow takes its steps as long as the step", "[rl]") {
  for (const char* in_flight : {"recompute", "keep"}) {
    INFO(in_flight);
    const RlReport report =
        ran({fmt::format("rl.asynchrony.in_flight={}", in_flight), "rl.run.growth[0].step=0",
             "rl.run.growth[0].mean=1000", "rl.run.growth[1].step=500", "rl.run.growth[1].mean=1000"});
    CHECK_THAT(figure_of(report, "rl.run.mean_step_s"), WithinRel(report.step.length.value(), 0.05));
    CHECK(figure_of(report, "rl.engine_busy") <= 1);
    CHECK_THAT(figure_of(report, "rl.written_over_trained"), WithinRel(1.0, 0.01));
    CHECK(noted(report, "steps were replayed"));
  }
}

}  // namespace
}  // namespace flopcast
