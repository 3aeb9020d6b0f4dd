// Does a token take the bytes in the KV cache that were published?
#include "workloads/serving/cache/kv_bytes.h"

#include "scenarios/read/libraries/libraries.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

ModelConfig model(const std::string& name) {
  static const Libraries libraries({flopcast::testing::source_dir()});
  return libraries.model(name);
}

TEST_CASE("KV bytes of a token are those of arXiv 2505.09343, Table 1", "[workloads][serving][validation]") {
  CHECK(kv_bytes_per_token(model("deepseek-v3"), Precision::bf16) == Bytes(70'272));
  CHECK(kv_bytes_per_token(model("llama-3.1-405b"), Precision::bf16) == Bytes(516'096));
  CHECK(kv_bytes_per_token(model("qwen2.5-72b"), Precision::bf16) == Bytes(327'680));
  CHECK(kv_bytes_per_token(model("deepseek-v3"), Precision::fp8) == Bytes(35'136));
  CHECK(kv_bytes_per_token(model("gpt-3-175b"), Precision::bf16) == Bytes(2.0 * 2 * 96 * 12288));  // multi-head
}

TEST_CASE("GPUs that share heads divide KV heads as far as there are any", "[workloads][serving]") {
  const ModelConfig llama = model("llama-3.1-70b");  // 8 KV heads
  const Bytes all = kv_bytes_per_token(llama, Precision::bf16);
  CHECK(kv_bytes_per_token_and_gpu(llama, Precision::bf16, 1) == all);
  CHECK(kv_bytes_per_token_and_gpu(llama, Precision::bf16, 4) == all / 4);
  CHECK(kv_bytes_per_token_and_gpu(llama, Precision::bf16, 8) == all / 8);
  CHECK(kv_bytes_per_token_and_gpu(llama, Precision::bf16, 16) == all / 8);
  const ModelConfig v3 = model("deepseek-v3");
  CHECK(kv_bytes_per_token_and_gpu(v3, Precision::bf16, 8) == kv_bytes_per_token(v3, Precision::bf16));
}

}  // namespace
}  // namespace flopcast
