// Does a named engine bring its habits along, may one of them be overridden, and is what it cannot do refused?
#include <algorithm>

#include "scenarios/resolve/serving/serving_scenario.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kNamed = R"(cluster { node: "hgx-h200" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-70b"
serving {
  traffic { requests: "40" stream { users: 4 input { mean: 500 } output { mean: 100 } } }
  replicas { tensor: 4 weights: "fp8" engine: "vllm-0.12" }
}
)";

const EngineConfig& engine(const Scenario& scenario) { return scenario.serving->pools.front().engine; }

TEST_CASE("an engine's habits hold where nothing else is stated, and are reported", "[scenarios][serving]") {
  const Scenario named = load_text(kNamed);
  CHECK(engine(named).name == "vllm-0.12");
  CHECK_FALSE(engine(named).overlap_scheduling);
  CHECK(engine(named).scheduler.max_batch == 1024);
  CHECK(std::ranges::count(named.defaults_used, "serving.replicas.max_batch = 1024 (vllm-0.12)") == 1);
  const Scenario own = load_text(replaced(kNamed, "engine:", "max_batch: 64 engine:"));
  CHECK(engine(own).scheduler.max_batch == 64);
  CHECK(engine(own).scheduler.token_budget == 8192);
  const Scenario other = load_text(replaced(kNamed, "vllm-0.12", "trtllm-1.0"));
  CHECK(engine(other).kernels == KernelLibrary::tensorrt_llm);
  CHECK(engine(other).scheduler.admission->name == "whole");
}

TEST_CASE("a cache in FP8 comes with NVIDIA's checkpoints, unless another is stated", "[scenarios][serving]") {
  const auto cache = [](const std::string& name, const std::string& more) {
    return engine(load_text(replaced(replaced(kNamed, "vllm-0.12", name), "engine:", more + " engine:"))).precision.kv;
  };
  CHECK(cache("trtllm-1.0", "scaling: \"per_tensor\"") == Precision::fp8);
  CHECK(cache("trtllm-0.17", "scaling: \"per_tensor\"") == Precision::fp8);
  CHECK(cache("trtllm-1.0", "scaling: \"per_tensor\" kv_cache: \"bf16\"") == Precision::bf16);
  CHECK(cache("trtllm-1.0", "scaling: \"blocks\"") == Precision::bf16);
  CHECK(cache("vllm-0.12", "scaling: \"per_tensor\"") == Precision::bf16);
  const Scenario named =
      load_text(replaced(kNamed, "engine: \"vllm-0.12\"", "scaling: \"per_tensor\" engine: \"trtllm-1.0\""));
  CHECK(std::ranges::count(
            named.defaults_used,
            "serving.replicas.kv_cache = \"fp8\" (trtllm-1.0: checkpoints in FP8 with one scale per tensor)") == 1);
}

TEST_CASE("attention of DeepSeek's checkpoints in NVFP4 stays in BF16", "[scenarios][serving]") {
  const auto attends = [](const std::string& model, const std::string& weights) {
    const std::string whole = replaced(replaced(kNamed, "hgx-h200", "hgx-b200"), "tensor: 4", "tensor: 8");
    const std::string text = replaced(whole, "llama-3.1-70b", model);
    return attends_in_bf16(engine(load_text(replaced(text, "weights: \"fp8\"", weights))));
  };
  CHECK(attends("deepseek-r1", "weights: \"fp4\"") == true);
  CHECK(attends("deepseek-r1", "weights: \"fp8\"") == false);
  CHECK(attends("llama-3.1-70b", "weights: \"fp4\"") == false);
}

TEST_CASE("an engine nobody knows, and what a version did not have", "[scenarios][serving]") {
  CHECK_THAT(faults_of(replaced(kNamed, "vllm-0.12", "vllm-0.13"), {}, "named.textproto"),
             ContainsSubstring("named.textproto:5:39: serving.replicas.engine: found \"vllm-0.13\"") &&
                 ContainsSubstring("did you mean \"vllm-0.1"));
  CHECK_THAT(faults_of(replaced(kNamed, "engine: \"vllm-0.12\"", "engine: \"vllm-0.9\" overlap_scheduling: true")),
             ContainsSubstring("overlap_scheduling: found true, expected nothing: vLLM 0.9 could not do it"));
  CHECK(faults_of(replaced(kNamed, "engine: \"vllm-0.12\"", "engine: \"vllm-0.9\" overlap_scheduling: false")).empty());
}

TEST_CASE("engines capture graphs of their own sizes, and what they could not do is refused", "[scenarios][serving]") {
  const Scenario named = load_text(kNamed);
  CHECK(engine(named).graph_sizes == "1 2 4 8..248/8 256..512/16");
  const auto sizes = parse_graph_sizes(engine(named).graph_sizes);
  REQUIRE(sizes);
  CHECK(sizes->size() == 3 + 31 + 17);
  CHECK(sizes->back() == 512);
  CHECK_FALSE(parse_graph_sizes("1 2 2"));
  CHECK_FALSE(parse_graph_sizes("8..4/2"));
  CHECK_FALSE(parse_graph_sizes("8..16"));
  CHECK_FALSE(parse_graph_sizes("eight"));
  CHECK_THAT(faults_of(replaced(kNamed, "weights:", "priority_preemption: true weights:")),
             ContainsSubstring("priority_preemption: found true, expected nothing: vLLM 0.12 could not do it"));
}

TEST_CASE("every profile is complete and says when and from what", "[scenarios][serving]") {
  const auto names = libraries().names(LibraryKind::engines);
  REQUIRE(names.size() >= 10);
  for (const std::string& name : names) {
    INFO(name);
    const Scenario scenario = load_text(replaced(kNamed, "vllm-0.12", name));
    CHECK(engine(scenario).name == name);
  }
  for (const LibraryRow& row : list_library(LibraryKind::engines, libraries())) {
    INFO(row.name << ": " << row.figures);
    CHECK_FALSE(row.source.empty());
    CHECK(row.figures.find("cannot be read") == std::string::npos);
  }
}

TEST_CASE("versions of vLLM multiply with experts by kernels of their own", "[scenarios][serving]") {
  const std::string moe = replaced(kNamed, "llama-3.1-70b", "qwen3-235b-a22b");
  const auto kernels = [&](const std::string& version, const std::string& plan) {
    return expert_kernels_of(engine(load_text(replaced(replaced(moe, "vllm-0.12", version), "tensor: 4", plan))));
  };
  CHECK(kernels("vllm-0.9", "tensor: 4") == ExpertKernels::as_kernels);
  CHECK(kernels("vllm-0.12", "tensor: 4") == ExpertKernels::deep_gemm_padded);
  CHECK(kernels("vllm-0.12", "tensor: 8") == ExpertKernels::as_kernels);
  CHECK(kernels("vllm-0.12", "tensor: 8 expert: 8") == ExpertKernels::deep_gemm_padded);
  CHECK(kernels("vllm-0.14", "tensor: 4 expert: 4") == ExpertKernels::deep_gemm);
  CHECK(kernels("vllm-0.16", "tensor: 4") == ExpertKernels::cutlass);
  CHECK(kernels("vllm-0.18", "tensor: 4") == ExpertKernels::as_kernels);
  CHECK(kernels("vllm-0.18", "tensor: 4 expert: 4") == ExpertKernels::cutlass);
  CHECK(kernels("vllm-0.18", "tensor: 4 expert: 4 expert_kernels: \"as_kernels\"") == ExpertKernels::as_kernels);
  CHECK(kernels("sglang-0.5.9", "tensor: 4") == ExpertKernels::as_kernels);
  const std::string sixteen_bits = replaced(moe, "weights: \"fp8\"", "weights: \"bf16\"");
  CHECK(expert_kernels_of(engine(load_text(replaced(sixteen_bits, "tensor: 4", "tensor: 8")))) ==
        ExpertKernels::as_kernels);
}

TEST_CASE("experts are spread over divisors of a replica's GPUs", "[scenarios][serving]") {
  const std::string moe =
      replaced(replaced(kNamed, "llama-3.1-70b", "qwen3-235b-a22b"), "tensor: 4", "tensor: 4 expert: 2");
  CHECK(engine(load_text(moe)).plan.expert_slices() == 2);
  CHECK_THAT(faults_of(replaced(moe, "expert: 2", "expert: 3")),
             ContainsSubstring("a divisor of tensor x attention_data = 4"));
  CHECK_THAT(faults_of(replaced(moe, "expert: 2", "expert: 2 expert_transport: \"all_to_all\"")),
             ContainsSubstring("where tokens are sent to their experts"));
  CHECK_THAT(
      faults_of(replaced(moe, "tensor: 4 expert: 2", "attention_data: 4 expert: 4 expert_transport: \"replicated\"")),
      ContainsSubstring("4 attention groups have tokens of their own"));
}

}  // namespace
}  // namespace flopcast::test
