// How time grows with size: micro-batches, GPUs, ranks, replicas, requests. Each in a process of its own; what counts
// is processor time. `--against` compares the exponents.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "analysis/runs/rl/rl_run.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/run.h"
#include "analysis/studies/plan/plan_study.h"
#include "sim/jobs/process.h"
#include "tests/analysis/environment.h"
#include "tests/paths.h"

namespace {

using namespace flopcast;

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  double total = 0.0;
  for (const timeval& part : {usage.ru_utime, usage.ru_stime})
    total += static_cast<double>(part.tv_sec) + 1e-6 * static_cast<double>(part.tv_usec);
  return total;
}

/// Runs `prepare()`, then what it returned, in a child; the time is that of the latter. `work` says what it simulated.
void measure(benchmark::State& state, const std::function<std::function<double()>()>& prepare) {
  for (auto _ : state) {
    const std::string text = run_isolated([&] {
      const std::function<double()> work = prepare();
      const double before = processor_seconds();
      const double result = work();
      const double seconds = processor_seconds() - before;
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      return std::to_string(seconds) + " " + std::to_string(result) + " " +
             std::to_string(static_cast<double>(usage.ru_maxrss) / 1024.0);
    });
    char* rest = nullptr;
    state.SetIterationTime(std::strtod(text.c_str(), &rest));
    state.counters["result"] = std::strtod(rest, &rest);
    state.counters["peak_MB"] = std::strtod(rest, nullptr);
  }
}

/// One step, from the scenario to the report.
void step(benchmark::State& state, const std::string& text, bool unfolded = false) {
  measure(state, [&]() -> std::function<double()> {
    Scenario scenario = resolve_text(text, "bench.textproto", testing::environment()).value();
    scenario.training->unfolded = unfolded;
    return [scenario = std::move(scenario)] {
      RunOptions options;
      options.project = false;
      options.allow_oom = true;
      return run_training(scenario, options).step_time.value();
    };
  });
}

constexpr const char* kThreeLayers = "fabric: \"rail-ft3\" fabric_override { switch_ports: 128 }";

/// DeepSeek-V3 as it was trained, on so many GPUs.
std::string v3(long gpus, long micro_batches, const std::string& fabric = "fabric: \"mpft\"") {
  const long data = gpus / 16;
  return fmt::format(R"(title: "V3"
cluster {{ node: "hgx-h800" nodes: {} {} }}
model: "deepseek-v3"
training {{
  plan {{ pipeline: 16 data: {} expert: {} }}
  schedule: "dualpipe"
  batch {{ sequences: {} sequence_length: 4096 micro_batch_sequences: 1 }}
  precision {{ linear: "fp8" scaling: "blocks" dispatch: "fp8" moments: "bf16" activations: "fp8" }}
  recompute {{ norms: true attention_up_projections: true activation_function: true }}
  expert_load {{ kind: "skewed" coefficient_of_variation: 0.16 source: "DeepSeek's profile" }}
}}
)",
                     gpus / 8, fabric, data, std::min(64L, data), data * micro_batches);
}

/// Llama 3.1 405B, tensor parallel over the node, 16 stages.
std::string llama_405b(long gpus, long micro_batches) {
  const long data = gpus / 128;
  return fmt::format(R"(title: "405B"
cluster {{ node: "hgx-h100" nodes: {} {} }}
model: "llama-3.1-405b"
training {{
  plan {{ tensor: 8 pipeline: 16 data: {} }}
  schedule: "1f1b"
  batch {{ sequences: {} sequence_length: 8192 }}
  precision {{ gradients: "fp32" }}
}}
)",
                     gpus / 8, kThreeLayers, data, data * micro_batches);
}

/// Longer and longer steps. Bar: 30,720 micro-batches at most 1.5 times the time of 120.
void v3_step_by_micro_batches(benchmark::State& state) { step(state, v3(2048, state.range(0))); }

/// More and more GPUs of a three-layer fabric, folded. Bar: 1 s at 131,072.
void v3_step_by_gpus(benchmark::State& state) { step(state, v3(state.range(0), 120, kThreeLayers)); }
void llama_405b_step_by_gpus(benchmark::State& state) { step(state, llama_405b(state.range(0), 16)); }

/// Every rank replayed, nothing meets between nodes. Bar: 20 s and 1.5 GB at 2,048.
void v3_every_rank_by_ranks(benchmark::State& state) { step(state, v3(state.range(0), 120), true); }

/// Leaves with half as many uplinks as downlinks, which all ranks share. Bar: 20 s at 2,048.
void v3_oversubscribed_by_ranks(benchmark::State& state) {
  step(state, v3(state.range(0), 120, "fabric: \"mpft\" fabric_override { oversubscription: 2 }"));
}

void service(benchmark::State& state, const std::string& name, const std::vector<std::string>& sets) {
  measure(state, [&]() -> std::function<double()> {
    const Scenario scenario = testing::resolved(name, sets);
    return [scenario] { return static_cast<double>(run_serving(scenario, {}).all.arrived.requests); };
  });
}

/// Prefill and decode apart. Bar: a million requests in 2 s.
void v3_service_by_requests(benchmark::State& state) {
  service(state, "deepseek_v3_serving_h800", {"serving.traffic.requests=" + std::to_string(state.range(0))});
}

/// A part of the fleet's day; 10 is the sample of the scenario. Bar: 60 s there.
void v3_fleet_day_by_share(benchmark::State& state) {
  service(state, "deepseek_v3_fleet_day", {"serving.sample=" + std::to_string(10'000 / state.range(0))});
}

/// More and more replicas of a dense model, each with as many requests.
void dense_service_by_replicas(benchmark::State& state) {
  const long replicas = state.range(0);
  service(state, "llama_3_1_70b_serving_8_h100",
          {"serving.replicas.count=" + std::to_string(replicas), "cluster.nodes=" + std::to_string((replicas + 1) / 2),
           "cluster.fabric=rail-ft2", "serving.traffic.stream[0].requests_per_second=" + std::to_string(3 * replicas),
           "serving.traffic.requests=" + std::to_string(2000 * replicas)});
}

/// A step of R1-Zero: 8,192 rollouts, 16 updates. Bar: 5 s.
void r1_zero_step(benchmark::State& state) {
  measure(state, [&]() -> std::function<double()> {
    const Scenario scenario = testing::resolved("rl_r1_zero_512_h800", {});
    return [scenario] {
      RlOptions options;
      options.project = false;
      return static_cast<double>(run_rl(scenario, options).steps.size());
    };
  });
}

/// Plans screened in closed form, the whole space, per second of CPU. Bar: 100,000. An exhaustive search prices every
/// plan that it decides; this one rules most out by the bound of a family, so that both rates are told. Of those priced
/// some do not fit, of others a bound of their own says enough; the schedules of the rest are walked.
void screen(benchmark::State& state, const char* scenario, const std::vector<std::string>& sets = {}) {
  double priced = 0, decided = 0, walked = 0;
  for (auto _ : state) {
    PlanOptions options;
    options.open.open = {"all"};
    options.replays = 0;
    options.effort = 0;
    const SearchResult found = plan_study(scenario, testing::environment(), sets, options).search;
    priced += found.priced;
    walked += found.priced - found.no_memory - found.beyond;
    decided += found.priced + found.too_large + found.ruled_out;
  }
  state.counters["priced_per_s"] = benchmark::Counter(priced, benchmark::Counter::kIsRate);
  state.counters["walked_per_s"] = benchmark::Counter(walked, benchmark::Counter::kIsRate);
  state.counters["plans_per_s"] = benchmark::Counter(decided, benchmark::Counter::kIsRate);
}
void plans_screened(benchmark::State& state) { screen(state, "llama_3_1_8b_64_h100"); }
void v3_plans_screened(benchmark::State& state) { screen(state, "deepseek_v3_2048_h800"); }
/// GPT-3 175B on 1,024 H100.
void gpt3_plans_screened(benchmark::State& state) {
  screen(state, "llama_3_1_8b_64_h100",
         {"model=gpt-3-175b", "cluster.nodes=128", "training.batch.sequences=1536",
          "training.batch.sequence_length=2048"});
}

/// A search of 60,000 plans and the replay of the best hundred. Bar: 15 s for the replays.
void v3_best_hundred_replayed(benchmark::State& state) {
  for (auto _ : state) {
    PlanOptions options;
    options.open.open = {"all"};
    options.replays = 100;
    options.effort = 60'000;
    state.counters["replayed"] =
        static_cast<double>(plan_study("deepseek_v3_2048_h800", testing::environment(), {}, options).replayed);
  }
}

void command(benchmark::State& state, const std::string& command, const char* failure) {
  for (auto _ : state)
    if (std::system((command + " >/dev/null 2>&1").c_str()) != 0) state.SkipWithError(failure);
}

/// From nothing to the first output. Bar: 50 ms.
void start(benchmark::State& state) { command(state, testing::program() + " show h100-sxm", "the program failed"); }

/// From the scenario's file to the report, with the run that the step is part of. Bar: 150 ms.
void v3_step_as_a_process(benchmark::State& state) {
  command(state, testing::program() + " run deepseek_v3_2048_h800 --quiet", "the program failed");
}

/// With the start of Python itself. Bar: 100 ms.
void python_import(benchmark::State& state) {
  const std::string folder = testing::program().substr(0, testing::program().rfind('/')) + "/python";
  command(state, "PYTHONPATH=" + folder + " \"$(cat " + folder + "/interpreter)\" -c 'import flopcast; flopcast.run'",
          "no Python module: ./flopcast python makes it");
}

BENCHMARK(v3_step_by_micro_batches)
    ->Arg(120)
    ->Arg(480)
    ->Arg(1920)
    ->Arg(7680)
    ->Arg(30720)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(v3_step_by_gpus)
    ->Arg(2048)
    ->Arg(16384)
    ->Arg(131072)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(llama_405b_step_by_gpus)
    ->Arg(2048)
    ->Arg(16384)
    ->Arg(131072)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(v3_every_rank_by_ranks)
    ->Arg(256)
    ->Arg(512)
    ->Arg(1024)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kSecond);
BENCHMARK(v3_oversubscribed_by_ranks)
    ->Arg(256)
    ->Arg(512)
    ->Arg(1024)
    ->Arg(2048)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kSecond);
BENCHMARK(v3_service_by_requests)
    ->Arg(10'000)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(v3_fleet_day_by_share)->Arg(10)->Arg(100)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(dense_service_by_replicas)
    ->Arg(2)
    ->Arg(8)
    ->Arg(32)
    ->Arg(128)
    ->Iterations(3)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(r1_zero_step)->Iterations(1)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(plans_screened)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(v3_plans_screened)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(gpt3_plans_screened)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(v3_best_hundred_replayed)->Iterations(1)->UseRealTime()->Unit(benchmark::kSecond);
BENCHMARK(start)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(v3_step_as_a_process)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(python_import)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
