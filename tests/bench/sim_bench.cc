// Rates of the replay engine, and beside them a bare loop of SimGrid timers and communications doing the same
// operations: the engine must reach at least 60 % of that.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "sim/base/random.h"
#include "sim/graph.h"
#include "sim/jobs/process.h"
#include "sim/network.h"
#include "sim/replay.h"
#include "tests/bench/bare_simgrid.h"

namespace {

using namespace flopcast;

/// Ranks in a ring. Each alternates a kernel with a transfer of two flows: over its own port pair, and over a link that
/// `sharers` neighbours have in common (1: nobody contends).
struct Ring {
  Network network;
  std::vector<RouteId> own, common;
  int ranks;
  int rounds;

  Ring(int ranks_, int rounds_, int sharers) : ranks(ranks_), rounds(rounds_) {
    std::vector<LinkId> shared;
    for (int rank = 0; rank < ranks; ++rank) {
      const LinkId out = network.add_link({"out", 50_GBps, true});
      const LinkId in = network.add_link({"in", 50_GBps, true});
      if (rank % sharers == 0) shared.push_back(network.add_link({"common", 40_GBps, true}));
      own.push_back(network.add_route({out, in}));
      common.push_back(network.add_route({shared.back()}));
    }
  }

  static Seconds kernel_time(RandomStream& random) { return Seconds(1e-3 * (0.5 + random.uniform())); }
  static constexpr Bytes kFlowBytes{20e6};  // 0.4 ms alone on its port

  OperationGraph graph() const {
    GraphBuilder builder;
    const auto operations = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(rounds) * 2;
    builder.reserve(operations, operations, 2 * operations);
    RandomStream random(1);
    std::vector<LaneId> lanes;
    for (int rank = 0; rank < ranks; ++rank) lanes.push_back(builder.add_lane(RankId::at(rank), "gpu"));
    std::vector<OpId> arrived(lanes.size());
    for (int round = 0; round < rounds; ++round)
      for (std::size_t rank = 0; rank < lanes.size(); ++rank) {
        const OpId kernel = builder.compute(lanes[rank], kernel_time(random));
        const OpId previous = arrived[(rank + lanes.size() - 1) % lanes.size()];
        if (round > 0 && rank > 0 && previous.valid()) builder.after(kernel, previous);
        const Flow flows[] = {{own[rank], kFlowBytes}, {common[rank], kFlowBytes}};
        arrived[rank] = builder.transfer(lanes[rank], Seconds(5e-6), flows);
      }
    return std::move(builder).build();
  }
};

/// Processor time of this process and of the children it has waited for: replays with contention run in a child, and
/// other work on the machine should not count.
double processor_seconds() {
  double total = 0.0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    for (const timeval& part : {usage.ru_utime, usage.ru_stime})
      total += static_cast<double>(part.tv_sec) + 1e-6 * static_cast<double>(part.tv_usec);
  }
  return total;
}

/// Runs `work` as one iteration, timed by the processor time it takes.
template <class Work>
void timed_iteration(benchmark::State& state, const Work& work) {
  const double before = processor_seconds();
  work();
  state.SetIterationTime(processor_seconds() - before);
}

double peak_megabytes() {
  rusage self{}, children{};
  getrusage(RUSAGE_SELF, &self);
  getrusage(RUSAGE_CHILDREN, &children);
  return static_cast<double>(std::max(self.ru_maxrss, children.ru_maxrss)) / 1024.0;
}

/// Runs `work` in a fresh process, so that memory is its own, and returns what it printed as numbers.
std::vector<double> measured(const std::function<std::vector<double>()>& work) {
  const std::string text = run_isolated([&] {
    std::string numbers;
    for (double number : work()) numbers += std::to_string(number) + ' ';
    return numbers;
  });
  std::vector<double> numbers;
  for (std::size_t begin = 0; begin < text.size(); begin = text.find(' ', begin) + 1)
    numbers.push_back(std::stod(text.substr(begin)));
  return numbers;
}

void engine_rate(benchmark::State& state) {
  const Ring ring(static_cast<int>(state.range(0)), static_cast<int>(200'000 / state.range(0)),
                  static_cast<int>(state.range(1)));
  const OperationGraph graph = ring.graph();
  ReplayOptions options;
  options.solve_every_flow = state.range(2) != 0;
  std::uint64_t contended = 0;
  for (auto _ : state)
    timed_iteration(state, [&] {
      FingerprintSink fingerprint;
      TimelineSink* const sinks[] = {&fingerprint};
      contended = replay(graph, ring.network, sinks, options).contended_flows;
      benchmark::DoNotOptimize(fingerprint.value());
    });
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(graph.size()));
  state.counters["contended_share"] = static_cast<double>(contended) / static_cast<double>(graph.flow_count());
}

void bare_simgrid_rate(benchmark::State& state) {
  const int ranks = static_cast<int>(state.range(0));
  bench::BareRing ring{ranks, static_cast<int>(200'000 / ranks), static_cast<int>(state.range(1))};
  std::int64_t operations = 0;
  for (auto _ : state)
    timed_iteration(state, [&] {
      const auto numbers = measured([&] { return std::vector{static_cast<double>(bench::run_bare(ring))}; });
      operations += static_cast<std::int64_t>(numbers[0]);
    });
  state.SetItemsProcessed(operations);
}

/// 64 MiB from each of 1,024 ranks to all others, one flow per port (bar: 1 s, 200 MB).
void all_to_all_per_port(benchmark::State& state) {
  const int ranks = 1024;
  for (auto _ : state) {
    const auto numbers = measured([&] {
      Network network;
      GraphBuilder builder;
      for (int rank = 0; rank < ranks; ++rank) {
        const LinkId out = network.add_link({"out", 50_GBps, true}), in = network.add_link({"in", 50_GBps, true});
        const Flow flow{network.add_route({out, in}), 64_MiB * ((ranks - 1.0) / ranks)};
        builder.transfer(builder.add_lane(RankId::at(rank), "nic"), Seconds(5e-6), std::span(&flow, 1));
      }
      const ReplayResult result = replay(std::move(builder).build(), network, {});
      return std::vector{result.makespan.value() * 1e3, peak_megabytes()};
    });
    state.counters["simulated_ms"] = numbers[0];
    state.counters["peak_MB"] = numbers[1];
  }
}

/// Ten million operations with ten million flows: time, and memory per operation.
void ten_million_operations(benchmark::State& state) {
  for (auto _ : state) {
    const auto numbers = measured([&] {
      const Ring ring(1024, 10'000'000 / 2048, static_cast<int>(state.range(0)));
      const OperationGraph graph = ring.graph();
      const double before = processor_seconds();
      const ReplayResult result = replay(graph, ring.network, {});
      return std::vector{processor_seconds() - before, peak_megabytes(), static_cast<double>(result.operations)};
    });
    state.counters["replay_cpu_s"] = numbers[0];
    state.counters["peak_MB"] = numbers[1];
    state.counters["ops_per_cpu_s"] = numbers[2] / numbers[0];
    state.counters["bytes_per_op"] = numbers[1] * 1048576.0 / numbers[2];
  }
}

BENCHMARK(engine_rate)
    ->ArgNames({"ranks", "sharers", "solve_all"})
    ->Args({64, 1, 0})
    ->Args({1024, 1, 0})
    ->Args({64, 2, 0})
    ->Args({1024, 2, 0})
    ->Args({64, 8, 0})
    ->Args({64, 1, 1})
    ->Args({1024, 1, 1})
    ->Args({64, 8, 1})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(bare_simgrid_rate)
    ->ArgNames({"ranks", "sharers"})
    ->Args({64, 1})
    ->Args({1024, 1})
    ->Args({64, 2})
    ->Args({1024, 2})
    ->Args({64, 8})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(all_to_all_per_port)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ten_million_operations)
    ->ArgName("sharers")
    ->Arg(1)
    ->Arg(2)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

}  // namespace
