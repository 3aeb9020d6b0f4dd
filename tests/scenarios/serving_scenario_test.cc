// Does a serving scenario arrive as it was meant, and is what cannot work refused with all reasons at once?
#include "tests/scenarios/fixture.h"

#include "scenarios/resolve/serving/serving_scenario.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kServing = R"(cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
serving {
  traffic { requests: "1K" stream { requests_per_second: 5 input { mean: 500 } output { mean: 100 } slo { ttft: "1 s" } } }
  replicas { count: 2 tensor: 2 }
}
)";

const std::string kSplit = R"(cluster { node: "hgx-h800" nodes: 16 fabric: "mpft" }
model: "deepseek-v3"
serving {
  traffic { requests: "1K" stream { users: 64 input { mean: 500 } output { mean: 100 } } }
  prefill { attention_data: 32 expert: 32 redundant_experts: 32 weights: "fp8" }
  decode { attention_data: 64 expert: 64 redundant_experts: 64 weights: "fp8" two_micro_batches: true }
  speculation { }
}
)";

std::string without(const std::string& from, const std::string& to) { return faults_of(replaced(kServing, from, to)); }

TEST_CASE("a deployment arrives as it was written", "[scenarios][serving]") {
  const Scenario scenario = load_text(kServing);
  REQUIRE(scenario.serving);
  const ServingScenario& serving = *scenario.serving;
  REQUIRE(serving.pools.size() == 1);
  CHECK(serving.pools[0].engine.plan.tensor == 2);
  CHECK(serving.gpus() == 4);
  CHECK(serving.levels.at(0).ttft.value() == 1.0);
  CHECK(serving.levels.at(0).tpot == kNever);
  const Scenario split = load_text(kSplit);
  REQUIRE(split.serving->pools.size() == 2);
  CHECK(split.serving->pools[0].role == ReplicaRole::prefill);
  CHECK(split.serving->pools[1].engine.speculation.tokens_per_iteration() == Approx(1.85));
}

TEST_CASE("weights are as the model's files publish them, where nothing else is said", "[scenarios][serving]") {
  const auto precision = [](const std::string& text) { return load_text(text).serving->pools[0].engine.precision; };
  const std::string unsaid = replaced(replaced(kSplit, R"( weights: "fp8" })", " }"), "speculation { }", "");
  for (const std::string model : {"deepseek-v3", "deepseek-r1", "kimi-k2"}) {
    CAPTURE(model);
    const ServingPrecision found = precision(replaced(unsaid, "deepseek-v3", model));
    CHECK(found.linear == Precision::fp8);
    CHECK(found.scaling == Scaling::blocks);
  }
  CHECK(precision(kServing).linear == Precision::bf16);
}

TEST_CASE("prefixes of conversations are found page by page, as the engine keeps them", "[scenarios][serving]") {
  const std::string talk = replaced(kServing, "stream {", "stream { conversation { turns: 3 } ");
  const auto blocks = [&](const char* replicas) {
    const Scenario scenario =
        load_text(replaced(talk, "count: 2 tensor: 2", std::string("count: 2 tensor: 2 ") + replicas));
    CHECK(scenario.serving->pools[0].prefix.block_tokens ==
          scenario.serving->traffic.classes[0].sessions->block_tokens);
    return scenario.serving->pools[0].prefix.block_tokens;
  };
  CHECK(blocks("engine: \"vllm-0.18\"") == 16);
  CHECK(blocks("engine: \"trtllm-1.2\"") == 32);
  CHECK(blocks("engine: \"sglang-0.5.9\"") == 8);  // pages of one token, eight at a time
  CHECK(blocks("") == 64);
  CHECK(blocks("page_tokens: 24") == 24);
  // Pools of unlike pages find what both keep.
  const std::string apart = replaced(talk, "replicas { count: 2 tensor: 2 }",
                                     "prefill { count: 1 page_tokens: 16 } decode { count: 1 page_tokens: 24 }");
  const Scenario two = load_text(apart);
  for (const PoolSpec& pool : two.serving->pools) CHECK(pool.prefix.block_tokens == 48);
}

TEST_CASE("what cannot work is refused with its reason", "[scenarios][serving]") {
  CHECK_THAT(without("tensor: 2", "tensor: 3"), ContainsSubstring("a divisor of the 32 heads"));
  CHECK_THAT(without("count: 2", "count: 200"), ContainsSubstring("at most the 16 GPUs"));
  CHECK_THAT(without("count: 2", "expert: 2"), ContainsSubstring("has no experts"));
  CHECK_THAT(without("count: 2", "router: \"least_kw\""), ContainsSubstring("least_kv"));
  CHECK_THAT(without("requests: \"1K\"", ""), ContainsSubstring("go on for ever"));
  CHECK_THAT(without("input { mean: 500 }", ""), ContainsSubstring("traffic.stream[0].input"));
  CHECK_THAT(without("input { mean: 500 }", "input { mean: 500000 }"), ContainsSubstring("positions"));
  CHECK_THAT(without("input { mean: 500 }", "input { mean: -5 }"), ContainsSubstring("input.mean"));
  CHECK_THAT(without("requests_per_second: 5", ""), ContainsSubstring("no arrivals"));
  CHECK_THAT(without("requests_per_second: 5", "requests_per_second: 5 users: 3"), ContainsSubstring("one of them"));
  CHECK_THAT(without("replicas { count: 2 tensor: 2 }", ""), ContainsSubstring("no replicas"));
  CHECK_THAT(without("replicas {", "speculation { } replicas {"), ContainsSubstring("MTP"));
  CHECK_THAT(without("llama-3.1-8b", "llama-3.1-405b"), ContainsSubstring("weights and workspace"));
  CHECK_THAT(without("input { mean: 500 } output { mean: 100 }", "trace { file: \"no.csv\" }"),
             ContainsSubstring("no.csv"));
  CHECK_THAT(faults_of(replaced(kSplit, "redundant_experts: 64", "redundant_experts: 63")),
             ContainsSubstring("divide over 64 GPUs"));
  CHECK_THAT(faults_of(replaced(replaced(kSplit, "decode {", "decode { engine: \"vllm-0.18\""), "prefill {",
                                "prefill { engine: \"sglang-0.5.9\"")),
             ContainsSubstring("serving.decode.engine: found \"vllm-0.18\", expected a version of sglang"));
  CHECK_THAT(faults_of(replaced(kSplit, "decode {", "decode { kv_cache: \"fp8\"")),
             ContainsSubstring("caches move between them"));
  CHECK_THAT(faults_of(kServing + "training { }"), ContainsSubstring("serving"));
}

TEST_CASE("all faults of a deployment come at once", "[scenarios][serving]") {
  const std::string text = replaced(kServing, "tensor: 2", "tensor: 3");
  try {
    load_text(replaced(text, "slo { ttft: \"1 s\" }", "slo { ttft: \"1 kg\" }"));
    FAIL("accepted");
  } catch (const InputError& error) {
    CHECK(error.diagnostics().size() >= 2);
    for (const Diagnostic& d : error.diagnostics()) CHECK(d.line > 0);
  }
}

}  // namespace
}  // namespace flopcast::test
