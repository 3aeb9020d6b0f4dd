// Does a named engine bring its habits along, may one of them be overridden, and is what it cannot do refused?
#include <algorithm>

#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "tests/scenarios/fixture.h"
#include "workloads/serving/pricing/replica_memory.h"
#include "workloads/serving/traffic/clients.h"

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

TEST_CASE("habits with drafts and with states of layers hold where there are any", "[scenarios][serving]") {
  const std::string plain =
      replaced(replaced(kNamed, "vllm-0.12", "sglang-0.5.9"), "llama-3.1-70b", "qwen3-next-80b-a3b");
  const std::string drafts =
      replaced(plain, "  replicas {", "  speculation { depth: 2 kind: \"lookup\" }\n  replicas {");
  const Scenario hybrid = load_text(plain);
  CHECK(engine(hybrid).state_share == 0.4737);
  CHECK(engine(hybrid).state_places == 3);
  CHECK_FALSE(engine(hybrid).overlap_scheduling);
  CHECK(std::ranges::count(hybrid.defaults_used,
                           "serving.replicas.state_places = 3 (sglang-0.5.9 with states of layers)") == 1);
  CHECK(engine(load_text(drafts)).scheduler.max_batch == 48);
  CHECK(engine(load_text(replaced(drafts, "engine:", "max_batch: 200 engine:"))).scheduler.max_batch == 200);
  // Copies of states are kept for prefixes alone.
  const Scenario none = load_text(replaced(plain, "  replicas {", "  prefix_cache { on: false }\n  replicas {"));
  CHECK(engine(none).state_places == 1);
  CHECK(engine(none).overlap_scheduling);
  // A model without states, without drafts.
  const Scenario dense = load_text(replaced(kNamed, "vllm-0.12", "sglang-0.5.9"));
  CHECK(engine(dense).state_share == 0);
  CHECK(engine(dense).scheduler.max_batch == 2048);
  CHECK(engine(dense).overlap_scheduling);
  CHECK_THAT(faults_of(replaced(kNamed, "engine:", "state_share: 0.5 engine:")),
             ContainsSubstring("serving.replicas.state_share: found a statement without effect") &&
                 ContainsSubstring("has none"));
  CHECK_THAT(faults_of(replaced(kNamed, "engine:", "state_places: 3 engine:")),
             ContainsSubstring("serving.replicas.state_places: found a statement without effect"));
}

TEST_CASE("a pool of states holds as many requests as it has places for", "[scenarios][serving]") {
  const std::string text =
      replaced(replaced(kNamed, "vllm-0.12", "sglang-0.5.9"), "llama-3.1-70b", "qwen3-next-80b-a3b");
  const Scenario scenario = load_text(text);
  EngineConfig pooled = engine(scenario);
  const GpuSpec& gpu = scenario.cluster.node.gpu;
  const ReplicaMemory memory = replica_memory(pooled, gpu);
  const Bytes left = memory.usable - memory.table.total();
  CHECK(memory.state_pool.value() == Approx(0.4737 * left.value()));
  CHECK(memory.state_requests == static_cast<int>(memory.state_pool / memory.kv_per_state / 3));
  CHECK(memory.kv_of(1000).value() == Approx(1000 * memory.kv_per_token.value()));
  // A token that is verified has a state of its own.
  pooled.speculation.depth = 2;
  CHECK(replica_memory(pooled, gpu).state_requests < memory.state_requests / 1.9);
  pooled.speculation.depth = 0;
  pooled.state_share = 0;
  const ReplicaMemory shared = replica_memory(pooled, gpu);
  CHECK(shared.state_requests == 0);
  CHECK(shared.kv_tokens > memory.kv_tokens);
  CHECK(shared.kv_of(1000) > memory.kv_of(1000));
}

TEST_CASE("a version that is not there is told between which it comes", "[scenarios][serving]") {
  const auto refused = [](const std::string& name, const std::string& what) {
    INFO(name);
    CHECK_THAT(faults_of(replaced(kNamed, "vllm-0.12", name)), ContainsSubstring(what));
  };
  refused("vllm-0.13", "comes between vllm-0.12 and vllm-0.14");
  refused("vllm-0.8", "comes before vllm-0.9, the first there is");
  refused("sglang-0.5.16", "comes after sglang-0.5.9, the last there is");
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
  const auto fp4 = [](const std::string& model) {
    const std::string node = replaced(replaced(kNamed, "hgx-h200", "hgx-b200"), "tensor: 4", "tensor: 8");
    const std::string text = replaced(replaced(node, "llama-3.1-70b", model), "vllm-0.12", "trtllm-1.0");
    return engine(load_text(replaced(text, "weights: \"fp8\"", "weights: \"fp4\""))).precision.kv;
  };
  CHECK(fp4("llama-3.1-70b") == Precision::fp8);
  CHECK(fp4("deepseek-r1") == Precision::bf16);
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

TEST_CASE("SGLang's experts on Blackwell are TensorRT-LLM's for the models that its version names",
          "[scenarios][serving]") {
  const auto generated = [](const std::string& version, const std::string& model, const std::string& weights) {
    const std::string node = replaced(replaced(kNamed, "hgx-h200", "hgx-b200"), "tensor: 4", "tensor: 8");
    const std::string text = replaced(replaced(node, "llama-3.1-70b", model), "vllm-0.12", version);
    return generated_experts(engine(load_text(replaced(text, "weights: \"fp8\"", "weights: \"" + weights + "\""))));
  };
  CHECK_FALSE(generated("sglang-0.5.3", "deepseek-r1", "fp8"));
  CHECK(generated("sglang-0.5.6", "deepseek-r1", "fp8"));
  CHECK(generated("sglang-0.5.8", "kimi-k2", "fp8"));
  CHECK_FALSE(generated("sglang-0.5.6", "qwen3-235b-a22b", "fp8"));
  CHECK(generated("sglang-0.5.8", "qwen3-235b-a22b", "fp8"));
  CHECK_FALSE(generated("sglang-0.5.8", "qwen3-235b-a22b", "bf16"));
  CHECK(generated("sglang-0.5.9", "qwen3-235b-a22b", "bf16"));
  CHECK_FALSE(generated("sglang-0.5.9", "minimax-m2.5", "fp8"));
  CHECK_FALSE(generated("vllm-0.12", "deepseek-r1", "fp8"));
}

TEST_CASE("shared experts run beside routed ones in graphs of few tokens", "[scenarios][serving]") {
  const auto beside = [](const std::string& version, double tokens, const std::string& more = "") {
    return runs_shared_beside(
        engine(load_text(replaced(replaced(kNamed, "vllm-0.12", version), "engine:", more + "engine:"))), tokens);
  };
  CHECK(beside("sglang-0.5.6", 1024));
  CHECK_FALSE(beside("sglang-0.5.6", 1025));
  CHECK(beside("vllm-0.12", 256));
  CHECK_FALSE(beside("vllm-0.12", 257));
  CHECK_FALSE(beside("vllm-0.9", 1));
  CHECK_FALSE(beside("sglang-0.5.6", 1, "cuda_graphs: false "));
}

TEST_CASE("parts of a quantised checkpoint may stay in BF16, and take their memory", "[scenarios][serving]") {
  const auto weights = [](const std::string& parts) {
    const std::string text = replaced(replaced(kNamed, "llama-3.1-70b", "llama-3.1-405b"), "tensor: 4", "tensor: 8");
    const Scenario scenario = load_text(replaced(text, "engine:", parts + "engine:"));
    return replica_memory(engine(scenario), scenario.cluster.node.gpu).table.total().value() / 1e9;
  };
  const double all = weights(""), attention = weights("bf16_parts: \"attention\" "),
               ends = weights("bf16_parts: \"attention_and_ends\" ");
  // 126 layers of 16,384 x (16,384 x 2 + 1,024 x 2), two FFNs of 3 x 16,384 x 53,248, a byte each more, over 8 GPUs.
  CHECK(attention - all == Approx(126 * 16384.0 * (16384 + 1024) * 2 / 8e9).epsilon(0.01));
  CHECK(ends - attention == Approx(2 * 3 * 16384.0 * 53248 / 8e9).epsilon(0.01));
  CHECK_THROWS_AS(load_text(replaced(replaced(kNamed, "weights: \"fp8\"", "weights: \"bf16\""),
                                     "engine:", "bf16_parts: \"attention\" engine:")),
                  InputError);
}

TEST_CASE("TensorRT-LLM keeps whole caches for layers with a window, unless it is told their windows",
          "[scenarios][serving]") {
  const auto per_token = [](const std::string& version, const std::string& more = "") {
    const std::string text = replaced(replaced(replaced(kNamed, "llama-3.1-70b", "gpt-oss-120b"), "vllm-0.12", version),
                                      "weights: \"fp8\"", "");
    const Scenario scenario = load_text(replaced(text, "engine:", more + "engine:"));
    const ReplicaMemory memory = replica_memory(engine(scenario), scenario.cluster.node.gpu);
    CHECK((memory.window == 128) == (memory.kv_per_window > Bytes(0)));
    return 4 * memory.kv_per_token.value();  // of all four GPUs
  };
  // Keys and values of eight heads of 64 in BF16, in 18 or 36 layers.
  CHECK(per_token("vllm-0.12") == 2 * 8 * 64 * 2 * 18);
  CHECK(per_token("trtllm-1.2") == 2 * 8 * 64 * 2 * 36);
  CHECK(per_token("trtllm-0.17") == per_token("trtllm-1.2"));
  CHECK(per_token("trtllm-1.2", "window_caches: true ") == per_token("vllm-0.12"));
}

const std::string kAsked = R"(cluster { node: "hgx-h200" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-70b"
serving {
  traffic { stream { users: 40 client: "inferencex" input { mean: 500 } output { mean: 100 } } }
  replicas { tensor: 4 weights: "fp8" engine: "trtllm-1.1" }
}
)";

TEST_CASE("a benchmark's client brings what the benchmark starts the engine with", "[scenarios][serving]") {
  const auto budget = [](const std::string& text) { return engine(load_text(text)).scheduler.token_budget; };
  const Scenario asked = load_text(kAsked);
  CHECK(engine(asked).scheduler.token_budget == 16384);
  CHECK(engine(asked).precision.kv == Precision::fp8);
  CHECK(std::ranges::count(asked.defaults_used,
                           "serving.replicas.token_budget = 16384 (as inferencex starts trtllm-1.1)") == 1);
  // What is stated holds; what the benchmark does not run is the engine's own.
  CHECK(budget(replaced(kAsked, "engine:", "token_budget: 4096 engine:")) == 4096);
  CHECK(budget(replaced(kAsked, "weights: \"fp8\"", "weights: \"bf16\"")) == 8192);
  CHECK(budget(replaced(kAsked, "llama-3.1-70b", "llama-3.1-8b")) == 8192);
  CHECK(budget(replaced(replaced(kAsked, "client: \"inferencex\" ", ""), "traffic {", "traffic { requests: \"40\"")) ==
        8192);
  // 500 tokens of a prompt, a token for each of 40 users, 1,500 more, up to a multiple of 32.
  const Scenario own = load_text(replaced(kAsked, "inferencex", "aiconfigurator"));
  CHECK(engine(own).scheduler.token_budget == 2048);
  CHECK(engine(own).scheduler.max_batch == 40);
  CHECK(own.serving->traffic.requests == 800);
  // Experts over all GPUs, as the script has it whatever is stated of fewer things.
  const std::string experts = replaced(replaced(kAsked, "llama-3.1-70b", "minimax-m2.5"), "trtllm-1.1", "vllm-0.18");
  CHECK(engine(load_text(experts)).plan.expert == 4);
  CHECK(engine(load_text(replaced(experts, "tensor: 4", "tensor: 4 expert: 1"))).plan.expert == 1);
}

TEST_CASE("benchmarks that profiles know are clients, and only one prompt leaves kernels cold",
          "[scenarios][serving]") {
  for (const std::string& name : libraries().names(LibraryKind::engines)) {
    const auto profile = load_entry<proto::EngineProfile>(libraries(), name);
    for (const auto& start : profile.message.started())
      CHECK(find_policy(benchmark_clients(), start.client()) != nullptr);
  }
  // A version's own starts stand before those that it takes over.
  const auto starts = [](const char* engine) {
    std::vector<std::string> models;
    const auto profile = load_entry<proto::EngineProfile>(libraries(), engine);
    for (const auto& start : profile.message.started()) models.push_back(start.model_size() > 0 ? start.model(0) : "");
    return models;
  };
  std::vector<std::string> later = starts("vllm-0.18");
  CHECK(std::vector<std::string>(later.begin(), later.begin() + 2) ==
        std::vector<std::string>{"minimax-m2.5", "minimax-m2.5"});
  later.erase(later.begin(), later.begin() + 2);
  CHECK(later == starts("vllm-0.11"));
  CHECK(later.back().empty());  // vLLM 0.9's, for every model
  const std::string cold = replaced(replaced(kAsked, "llama-3.1-70b", "deepseek-r1"), "tensor: 4", "tensor: 8");
  CHECK(cold_prompts(engine(load_text(cold))) > Seconds(0.1));
  CHECK(cold_prompts(engine(load_text(kAsked))) > Seconds(0.1));
  CHECK(cold_prompts(engine(load_text(replaced(kAsked, "weights:", "scaling: \"per_tensor\" weights:")))) ==
        Seconds(0));
  CHECK(cold_prompts(engine(load_text(replaced(cold, "inferencex", "aiconfigurator")))) == Seconds(0));
  CHECK(cold_prompts(engine(load_text(replaced(cold, "trtllm-1.1", "vllm-0.18")))) == Seconds(0));
}

TEST_CASE("a share of memory is stated or reckoned, not both", "[scenarios][serving]") {
  CHECK_THAT(
      faults_of(replaced(kNamed, "engine:", "memory_share: 0.8 memory_rule: \"by_ranks\" engine:")),
      ContainsSubstring("serving.replicas.memory_rule: found \"by_ranks\", expected nothing beside memory_share"));
  CHECK(faults_of(replaced(kNamed, "engine: \"vllm-0.12\"", "memory_share: 0.8 engine: \"sglang-0.5.9\"")).empty());
}

TEST_CASE("an engine nobody knows, and what a version did not have", "[scenarios][serving]") {
  CHECK_THAT(faults_of(replaced(kNamed, "vllm-0.12", "vllm-0.13"), {}, "named.textproto"),
             ContainsSubstring("named.textproto:5:39: serving.replicas.engine: found \"vllm-0.13\"") &&
                 ContainsSubstring("did you mean \"vllm-0.1"));
  CHECK_THAT(faults_of(replaced(kNamed, "engine: \"vllm-0.12\"", "engine: \"vllm-0.9\" overlap_scheduling: true")),
             ContainsSubstring("overlap_scheduling: found true, expected nothing: vLLM 0.9 could not do it"));
  CHECK(faults_of(replaced(kNamed, "engine: \"vllm-0.12\"", "engine: \"vllm-0.9\" overlap_scheduling: false")).empty());
}

TEST_CASE("stages of a pipeline end the overlap of engines that cannot have both", "[scenarios][serving]") {
  const auto staged = [](const std::string& version, const std::string& more) {
    return replaced(kNamed, "tensor: 4 weights: \"fp8\" engine: \"vllm-0.12\"",
                    "tensor: 2 pipeline: 2 weights: \"fp8\" " + more + " engine: \"" + version + "\"");
  };
  const Scenario before = load_text(staged("vllm-0.14", ""));
  CHECK_FALSE(engine(before).overlap_scheduling);
  CHECK(std::ranges::count(before.defaults_used,
                           "serving.replicas.overlap_scheduling = false (vllm-0.14 beside pipeline stages)") == 1);
  CHECK_FALSE(engine(load_text(staged("sglang-0.5.9", ""))).overlap_scheduling);
  CHECK(engine(load_text(staged("vllm-0.16", ""))).overlap_scheduling);
  CHECK(engine(load_text(staged("trtllm-1.0", ""))).overlap_scheduling);
  CHECK(engine(load_text(replaced(kNamed, "vllm-0.12", "vllm-0.14"))).overlap_scheduling);
  CHECK_THAT(faults_of(staged("vllm-0.14", "overlap_scheduling: true")),
             ContainsSubstring("overlap_scheduling: found true, expected false beside pipeline: 2: vLLM 0.14"));
  CHECK(faults_of(staged("vllm-0.14", "overlap_scheduling: false")).empty());
}

TEST_CASE("what a round of drafts takes the host, and which it does not", "[scenarios][serving]") {
  const auto host = [](const std::string& model, const std::string& version, const std::string& drafts) {
    const std::string node = replaced(replaced(kNamed, "tensor: 4", "tensor: 8"), "llama-3.1-70b", model);
    const std::string text = replaced(replaced(node, "vllm-0.12", version), "traffic {", drafts + " traffic {");
    return draft_host(engine(load_text(text)), 3);
  };
  const std::string mtp = "speculation { depth: 3 acceptance: 0.7 }";
  const Seconds latent = host("deepseek-r1", "sglang-0.5.9", mtp);
  CHECK(latent > Seconds(1e-3));
  CHECK(host("deepseek-r1", "trtllm-1.0", mtp) == Seconds(0));
  CHECK(host("deepseek-r1", "sglang-0.5.9", "speculation { depth: 3 acceptance: 0.7 kind: \"lookup\" }") == Seconds(0));
  CHECK_THAT(host("deepseek-v3.2", "sglang-0.5.9", mtp).value(),
             Catch::Matchers::WithinRel(latent.value() + 61 * 100e-6, 1e-9));
  const Scenario r1 =
      load_text(replaced(replaced(replaced(kNamed, "tensor: 4", "tensor: 8"), "llama-3.1-70b", "deepseek-r1"),
                         "vllm-0.12", "sglang-0.5.9"));
  CHECK(host_is_hidden(engine(r1), 0));
  CHECK_FALSE(host_is_hidden(engine(r1), 3));
  CHECK(draft_host(engine(r1), 0) == Seconds(0));
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

TEST_CASE("versions of engines multiply with experts by kernels of their own", "[scenarios][serving]") {
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
  CHECK(kernels("sglang-0.5.9", "tensor: 4") == ExpertKernels::generated);  // where the GPU has them
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
