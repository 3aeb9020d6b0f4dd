// Are the traces of the library what their publications say, and does the cache find in them what can be
// found?
#include <string>

#include "tests/catch.h"
#include "workloads/serving/kv_cache.h"
#include "workloads/serving/trace_stats.h"
#include "workloads/serving/traffic.h"

namespace flopcast {
namespace {

TraceOptions library_trace(const std::string& name) {
  return {.path = std::string(FLOPCAST_SOURCE_DIR) + "/workloads/data/traces/" + name};
}

struct Published {
  const char* file;
  std::uint64_t requests;
  double mean_input, mean_output;
};

TEST_CASE("the traces of the library have the published sizes", "[workloads][serving][validation]") {
  // Requests and means as the repositories and papers named in workloads/data/traces/README.md give them.
  const auto published =
      GENERATE(values<Published>({{"AzureLLMInferenceTrace_conv.csv", 19'366, 1155, 211},
                                  {"AzureLLMInferenceTrace_code.csv", 8'819, 2048, 28},
                                  {"mooncake_conversation_trace.jsonl", 12'031, 12'035, 343},
                                  {"mooncake_synthetic_trace.jsonl", 3'993, 15'325, 149},
                                  {"vidur_arxiv_summarization.csv", 28'257, 2588, 291}}));
  CAPTURE(published.file);
  const TraceSummary summary = scan_trace(library_trace(published.file));
  CHECK(summary.requests == published.requests);
  const auto requests = static_cast<double>(published.requests);
  CHECK(summary.input_tokens / requests == Approx(published.mean_input).margin(0.5));
  CHECK(summary.output_tokens / requests == Approx(published.mean_output).margin(0.5));
}

/// Prompts one after the other through a cache; share of their tokens that it had.
double hit_rate(const std::string& trace, const PerTier<std::int64_t>& capacity_tokens) {
  const auto source =
      make_traffic({.classes = {{.arrivals = TraceTimes{}, .lengths = TraceTraffic(library_trace(trace))}}});
  KvCache cache({.page_tokens = 64,
                 .prefix_block_tokens = source->prefix_block_tokens(),
                 .capacity_tokens = capacity_tokens});
  while (source->next_arrival() < kNever) {
    const Request request = source->take();
    const auto start = cache.start(request.prefix, request.input_tokens, request.input_tokens);
    cache.computed(start->sequence, request.input_tokens);
    cache.finish(start->sequence);
  }
  CHECK(cache.consistent());
  return static_cast<double>(cache.counters().hit_tokens.total()) /
         static_cast<double>(cache.counters().prompt_tokens);
}

TEST_CASE("a cache that is never full finds what trace stats calls the most", "[workloads][serving]") {
  constexpr std::int64_t kEverything = 200'000'000, kRoom = 400'000;
  const std::string kimi = "mooncake_conversation_trace.jsonl";
  const double bound = trace_stats(library_trace(kimi)).hit_bound();
  CHECK(bound == Approx(0.3734).epsilon(0.001));
  // A prompt that recurs as a whole has its last token computed again, and with it a block.
  const double all = hit_rate(kimi, {{kEverything, 0, 0}});
  CHECK(all <= bound);
  CHECK(all == Approx(bound).epsilon(0.001));
  CHECK(hit_rate(kimi, {{kRoom, kEverything, 0}}) == all);
  CHECK(hit_rate(kimi, {{kRoom, 1'000'000, kEverything}}) == all);

  double before = 0;
  for (const std::int64_t tokens : {kRoom, std::int64_t{4'000'000}, std::int64_t{40'000'000}}) {
    const double found = hit_rate(kimi, {{tokens, 0, 0}});
    CHECK(found > before);
    CHECK(found <= all);
    before = found;
  }
}

}  // namespace
}  // namespace flopcast
