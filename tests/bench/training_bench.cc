// The main job: one DeepSeek-V3 step folded and unfolded, the default scenario from file to report, and collectives
// over thousands of ranks. Each runs in a process of its own, so that memory is its own.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>

#include "analysis/runs/training/run.h"
#include "analysis/runs/training/show/text_report.h"
#include "hwmodels/fabric/topology.h"
#include "sim/jobs/process.h"
#include "sim/replay.h"
#include "tests/analysis/environment.h"
#include "tests/libraries.h"
#include "tests/paths.h"
#include "workloads/collectives/collectives.h"

namespace {

using namespace flopcast;

constexpr const char* kScenario = "deepseek_v3_2048_h800";

double peak_megabytes() {
  rusage self{}, children{};
  getrusage(RUSAGE_SELF, &self);
  getrusage(RUSAGE_CHILDREN, &children);
  return static_cast<double>(std::max(self.ru_maxrss, children.ru_maxrss)) / 1024.0;
}

Scenario scenario(bool unfolded) {
  Scenario read = testing::resolved(kScenario, {});
  read.training->unfolded = unfolded;
  return read;
}

// Runs `work` in a child; it says what it simulated. The child's peak memory becomes a counter.
void measure(benchmark::State& state, const char* counter, const std::function<double()>& work) {
  for (auto _ : state) {
    const std::string text = run_isolated([&] {
      const double result = work();
      return std::to_string(result) + " " + std::to_string(peak_megabytes());
    });
    char* rest = nullptr;
    state.counters[counter] = std::strtod(text.c_str(), &rest);
    state.counters["peak_MB"] = std::strtod(rest, nullptr);
  }
}

double one_step(bool unfolded) {
  RunOptions options;
  options.project = false;
  return run_training(scenario(unfolded), options).step_time.value();
}

/// Bar: 1 s, 300 MB.
void v3_step_folded(benchmark::State& state) {
  measure(state, "step_s", [] { return one_step(false); });
}

/// Every one of 2,048 GPUs. Bar: 120 s, 4 GB.
void v3_step_unfolded(benchmark::State& state) {
  measure(state, "step_s", [] { return one_step(true); });
}

/// From the scenario's file to the report's text. Bar: 2 s.
void default_scenario_to_report(benchmark::State& state) {
  measure(state, "characters", [] {
    const Scenario read = scenario(false);
    RunOptions options;
    options.power = testing::power_of(read);
    return static_cast<double>(to_text(run_training(read, options), TextStyle()).size());
  });
}

/// Lowered and replayed over H100 nodes on a rail-optimised fat tree; milliseconds simulated.
double one_collective(const char* operation, int ranks) {
  ClusterSpec cluster = test::libraries().cluster("h100-2048");
  cluster.nodes = ranks / cluster.node.gpus;
  Topology topology(cluster);
  const OperationGraph graph = make_collective_graph(topology, *find_collective(operation), 64_MiB, ranks, 1, nullptr);
  return replay(graph, topology.network(), {}).makespan.value() * 1e3;
}

/// 64 MiB over 1,024 ranks. Bar: 1 s, 200 MB.
void all_to_all_1024_ranks(benchmark::State& state) {
  measure(state, "simulated_ms", [] { return one_collective("all_to_all", 1024); });
}

/// 64 MiB over 4,096 ranks. Bar: 1 s, 200 MB.
void two_level_all_reduce_4096_ranks(benchmark::State& state) {
  measure(state, "simulated_ms", [] { return one_collective("hierarchical_all_reduce", 4096); });
}

BENCHMARK(all_to_all_1024_ranks)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(two_level_all_reduce_4096_ranks)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(v3_step_folded)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(default_scenario_to_report)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(v3_step_unfolded)->Iterations(1)->UseRealTime()->Unit(benchmark::kSecond);

}  // namespace
