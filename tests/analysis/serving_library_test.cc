// Do the deployments of the library keep what they promise?
#include <algorithm>
#include <cmath>

#include "analysis/runs/serving/serving_run.h"
#include "tests/analysis/environment.h"
#include "tests/scenarios/fixture.h"

namespace flopcast {
namespace {

TEST_CASE("serving scenarios of the library complete every request, nine in ten as promised", "[analysis][serving]") {
  const Libraries& libraries = test::libraries();
  int kept = 0;
  for (const std::string& name : libraries.names(LibraryKind::scenarios)) {
    if (name.find("_serving_") == std::string::npos && name.find("_distill_") == std::string::npos) continue;
    INFO(name);
    ServingOptions options;
    const Scenario scenario = testing::resolved(name, {});
    if (!scenario.serving) continue;  // a loop of reinforcement learning
    options.power = testing::power_of(scenario);
    const ServingReport report = run_serving(scenario, options);
    CHECK(report.all.completed.requests == report.all.arrived.requests);
    CHECK(report.all.slo_attainment() >= 0.9);
    CHECK(report.state == LoadState::stable);
    ++kept;
  }
  CHECK(kept >= 13);
}

TEST_CASE("every all-reduce over nodes waits for the host in a graph", "[analysis][serving]") {
  const auto tpot = [](const std::string& tensor, const std::string& graphs) {
    const std::vector<std::string> sets = {"cluster.nodes=2",
                                           "serving.replicas.engine=sglang-0.5.9",
                                           "serving.replicas.tensor=" + tensor,
                                           "serving.replicas.cuda_graphs=" + graphs,
                                           "serving.traffic.requests=4",
                                           "serving.traffic.stream[0].users=1",
                                           "serving.traffic.stream[0].output.mean=40"};
    return run_serving(testing::resolved("llama_3_1_70b_inferencex_8_h200", sets), {}).all.tpot.quantile(0.5);
  };
  // 160 all-reduces, of which each would take some 30 us over two nodes: less than the host's calls before them.
  const double within = tpot("8", "true"), over = tpot("16", "true");
  CHECK(over > within + 160 * 100e-6);
  CHECK(over < within + 160 * 180e-6);
  // Without a graph nothing is called for; launches one by one take what they take on either.
  CHECK(std::abs(tpot("16", "false") / tpot("8", "false") - 1) < 0.05);
}

TEST_CASE("what an engine of that version could not do yet is said", "[analysis][serving]") {
  const auto notes = [](const std::string& version) {
    const std::vector<std::string> sets = {"model=deepseek-r1",          "serving.replicas.engine=" + version,
                                           "serving.replicas.expert=8",  "serving.replicas.redundant_experts=8",
                                           "serving.traffic.requests=4", "serving.traffic.stream[0].users=1"};
    const ServingReport report = run_serving(testing::resolved("llama_3_1_70b_inferencex_8_h200", sets), {});
    return std::count_if(report.notes.begin(), report.notes.end(), [](const std::string& note) {
      return note.find("redundant_experts is no feature") != std::string::npos;
    });
  };
  CHECK(notes("sglang-0.4") == 1);
  CHECK(notes("sglang-0.5.9") == 0);
}

TEST_CASE("experts whose every tile is multiplied take as long for few requests as for many", "[analysis][serving]") {
  const auto tpot = [](const std::string& kernels, int users) {
    const std::vector<std::string> sets = {"model=qwen3-235b-a22b",
                                           "serving.replicas.engine=vllm-0.12",
                                           "serving.replicas.tensor=4",
                                           "serving.replicas.scaling=blocks",
                                           "serving.replicas.expert_kernels=" + kernels,
                                           "serving.traffic.requests=" + std::to_string(2 * users),
                                           "serving.traffic.stream[0].users=" + std::to_string(users),
                                           "serving.traffic.stream[0].output.mean=60"};
    return run_serving(testing::resolved("llama_3_1_70b_inferencex_8_h200", sets), {}).all.tpot.quantile(0.1);
  };
  // Published (aiconfigurator, four H200, 4 to 48 requests): 37 to 44 ms.
  const double few = tpot("deep_gemm_padded", 2), many = tpot("deep_gemm_padded", 16);
  CHECK(few > 0.025);
  CHECK(many < 1.25 * few);
  CHECK(tpot("deep_gemm", 2) < 0.7 * few);
  CHECK(tpot("as_kernels", 16) > 1.4 * tpot("as_kernels", 2));
  CHECK(tpot("cutlass", 2) != tpot("as_kernels", 2));
}

}  // namespace
}  // namespace flopcast
