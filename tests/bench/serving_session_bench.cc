// Requests per second of wall time through a whole serving session, prices included: at least 50,000 for a dense model on two replicas.
#include <benchmark/benchmark.h>

#include "analysis/complete_scenario.h"
#include "analysis/serving_run.h"

namespace {

using namespace flopcast;

void run(benchmark::State& state, const char* name) {
  const Libraries libraries({FLOPCAST_SOURCE_DIR});
  const Scenario scenario = load_complete_scenario(name, {}, libraries);
  std::int64_t requests = 0;
  for (auto _ : state) {
    const ServingReport report = run_serving(scenario, {});
    requests += report.all.arrived.requests;
  }
  state.counters["requests_per_s"] = benchmark::Counter(static_cast<double>(requests), benchmark::Counter::kIsRate);
}

void dense_two_replicas(benchmark::State& state) { run(state, "llama_3_1_8b_azure_conversation"); }
void deepseek_split(benchmark::State& state) { run(state, "deepseek_v3_serving_h800"); }
BENCHMARK(dense_two_replicas)->Unit(benchmark::kMillisecond);
BENCHMARK(deepseek_split)->Unit(benchmark::kMillisecond);

}  // namespace
