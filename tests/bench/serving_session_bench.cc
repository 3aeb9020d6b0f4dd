// Requests per second through a whole serving session, prices included. Bars: 400,000 for a dense model on two
// replicas; a million requests of DeepSeek-V3, prefill and decode apart, in 2 s, also far above what the deployment
// stands; a day of its fleet, one request in ten, in 60 s (14 million requests, 233,000 per second; here a thousandth
// of the day).
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "analysis/runs/serving/serving_run.h"
#include "tests/analysis/environment.h"
#include "tests/paths.h"

namespace {

using namespace flopcast;

void run(benchmark::State& state, const char* name, const std::vector<std::string>& set = {}) {
  const Scenario scenario = testing::resolved(name, set);
  std::int64_t requests = 0;
  for (auto _ : state) {
    const ServingReport report = run_serving(scenario, {});
    requests += report.all.arrived.requests;
  }
  state.counters["requests_per_s"] = benchmark::Counter(static_cast<double>(requests), benchmark::Counter::kIsRate);
}

void dense_two_replicas(benchmark::State& state) { run(state, "llama_3_1_8b_azure_conversation"); }
void deepseek_split(benchmark::State& state) { run(state, "deepseek_v3_serving_h800"); }
void deepseek_overloaded(benchmark::State& state) {
  run(state, "deepseek_v3_serving_h800",
      {"serving.traffic.stream[0].requests_per_second=500", "serving.traffic.requests=100000"});
}
void deepseek_fleet(benchmark::State& state) { run(state, "deepseek_v3_fleet_day", {"serving.sample=1000"}); }
BENCHMARK(deepseek_overloaded)->Unit(benchmark::kMillisecond);
BENCHMARK(deepseek_fleet)->Unit(benchmark::kMillisecond);
BENCHMARK(dense_two_replicas)->Unit(benchmark::kMillisecond);
BENCHMARK(deepseek_split)->Unit(benchmark::kMillisecond);

}  // namespace
