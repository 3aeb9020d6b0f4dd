// Do engines fill as much memory as their own rules say, and is what they log of their caches found again?
#include "hwmodels/chips/gpu.h"
#include "tests/catch.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast::test {
namespace {

GpuSpec gpu_of(double mib) {
  GpuSpec gpu;
  gpu.hbm_capacity = Bytes(mib * 1024 * 1024);
  return gpu;
}

TEST_CASE("SGLang 0.4 leaves more memory the more GPUs share a replica", "[serving]") {
  EngineConfig engine;
  engine.memory_rule = MemoryRule::by_ranks;
  for (const auto& [tensor, groups, share] :
       {std::tuple(1, 1, 0.88), std::tuple(2, 1, 0.87), std::tuple(4, 1, 0.85), std::tuple(8, 1, 0.81),
        std::tuple(1, 8, 0.81), std::tuple(16, 1, 0.79), std::tuple(8, 4, 0.79)}) {
    engine.plan.tensor = tensor, engine.plan.attention_data = groups;
    CHECK(memory_share(engine, gpu_of(81559)) == share);
  }
}

TEST_CASE("SGLang 0.5 reckons what activations, graphs and communication need", "[serving]") {
  EngineConfig engine;
  engine.memory_rule = MemoryRule::by_reserve;
  engine.scheduler.token_budget = 8192;
  engine.graph_sizes = "1 2 4 8..512/8";
  // (81,559 - 512 - 12,288 - 2 x 512 - 512) / 81,559
  engine.plan.tensor = 4;
  CHECK(memory_share(engine, gpu_of(81559)) == 0.824);
  // Graphs of 256 requests below four GPUs.
  engine.plan.tensor = 1;
  CHECK(memory_share(engine, gpu_of(81559)) == Approx((81559 - 512 - 12288 - 512 - 128) / 81559.0).margin(0.0005));
  // 10 GiB at least on large GPUs, less on small ones.
  engine.scheduler.token_budget = 2048;
  CHECK(memory_share(engine, gpu_of(81559)) == Approx((81559 - 10240) / 81559.0).margin(0.0005));
  CHECK(memory_share(engine, gpu_of(24564)) == Approx((24564 - 512 - 3072 - 512 - 128) / 24564.0).margin(0.0005));
  // Attention groups, and drafts.
  engine.scheduler.token_budget = 8192;
  engine.plan.attention_data = 8;
  CHECK(memory_share(engine, gpu_of(143771)) ==
        Approx((143771 - 512 - 12288 - 1024 - 1024 - 512 * 8 * 4.5) / 143771.0).margin(0.0005));
  engine.plan.attention_data = 1;
  const double without = memory_share(engine, gpu_of(143771));
  engine.speculation.depth = 1;
  CHECK(without - memory_share(engine, gpu_of(143771)) == Approx(2048 / 143771.0).margin(0.001));
  engine.memory_rule = MemoryRule::stated;
  CHECK(memory_share(engine, gpu_of(143771)) == 0.9);
}

/// Gemma 4 31B on one H200 with vLLM: 64.68 GiB of cache are logged as 626,949 tokens (configiq issue 112, 16-bit
/// cache).
TEST_CASE("what vLLM logs of a cache with windows", "[serving]") {
  ModelConfig gemma;
  gemma.layers = 60, gemma.hidden = 5376, gemma.vocabulary = 262144, gemma.ffn_width = 21504;
  gemma.max_positions = 262144;
  gemma.attention.type = "grouped_query";
  gemma.attention.heads = 32, gemma.attention.kv_heads = 4, gemma.attention.head_dim = 512;
  gemma.attention.values_are_keys = true;
  gemma.attention.window = {1024, 50, false, 0, 16, 256, 0};
  EngineConfig engine;
  engine.model = gemma;
  engine.scheduler.token_budget = 8192;
  engine.cache_memory = Bytes(64.68 * 1024 * 1024 * 1024);
  const ReplicaMemory memory = replica_memory(engine, gpu_of(143771));
  CHECK(memory.kv_per_token.value() == 80 * 1024);
  const LoggedCache logged = logged_cache(engine, 16, memory);
  CHECK(logged.per_token.value() / 1024 == Approx(108.2).margin(0.05));
  CHECK(logged.tokens == Approx(626'949).epsilon(0.0002));
}

/// gpt-oss-120b, FP8: a request of 65,536 tokens takes 1.127 GiB, and 2.250 GiB if windows grew (aiconfigurator, pull
/// request 1537).
TEST_CASE("windows of 128 tokens halve the cache of a long request", "[serving]") {
  ModelConfig oss;
  oss.layers = 36, oss.hidden = 2880, oss.vocabulary = 201088, oss.ffn_width = 2880, oss.max_positions = 131072;
  oss.attention.type = "grouped_query";
  oss.attention.heads = 64, oss.attention.kv_heads = 8, oss.attention.head_dim = 64;
  oss.attention.window.tokens = 128, oss.attention.window.layers = 18;
  EngineConfig engine;
  engine.model = oss;
  engine.precision.kv = Precision::fp8;
  const ReplicaMemory memory = replica_memory(engine, gpu_of(183359));
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  CHECK(memory.kv_of(65536).value() / kGiB == Approx(1.127).margin(0.001));
  engine.model.attention.window = {};
  CHECK(replica_memory(engine, gpu_of(183359)).kv_of(65536).value() / kGiB == Approx(2.25).margin(0.001));
  CHECK(memory.kv_of(64).value() == 64 * 36 * 1024);
}

}  // namespace
}  // namespace flopcast::test
