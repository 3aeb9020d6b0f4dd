// Models whose layers differ: are windows, indexers, states and experts at uneven distances counted, cached and met by
// queries as a loop over layers and tokens says?
#include <algorithm>

#include "scenarios/read/libraries/libraries.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "workloads/model/layer_kernels.h"
#include "workloads/model/model.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/cache/kv_cache.h"

namespace flopcast {
namespace {

/// 12 layers, 4 of them with a state, 6 with a window, 2 that attend to everything.
ModelConfig mixed() {
  ModelConfig m;
  m.layers = 12;
  m.hidden = 1024;
  m.vocabulary = 1000;
  m.ffn_width = 4096;
  m.attention.type = "grouped_query";
  m.attention.heads = 16;
  m.attention.kv_heads = 4;
  m.attention.head_dim = 64;
  m.attention.window.tokens = 100;
  m.attention.window.layers = 6;
  m.attention.window.kv_heads = 8;
  m.state_layers.layers = 4;
  m.state_layers.in_width = 5000;
  m.state_layers.out_width = 2000;
  m.state_layers.state_elements = 65536;
  return m;
}

TEST_CASE("query-key pairs are those of a loop over tokens", "[model]") {
  ModelConfig m = mixed();
  m.attention.window.chunked = GENERATE(false, true);
  const int queries = GENERATE(1, 50, 400), keys = queries + GENERATE(0, 30, 700);
  if (m.attention.window.chunked && keys > m.attention.window.tokens && queries % 100 != 0)
    return;  // a mean over chunks
  double pairs = 0;
  for (int q = keys - queries + 1; q <= keys; ++q) {
    const int in_window = m.attention.window.chunked ? (q - 1) % 100 + 1 : std::min(q, 100);
    pairs += 2 * q + 6 * in_window;
  }
  // A query's own key counts half in the closed form, as in the triangle of a causal mask.
  CHECK(m.mean_pairs(queries, keys) == Approx(pairs / 12).margin(queries * 8 / 12.0));
}

TEST_CASE("a token decoded meets a window's keys in layers with a window, and none in layers with a state", "[model]") {
  const ModelConfig m = mixed();
  CHECK(m.mean_keys(40) == Approx((2 + 6) * 40 / 12.0));
  CHECK(m.mean_keys(5000) == Approx((2 * 5000 + 6 * 100) / 12.0));
  ModelConfig sparse = m;
  sparse.attention.window = {};
  sparse.state_layers = {};
  sparse.attention.indexer = {4, 64, 2048, 0};
  CHECK(sparse.mean_keys(5000) == Approx(2048));
  CHECK(sparse.mean_keys(500) == Approx(500));
}

TEST_CASE("parameters of layers of three kinds are their sum", "[model]") {
  const ModelConfig m = mixed();
  const double h = 1024, full = h * (2 * 16 + 2 * 4) * 64, window = h * (2 * 16 + 2 * 8) * 64, state = h * 7000;
  const double layers = 2 * full + 6 * window + 4 * state + 12 * (3 * h * 4096 + 2 * h);
  CHECK(count_parameters(m).total == Approx(layers + 2 * 1000 * h + h));
}

TEST_CASE("windows stop growing, states never do", "[model][serving]") {
  const ModelConfig m = mixed();
  CHECK(kv_bytes_per_token(m, Precision::bf16).value() ==
        2 * 2 * 4 * 64 * 2);  // layers x (k, v) x heads x width x bytes
  CHECK(kv_bytes_per_window_and_gpu(m, Precision::bf16, 1).value() == 6 * 100 * 2 * 8 * 64 * 2);
  CHECK(kv_bytes_per_state_and_gpu(m, 1).value() == 4 * 65536 * 4);
  const Libraries library({testing::source_dir()});
  // 65,536 tokens in FP8: 1.210e9 B, not 36 layers' 2.416e9 (aiconfigurator PR 1537).
  const ModelConfig oss = library.model("gpt-oss-120b");
  const double bytes = kv_bytes_per_token(oss, Precision::fp8).value() * 65536 +
                       kv_bytes_per_window_and_gpu(oss, Precision::fp8, 1).value();
  CHECK(bytes == 18 * 65536.0 * 1024 + 18 * 128.0 * 1024);
}

TEST_CASE("where every layer has a window, the cache is counted as if it grew", "[model][serving]") {
  ModelConfig m = mixed();
  m.state_layers = {};
  m.attention.window.layers = 12;
  CHECK(m.growing_layers() == 12);
  CHECK(kv_bytes_per_window_and_gpu(m, Precision::bf16, 1).value() == 0);
  CHECK(m.mean_keys(5000) == Approx(100));
}

TEST_CASE("a sequence takes pages of its own beside those of its tokens", "[serving]") {
  KvCacheConfig config;
  config.page_tokens = 16;
  config.capacity_tokens[KvTier::hbm] = 160;
  CHECK(KvCache(config).page().pages_of(17) == 2);
  config.sequence_tokens = 40;
  const KvCache cache(config);
  CHECK(cache.page().pages_of(0) == 0);
  CHECK(cache.page().pages_of(1) == 4);
  CHECK(cache.page().pages_of(17) == 5);
  CHECK(cache.page().tokens_of(cache.page().pages_of(17)) == 32);
}

TEST_CASE("a sequence takes of its window what it has tokens for", "[serving]") {
  // 52 layers look back at 1,024 tokens, 10 grow (Gemma 3 27B): 700 tokens take 5.2 x 700 in windows, 3,000 take 5.2 x
  // 1,024; pages of 16 are filled one after another.
  KvCacheConfig config;
  config.page_tokens = 16;
  config.capacity_tokens[KvTier::hbm] = 16 * 2000;
  config.window = 1024;
  config.window_tokens = 5325;  // 5.2 x 1,024, rounded up
  KvCache cache(config);
  const PageSize& page = cache.page();
  CHECK(page.pages_of(700) == 44 + 229);
  CHECK(page.pages_of(1024) == 64 + 333);
  CHECK(page.pages_of(3000) == 188 + 333);
  CHECK_FALSE(page.window_is_full(1008));
  CHECK(page.window_is_full(1009));
  std::int64_t most = 0;
  for (std::int64_t pages = 0; pages < 700; ++pages) {  // the longest sequence that so many pages hold
    const std::int64_t tokens = page.tokens_of(pages);
    CHECK(page.pages_of(tokens) <= pages);
    CHECK(page.pages_of(tokens + 1) > pages);
  }
  for (std::int64_t tokens = 1; tokens < 2000; ++tokens)
    most = std::max(most, page.pages_of(tokens + 1) - page.pages_of(tokens));
  CHECK(most <= page.most_per_block());
  // Seven of 700 tokens where whole windows of as many would have left room for four.
  int held = 0;
  while (cache.start(PrefixBlocks{}, 700, 700)) ++held;
  CHECK(held == 2000 / 273);
  CHECK(cache.consistent());
}

TEST_CASE("experts at uneven distances: as many layers as stated, spread evenly", "[model]") {
  ModelConfig m = mixed();
  m.moe.experts = 8;
  m.moe.first_dense_layers = 1;
  m.moe.layers = GENERATE(0, 1, 5, 11);
  int count = 0;
  for (int layer = 0; layer < m.layers; ++layer) count += m.is_moe_layer(layer);
  CHECK(count == m.moe.layers);
  CHECK_FALSE(m.is_moe_layer(0));
}

TEST_CASE("the core of a mixed model does the work of its mean layer", "[model]") {
  const ModelConfig m = mixed();
  ModelConfig all = m;
  all.attention.window = {};
  all.state_layers = {};
  const auto pairs = [](const ModelConfig& model) {
    LayerWork work(model);
    work.tokens = work.own_tokens = 4096;
    work.reach.queries = work.reach.keys = 4096;
    LayerKernels list;
    add_attention_core(list, work);
    double sum = 0;
    for (const LayerKernel& kernel : list.kernels) {
      if (const auto* core = std::get_if<AttentionShape>(&kernel.shape))
        sum +=
            static_cast<double>(core->query_length) * static_cast<double>(core->kv_length) * (core->causal ? 0.5 : 1);
    }
    return sum;
  };
  CHECK(pairs(all) == 4096.0 * 4096 / 2);
  CHECK(pairs(m) == Approx(m.mean_pairs(4096, 4096)).epsilon(0.001));
}

}  // namespace
}  // namespace flopcast
