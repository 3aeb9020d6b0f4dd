// Does a training step that is written as execution traces, and read again, take the same time?
#include "analysis/runs/chakra/chakra_report.h"
#include "scenarios/imports/chakra_import.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/scenarios/fixture.h"
#include "tests/workloads/et_writer.h"
#include "workloads/chakra/step_writer.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

// Pipelines in both directions, experts over nodes, gradients at the end.
const std::string kExperts = R"(
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" }
model: "deepseek-v3"
model_override { layers: 8 }
training {
  plan { pipeline: 4 data: 8 expert: 8 zero_stage: 1 }
  schedule: "dualpipe"
  batch { sequences: 64 sequence_length: 4096 }
}
)";

// Tensor parallelism, everything sharded, collectives beside the passes.
const std::string kSharded = R"(
cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
training {
  plan { pipeline: 1 data: 8 tensor: 2 zero_stage: 3 overlap_gradients: true overlap_parameters: true }
  schedule: "1f1b"
  batch { sequences: 32 sequence_length: 4096 }
}
)";

const std::string kPipeline = R"(
cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
training {
  plan { pipeline: 4 data: 4 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 4096 }
}
)";

/// A step as files of a folder.
struct Written {
  explicit Written(const std::string& text, bool all)
      : scenario(resolve_text(text, "step.textproto", testing::environment()).value()) {
    const PreparedStep prepared = prepare_step(scenario, *scenario.training);
    time = replay(prepared.step.graph, prepared.topology->network(), {}).makespan;
    StepWriter writer(*scenario.training, prepared.step, *prepared.topology, chakra_cluster_text(scenario.cluster));
    std::vector<RankId> ranks = writer.replayed();
    const bool folded = !all && static_cast<int>(ranks.size()) < writer.ranks();
    if (all) {
      ranks.clear();
      for (int rank = 0; rank < writer.ranks(); ++rank) ranks.push_back(RankId::at(rank));
    }
    for (const RankId rank : ranks)
      folder.write("step." + std::to_string(rank.index()) + ".et", writer.rank_file(rank, folded));
    folder.write("comm_group.json", writer.groups_json());
  }
  ChakraReport replayed(const ClusterSpec& cluster, NodePricing pricing = NodePricing::automatic) const {
    const ChakraJob job = load_chakra({folder.path(), "", 0});
    return replay_chakra(job, cluster, {pricing, Precision::bf16, scenario.links.get()}, {}).report;
  }

  Scenario scenario;
  Seconds time;
  test::TemporaryFolder folder;
};

TEST_CASE("a step written and read again takes the same time", "[chakra]") {
  for (const std::string& text : {kExperts, kSharded, kPipeline}) {
    for (const bool all : {false, true}) {
      const Written step(text, all);
      INFO(text << (all ? "all ranks" : "ranks replayed"));
      const ChakraReport again = step.replayed(step.scenario.cluster);
      CHECK(again.time.value() == Approx(step.time.value()).epsilon(1e-9));
      if (all) CHECK(again.ranks == step.scenario.cluster.gpus());
    }
  }
}

TEST_CASE("on another cluster a written step is replayed as anybody's traces", "[chakra]") {
  ClusterSpec slower = Written(kPipeline, false).scenario.cluster;
  slower.node.nic_bandwidth = slower.node.nic_bandwidth / 4;
  const Written all(kPipeline, true), some(kPipeline, false);
  CHECK_THROWS_WITH(some.replayed(slower), ContainsSubstring("which stand for the others") &&
                                               ContainsSubstring("flopcast chakra write --ranks all"));
  const ChakraReport slow = all.replayed(slower);
  CHECK(slow.time > all.time * 1.01);
  const auto says = [](const ChakraReport& report) {
    return std::any_of(report.notes.begin(), report.notes.end(),
                       [](const std::string& note) { return note.find("of another cluster") != std::string::npos; });
  };
  CHECK(says(slow));
  CHECK_FALSE(says(all.replayed(all.scenario.cluster)));
  // What it would take with communication priced anew is near what the step took.
  ClusterSpec same = all.scenario.cluster;
  CHECK(all.replayed(same, NodePricing::recorded).time.value() == Approx(all.time.value()).epsilon(0.05));
}

TEST_CASE("what compute nodes hold of waiting for the host is written, read and said elsewhere", "[chakra]") {
  const std::string long_kernels = kPipeline;
  std::string short_kernels = kPipeline;
  short_kernels.replace(short_kernels.find("4096"), 4, "64");
  const auto said = [](const std::string& text) {
    const Written all(text, true);
    ClusterSpec slower = all.scenario.cluster;
    slower.node.nic_bandwidth = slower.node.nic_bandwidth / 4;
    const auto has = [](const ChakraReport& report) {
      return std::any_of(report.notes.begin(), report.notes.end(), [](const std::string& note) {
        return note.find("in which the GPU waited for its host") != std::string::npos;
      });
    };
    CHECK_FALSE(has(all.replayed(all.scenario.cluster)));
    return has(all.replayed(slower));
  };
  CHECK(said(short_kernels));
  CHECK_FALSE(said(long_kernels));
}

TEST_CASE("links at their full rate are those of the data sheet, as closed forms have it", "[chakra]") {
  const Scenario scenario =
      resolve_text(
          "cluster { node: \"hgx-h100\" nodes: 1 fabric: \"single-switch\" }\n"
          "collective { operation: \"ring_all_reduce\" bytes: \"1 GB\" ranks: 8 measured_links: false }",
          "collective.textproto", testing::environment())
          .value();
  const test::TemporaryFolder folder;
  for (int rank = 0; rank < 8; ++rank)
    folder.write("w." + std::to_string(rank) + ".et", testing::EtText().collective(1, 0, 1'000'000'000).str());
  const double closed = 2 * 7.0 / 8 * 1e9 / 450e9;
  const ChakraReport full =
      replay_chakra(load_chakra({folder.path(), "", 0}), scenario.cluster, JobPrices{}, {}).report;
  CHECK(full.time.value() == Approx(closed).epsilon(0.02));
  CHECK(full.time.value() > closed);
  const CollectiveReport collective = run_collective(scenario, {});
  CHECK(collective.time.value() == Approx(closed).epsilon(0.02));
  CHECK(collective.closed_form.value() == Approx(closed).epsilon(1e-9));
}

TEST_CASE("the program writes a step and replays it", "[chakra][program]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("step.textproto", kPipeline), to = folder.path() + "/traces";
  const auto written = testing::flopcast("chakra write " + file + " --to " + to + " --ranks all");
  INFO(written.err);
  REQUIRE(written.code == 0);
  CHECK_THAT(testing::one_line(written.out), ContainsSubstring("16 of 16 ranks written"));
  const auto replayed = testing::flopcast("chakra replay " + to + " --on " + file);
  INFO(replayed.err);
  REQUIRE(replayed.code == 0);
  CHECK_THAT(testing::one_line(replayed.out), ContainsSubstring("of 16 ranks"));
  const auto again = testing::flopcast("chakra write " + file + " --to " + to);
  CHECK(again.code == 2);
  CHECK_THAT(again.err, ContainsSubstring("has traces already"));
}

}  // namespace
}  // namespace flopcast
