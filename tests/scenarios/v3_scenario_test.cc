// Does the V3 file say what was published, and fit on a screen?
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

const std::string kPath = flopcast::testing::source_dir() + "/scenarios/library/deepseek_v3_2048_h800.textproto";

std::string contents() {
  std::ifstream in(kPath);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("the V3 scenario is the published run") {
  const Scenario s = load_scenario("deepseek_v3_2048_h800", {}, libraries());
  REQUIRE(s.training);
  CHECK(s.cluster.gpus() == 2048);
  CHECK(s.training->plan.gpus() == 2048);
  CHECK(s.training->micro_batches() == 120);
  CHECK(s.training->batch.tokens() == 62'914'560);
  CHECK(s.cluster.fabric.kind == FabricKind::multi_plane);
  CHECK(s.training->precision.linear == Precision::fp8);
  CHECK(s.training->precision.scaling == Scaling::blocks);
  CHECK(s.training->precision.combine == Precision::bf16);
  CHECK(s.training->precision.moments == Precision::bf16);
  CHECK(s.training->precision.gradients == Precision::fp32);
  REQUIRE(s.phases.size() == 4);
  CHECK(s.phases[0].tokens == 14.8e12);
  CHECK(s.phases[0].ramp_from_sequences == 3072);
  CHECK(s.phases[3].given_gpu_hours == 5000.0);
  CHECK(s.price.gpu.value() * 3600 == Approx(2));
}

TEST_CASE("every phase of V3 uses all GPUs and keeps 4,096 tokens per GPU and micro-batch") {
  const Scenario s = load_scenario("deepseek_v3_2048_h800", {}, libraries());
  for (int i = 0; i < 3; ++i) {
    const TrainingPhase& phase = s.phases[static_cast<std::size_t>(i)];
    INFO(phase.name);
    CHECK(phase.plan.gpus() == 2048);
    CHECK(phase.plan.pipeline == 16);
    CHECK(phase.batch.sequence_length / phase.plan.context == 4096);
    if (i > 0) CHECK(phase.tokens == Approx(1000.0 * static_cast<double>(phase.batch.tokens())).epsilon(1e-3));
  }
}

TEST_CASE("the V3 file fits on a screen") {
  const std::string text = contents();
  CHECK(std::count(text.begin(), text.end(), '\n') <= 45);
}

TEST_CASE("what the file leaves out is listed as a default") {
  const Scenario s = load_scenario("deepseek_v3_2048_h800", {}, libraries());
  const auto listed = [&](const std::string& line) {
    return std::count(s.defaults_used.begin(), s.defaults_used.end(), line);
  };
  CHECK(listed("training.plan.zero_stage = 1") == 1);
  CHECK(listed("training.precision.combine = \"bf16\"") == 1);
  CHECK(listed("training.precision.linear = \"fp8\"") == 0);
  CHECK(listed("training.mechanisms.pipeline_transfers = true") == 1);
  const Scenario stated =
      load_scenario("deepseek_v3_2048_h800", std::vector<std::string>{"training.plan.zero_stage=1"}, libraries());
  CHECK(stated.defaults_used.size() + 1 == s.defaults_used.size());
}

TEST_CASE("a named cluster may be changed in place") {
  const Scenario named = load_scenario(
      "deepseek_v3_2048_h800",
      std::vector<std::string>{"cluster.node=", "cluster.nodes=", "cluster.fabric=", "cluster.base=deepseek-2048-h800"},
      libraries());
  CHECK(named.cluster.gpus() == 2048);
  CHECK(named.cluster.name == "deepseek-2048-h800");
  const Scenario tree = load_scenario(
      "deepseek_v3_2048_h800", std::vector<std::string>{"cluster.base=deepseek-2048-h800", "cluster.fabric=rail-ft3"},
      libraries());
  CHECK(tree.cluster.fabric.kind == FabricKind::rail_fat_tree_3);
}

TEST_CASE("the optimal checkpoint interval is Young's") {
  const Scenario s = load_scenario("deepseek_v3_2048_h800", {}, libraries());
  const double between_failures = 3600 / (s.resilience.failures_per_gpu_hour * 2048);
  CHECK(s.resilience.failures_per_gpu_hour == Approx(1.97e-5));
  CHECK(s.resilience.checkpoint_interval.value() == Approx(std::sqrt(2 * 40 * between_failures)));
  const Scenario given = load_scenario("deepseek_v3_2048_h800",
                                       std::vector<std::string>{"resilience.checkpoint_interval=1 h"}, libraries());
  CHECK(given.resilience.checkpoint_interval == Seconds(3600));
}

}  // namespace
}  // namespace flopcast::test
