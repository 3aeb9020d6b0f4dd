// What a request costs beside its iterations: drawing or reading it, routing it, its KV cache, its metrics. A
// replay of 64,000 requests per second has 15 us for each; these parts have to stay below 3 us, and 0.2 us
// more for each prefix block.
#include <benchmark/benchmark.h>

#include <deque>
#include <fstream>
#include <string>

#include "tests/temporary.h"
#include "workloads/serving/cache/kv_cache.h"
#include "workloads/serving/metrics/metrics.h"
#include "workloads/serving/metrics/trace_stats.h"
#include "workloads/serving/router.h"
#include "workloads/serving/traffic/traffic.h"

namespace {

using namespace flopcast;

constexpr std::uint64_t kRequests = 200'000;

TrafficConfig chat(bool sessions) {
  TrafficClass traffic{.name = "chat",
                       .arrivals = OpenLoop{RateCurve::daily(Hertz(100), 0.5, hours(14)), Spacing::gamma, 1.5},
                       .lengths = DrawnLengths{RandomNumber::log_normal(1155, 1), RandomNumber::log_normal(211, 1)}};
  if (sessions) {
    traffic.sessions = Sessions{.turns = RandomNumber::uniform(1, 8),
                                .think = RandomNumber::exponential(30),
                                .system_prompt_tokens = 500,
                                .system_prompts = 10,
                                .context = 100'000};
  }
  return {.classes = {traffic}, .requests = kRequests};
}

/// Each request through a router, the KV cache and the metrics, `kUnderWay` of them at a time.
class Passage {
 public:
  explicit Passage(RequestSource& source)
      : source_(source),
        cache_({.page_tokens = 64,
                .prefix_block_tokens = source.prefix_block_tokens(),
                .capacity_tokens = {{4'000'000, 40'000'000, 400'000'000}}}) {}
  std::uint64_t run() {
    std::uint64_t requests = 0;
    while (source_.next_arrival() < kNever || !under_way_.empty()) {
      if (source_.next_arrival() == kNever || under_way_.size() == kUnderWay) {
        end();
      } else {
        begin();
        ++requests;
      }
    }
    return requests;
  }

 private:
  static constexpr std::size_t kUnderWay = 100;
  struct Active {
    Request request;
    KvCache::Start start;
  };
  void begin() {
    now_ = std::max(now_, source_.next_arrival());
    Request request = source_.take();
    metrics_.arrived(request);
    benchmark::DoNotOptimize(router_->choose(request, views_));
    const auto start = cache_.start(request.prefix, request.input_tokens, request.input_tokens);
    cache_.computed(start->sequence, request.input_tokens);
    under_way_.push_back({std::move(request), *start});
  }
  void end() {
    const Active done = std::move(under_way_.front());
    under_way_.pop_front();
    const Request& request = done.request;
    const std::int32_t tokens = request.input_tokens + request.output_tokens;
    cache_.reserve(done.start.sequence, tokens);
    cache_.computed(done.start.sequence, tokens);
    cache_.finish(done.start.sequence);
    now_ = std::max(now_, request.arrival);
    metrics_.finished({.id = request.id,
                       .input_tokens = request.input_tokens,
                       .cached_tokens = done.start.hit.total(),
                       .output_tokens = request.output_tokens,
                       .arrival = request.arrival,
                       .scheduled = request.arrival,
                       .first_token = now_,
                       .finish = now_ + Seconds(0.01 * request.output_tokens)});
    source_.finished(request, now_, RequestOutcome::completed);
  }

  RequestSource& source_;
  KvCache cache_;
  ServingMetrics metrics_{{ServiceLevel{}}};
  std::unique_ptr<Router> router_ = find_router("power_of_two")->make(1);
  std::vector<ReplicaView> views_ = std::vector<ReplicaView>(8);
  std::deque<Active> under_way_;
  Seconds now_;
};

void pass(benchmark::State& state, const TrafficConfig& config) {
  std::int64_t requests = 0;
  for (auto _ : state) {
    const auto source = make_traffic(config);
    requests += static_cast<std::int64_t>(Passage(*source).run());
  }
  state.SetItemsProcessed(requests);
}

/// Bar: 330,000 requests per second.
void drawn_requests(benchmark::State& state) { pass(state, chat(false)); }
/// Some 95 blocks to a request, most of them moved between tiers. Bar: 45,000.
void conversations(benchmark::State& state) { pass(state, chat(true)); }

/// A trace in Mooncake's format, some 12,000 tokens to a prompt, most of them in blocks of their own.
class GeneratedTrace {
 public:
  GeneratedTrace() : path_(folder_.write("trace.jsonl", "")) {
    std::ofstream file(path_);
    std::uint64_t next = 100;
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      file << "{\"timestamp\": " << i * 10 << ", \"input_length\": " << 24 * 512
           << ", \"output_length\": 343, \"hash_ids\": [";
      for (std::uint64_t k = 0; k < 24; ++k) file << (k == 0 ? "" : ", ") << (k < 8 ? i % 10 * 8 + k : next++);
      file << "]}\n";
    }
  }
  std::string path() const { return path_; }

 private:
  test::TemporaryFolder folder_;
  std::string path_;
};

/// 24 blocks to a request. Bar: 130,000.
void trace_with_blocks(benchmark::State& state) {
  const GeneratedTrace trace;
  pass(state, {.classes = {{.arrivals = TraceTimes{}, .lengths = TraceTraffic({.path = trace.path()})}}});
}

void statistics_of_a_trace(benchmark::State& state) {
  const GeneratedTrace trace;
  for (auto _ : state) benchmark::DoNotOptimize(trace_stats({.path = trace.path()}).requests);
  state.SetItemsProcessed(static_cast<std::int64_t>(kRequests) * static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(drawn_requests)->Unit(benchmark::kMillisecond);
BENCHMARK(conversations)->Unit(benchmark::kMillisecond);
BENCHMARK(trace_with_blocks)->Unit(benchmark::kMillisecond);
BENCHMARK(statistics_of_a_trace)->Unit(benchmark::kMillisecond);

}  // namespace
