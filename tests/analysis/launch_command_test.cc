// Is a deployment started as it was simulated, each flag from its field?
#include "analysis/runs/serving/exchange/launch_command.h"

#include "analysis/face/environment_data.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/scenarios/fixture.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kSplit = R"(cluster { node: "hgx-h800" nodes: 16 fabric: "mpft" }
model: "deepseek-v3"
serving {
  traffic { requests: "1K" stream { users: 64 input { mean: 500 } output { mean: 100 } } }
  prefill { engine: "sglang-0.5.9" attention_data: 32 expert: 32 redundant_experts: 32 weights: "fp8" expert_transport: "all_to_all" }
  decode { engine: "sglang-0.5.9" attention_data: 64 expert: 64 redundant_experts: 64 weights: "fp8" max_batch: 128
           expert_transport: "all_to_all" two_micro_batches: true }
}
)";
const std::string kDense = R"(cluster { node: "hgx-h200" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-70b"
serving {
  traffic { requests: "1K" stream { users: 64 input { mean: 500 } output { mean: 100 } } }
  replicas { count: 2 engine: "vllm-0.12" tensor: 4 weights: "fp8" kv_cache: "fp8" max_batch: 128 }
}
)";

std::vector<LaunchCommand> commands(const std::string& text) {
  const TemporaryFolder folder;
  return launch_commands(load_scenario(folder.write("deploy.textproto", text), {}, libraries()), "MODEL",
                         testing::environment().data().engine_flags());
}

TEST_CASE("flags follow the fields of the scenario, and name them", "[analysis][serving]") {
  const std::string vllm = to_text(commands(kDense));
  for (const char* part : {"vllm serve MODEL \\\n", "--tensor-parallel-size 4", "--max-num-seqs 128", "max_batch = 128",
                           "--max-num-batched-tokens 8192", "--kv-cache-dtype fp8", "--no-async-scheduling"})
    CHECK_THAT(vllm, ContainsSubstring(part));
  const std::string sglang = to_text(commands(kSplit));
  for (const char* part : {"--tp-size 64", "--dp-size 64 --enable-dp-attention", "--deepep-mode low_latency",
                           "--deepep-mode normal", "--enable-two-batch-overlap", "--max-running-requests 8192",
                           "--disaggregation-mode prefill", "--ep-num-redundant-experts 64"})
    CHECK_THAT(sglang, ContainsSubstring(part));
  const std::string trtllm = to_text(commands(replaced(kDense, "vllm-0.12", "trtllm-1.0")));
  CHECK_THAT(trtllm, ContainsSubstring("trtllm-serve MODEL") && ContainsSubstring("--max_batch_size 128") &&
                         ContainsSubstring("capacity_scheduler_policy: GUARANTEED_NO_EVICT") &&
                         ContainsSubstring("enable_chunked_prefill: false"));
}

TEST_CASE("a version is told what it knows, and the rest is named", "[analysis][serving]") {
  const std::string moe =
      replaced(replaced(kDense, "llama-3.1-70b", "qwen3-30b-a3b"), "max_batch: 128",
               "max_batch: 128 expert: 4 redundant_experts: 8 expert_transport: \"all_to_all\" graph_sizes: \"1 2 4\"");
  const auto as = [&](const char* engine, const std::string& text) {
    return to_text(commands(replaced(text, "vllm-0.12", engine)));
  };
  CHECK_THAT(as("vllm-0.12", moe), ContainsSubstring("--all2all-backend deepep_low_latency") &&
                                       ContainsSubstring("--eplb-config '{\"num_redundant_experts\": 8}'") &&
                                       ContainsSubstring("--cudagraph-capture-sizes 1 2 4"));
  // 0.11.0: a variable, and sizes of graphs by another name.
  CHECK_THAT(as("vllm-0.11", moe), ContainsSubstring("export VLLM_ALL2ALL_BACKEND=deepep_low_latency") &&
                                       !ContainsSubstring("--all2all-backend") &&
                                       ContainsSubstring("--cuda-graph-sizes 1 2 4"));
  CHECK_THAT(as("vllm-0.9", moe), !ContainsSubstring("async-scheduling") && !ContainsSubstring("--enable-eplb") &&
                                      ContainsSubstring("redundant_experts: vllm of 0.9.0 has no flag for it") &&
                                      ContainsSubstring("--cuda-graph-sizes 1 2 4"));
  CHECK_THAT(as("sglang-0.4", moe), ContainsSubstring("--enable-ep-moe") && !ContainsSubstring("--ep-size") &&
                                        ContainsSubstring("--enable-deepep-moe --deepep-mode auto") &&
                                        !ContainsSubstring("--enable-eplb") &&
                                        ContainsSubstring("redundant_experts: "));
  CHECK_THAT(as("sglang-0.5.9", moe),
             ContainsSubstring("--ep-size 4") && ContainsSubstring("--moe-a2a-backend deepep --deepep-mode auto"));
  CHECK_THAT(as("trtllm-1.0", moe), ContainsSubstring("num_slots: 136"));
  // Stages and asynchronous scheduling came together in 0.16.
  const std::string deep = replaced(kDense, "tensor: 4", "tensor: 4 pipeline: 2");
  const std::string one = replaced(deep, "count: 2", "count: 1");
  CHECK_THAT(as("vllm-0.14", one), ContainsSubstring("--no-async-scheduling"));
  CHECK_THAT(as("vllm-0.16", one), ContainsSubstring("  --async-scheduling"));
}

TEST_CASE("servers of prompts and of answers find each other, and overlap what they can", "[analysis][serving]") {
  const std::string vllm = replaced(replaced(kSplit, "sglang-0.5.9", "vllm-0.12"), "sglang-0.5.9", "vllm-0.12");
  CHECK_THAT(to_text(commands(vllm)), ContainsSubstring("export VLLM_NIXL_SIDE_CHANNEL_HOST=\"$OWN_ADDRESS\""));
  CHECK_THAT(
      kubernetes_manifest(commands(vllm), "v3"),
      ContainsSubstring("name: VLLM_NIXL_SIDE_CHANNEL_HOST, valueFrom: { fieldRef: { fieldPath: status.podIP } }"));
  const std::string apart =
      replaced(replaced(kDense, "replicas { count: 2 engine: \"vllm-0.12\" tensor: 4",
                        "prefill { engine: \"trtllm-1.1\" tensor: 4 }\n  decode { engine: \"trtllm-1.1\" tensor: 4"),
               " kv_cache: \"fp8\"", "");
  const std::vector<LaunchCommand> pools = commands(apart);
  REQUIRE(pools.size() == 2);
  CHECK_THAT(pools[0].options_file, ContainsSubstring("disable_overlap_scheduler: true"));
  CHECK_THAT(pools[1].options_file, ContainsSubstring("disable_overlap_scheduler: false"));
}

TEST_CASE("a manifest has as many replicas and GPUs as the deployment", "[analysis][serving]") {
  const std::string one = kubernetes_manifest(commands(kDense), "Chat on H200");
  CHECK_THAT(one, ContainsSubstring("kind: Deployment") && ContainsSubstring("name: chat-on-h200-replicas") &&
                      ContainsSubstring("replicas: 2") && ContainsSubstring("nvidia.com/gpu: 4") &&
                      ContainsSubstring("image: vllm/vllm-openai:v0.12.0") && ContainsSubstring("kind: Service") &&
                      ContainsSubstring("max_batch = 128"));
  // Containers start in folders of their own: the file of options goes by the path that it is mounted at.
  CHECK_THAT(
      kubernetes_manifest(commands(replaced(kDense, "vllm-0.12", "trtllm-1.0")), "chat"),
      ContainsSubstring("--extra_llm_api_options /options.yaml ") && ContainsSubstring("mountPath: /options.yaml"));
  CHECK_THAT(kubernetes_manifest(commands(kSplit), "v3"), ContainsSubstring("kind: LeaderWorkerSet") &&
                                                              ContainsSubstring("size: 8") &&
                                                              ContainsSubstring("size: 4"));
}

TEST_CASE("replicas over several nodes are told their place on each of them", "[analysis][serving]") {
  const std::string sglang = to_text(commands(kSplit));
  CHECK_THAT(sglang,
             ContainsSubstring("--nnodes 8 --node-rank \"$NODE_RANK\" --dist-init-addr \"$HEAD_ADDRESS\":20000") &&
                 ContainsSubstring("NODE_RANK 0 to 7"));
  CHECK_THAT(kubernetes_manifest(commands(kSplit), "v3"),
             ContainsSubstring("export NODE_RANK=\"$LWS_WORKER_INDEX\"") &&
                 ContainsSubstring("leaderworkerset.sigs.k8s.io/worker-index: \"0\""));
  // One node is told nothing of the kind.
  CHECK_THAT(to_text(commands(kDense)), !ContainsSubstring("NODE_RANK"));

  const std::string wide = replaced(replaced(kSplit, "sglang-0.5.9", "vllm-0.12"), "sglang-0.5.9", "vllm-0.12");
  CHECK_THAT(to_text(commands(wide)),
             ContainsSubstring("--data-parallel-size-local 8") &&
                 ContainsSubstring("--headless --data-parallel-start-rank $((NODE_RANK * 8))"));
  const std::string deep =
      replaced(replaced(kDense, "nodes: 1", "nodes: 2"), "count: 2 engine: \"vllm-0.12\" tensor: 4",
               "engine: \"vllm-0.12\" tensor: 8 pipeline: 2");
  CHECK_THAT(to_text(commands(deep)), ContainsSubstring("--distributed-executor-backend ray") &&
                                          ContainsSubstring("ray start --head --port=6379"));
  // One group is Ray's affair; groups that are wider than a node are placed by it.
  CHECK_THAT(to_text(commands(deep)), !ContainsSubstring("--data-parallel-backend"));
  const std::string groups = replaced(wide, "attention_data: 32", "tensor: 16 attention_data: 2");
  CHECK_THAT(to_text(commands(groups)), ContainsSubstring("--data-parallel-backend ray") &&
                                            ContainsSubstring("export VLLM_RAY_DP_PACK_STRATEGY=span; if ["));
  // 20 GPUs are five on each of four nodes: three nodes would have a remainder.
  const LaunchCommand uneven =
      commands(replaced(replaced(deep, "nodes: 2", "nodes: 4"), "tensor: 8 pipeline: 2", "tensor: 4 pipeline: 5"))
          .front();
  CHECK(uneven.nodes == 4);
  CHECK(uneven.gpus == 20);
  const std::vector<LaunchCommand> mpi = commands(replaced(deep, "vllm-0.12", "trtllm-1.0"));
  CHECK_THAT(to_text(mpi), ContainsSubstring("mpirun -n 16 -N 8 --hostfile hosts trtllm-llmapi-launch trtllm-serve"));
  CHECK_THROWS_WITH(kubernetes_manifest(mpi, "chat"), ContainsSubstring("MPI"));
}

TEST_CASE("blocks of FP8 that an engine does not load are said, not refused", "[analysis][serving]") {
  // Qwen3 235B: 1,536 over eight GPUs are 192, no whole blocks of 128; spread they are whole.
  const std::string narrow = replaced(replaced(kDense, "llama-3.1-70b", "qwen3-235b-a22b"),
                                      "count: 2 engine: \"vllm-0.12\" tensor: 4", "engine: \"vllm-0.12\" tensor: 8");
  CHECK_THAT(to_text(commands(narrow)), ContainsSubstring("experts of 1536 over 8 GPUs, 192 each"));
  CHECK_THAT(to_text(commands(replaced(narrow, "tensor: 8", "tensor: 8 expert: 8"))), !ContainsSubstring("192 each"));
}

TEST_CASE("the share of memory is the one that the engine takes", "[analysis][serving]") {
  const std::string trtllm = replaced(kDense, "vllm-0.12", "trtllm-1.0");
  CHECK_THAT(to_text(commands(replaced(trtllm, "max_batch: 128", "max_batch: 128 memory_share: 0.7"))),
             ContainsSubstring("free_gpu_memory_fraction: 0.7"));
  // TensorRT-LLM told as vLLM is: of what weights leave it is less.
  const std::string other =
      to_text(commands(replaced(trtllm, "max_batch: 128", "max_batch: 128 memory_share_of: \"all\"")));
  CHECK_THAT(other,
             !ContainsSubstring("free_gpu_memory_fraction: 0.9 ") && ContainsSubstring("free_gpu_memory_fraction: 0."));
}

TEST_CASE("TensorRT-LLM's caches take their share of what weights leave, vLLM's what is left of a share",
          "[analysis][serving]") {
  // 70 B weights in BF16 on two H100 leave little: a tenth of all HBM, or a tenth of that little.
  const std::string tight = R"(cluster { node: "hgx-h100" nodes: 1 fabric: "single-switch" }
model: "llama-3.1-70b"
serving {
  traffic { requests: "1K" stream { users: 4 input { mean: 500 } output { mean: 100 } } }
  replicas { engine: "vllm-0.12" tensor: 2 max_batch: 16 token_budget: 2048 }
}
)";
  const TemporaryFolder folder;
  const auto memory = [&](const std::string& text) {
    const Scenario s = load_scenario(folder.write("s.textproto", text), {}, libraries());
    return replica_memory(s.serving->pools.front().engine, s.cluster.node.gpu);
  };
  const ReplicaMemory vllm = memory(tight), trtllm = memory(replaced(tight, "vllm-0.12", "trtllm-1.0"));
  const Bytes hbm = libraries().gpu("h100-sxm").hbm_usable();
  CHECK(vllm.usable == hbm * 0.9);
  CHECK(trtllm.usable == trtllm.table.total() + (hbm - trtllm.table.total()) * 0.9);
  CHECK(trtllm.kv_tokens > 1.5 * static_cast<double>(vllm.kv_tokens));
}

TEST_CASE("what no flag carries is said", "[analysis][serving]") {
  // A model in BF16 that the engine casts to FP8.
  const std::string vllm = to_text(commands(replaced(kDense, "max_batch: 128", "max_batch: 128 max_waiting: 50")));
  CHECK_THAT(vllm, ContainsSubstring("--quantization fp8") &&
                       ContainsSubstring("not in the command: max_waiting: vLLM has no flag for it") &&
                       ContainsSubstring("not in the command: count = 2, router") &&
                       !ContainsSubstring("command: batching"));
  const std::string sglang = to_text(commands(replaced(replaced(kDense, "vllm-0.12", "sglang-0.5.9"), "max_batch: 128",
                                                       "max_batch: 128 max_waiting: 50 graph_sizes: \"1 2 4..8/2\"")));
  CHECK_THAT(sglang, ContainsSubstring("--max-queued-requests 50") && ContainsSubstring("--cuda-graph-bs 1 2 4 6 8") &&
                         !ContainsSubstring("command: max_waiting"));
  const std::string trtllm = to_text(commands(
      replaced(replaced(kDense, "vllm-0.12", "trtllm-1.0"), "max_batch: 128", "max_batch: 128 cuda_graphs: false")));
  CHECK_THAT(trtllm, ContainsSubstring("cuda_graph_config: null") && ContainsSubstring("quantised before"));
  CHECK_THAT(to_text(commands(replaced(replaced(kDense, "vllm-0.12", "trtllm-1.0"), "max_batch: 128",
                                       "max_batch: 128 graph_sizes: \"1 2 4\""))),
             ContainsSubstring("batch_sizes: [1, 2, 4]  # graph_sizes") && !ContainsSubstring("command: graph_sizes"));
  const std::string int4 = to_text(commands(replaced(kDense, "weights: \"fp8\"", "weight_format: \"int4\"")));
  CHECK_THAT(int4, ContainsSubstring("with weights in that format"));
  // Prompts take the normal kernels.
  const std::string apart =
      to_text(commands(replaced(replaced(kSplit, "sglang-0.5.9", "vllm-0.12"), "sglang-0.5.9", "vllm-0.12")));
  CHECK_THAT(apart, ContainsSubstring("deepep_high_throughput") && ContainsSubstring("deepep_low_latency") &&
                        ContainsSubstring("a proxy that sends"));
}

TEST_CASE("what nobody named cannot be started", "[analysis][serving]") {
  CHECK_THROWS_WITH(commands(replaced(kDense, "engine: \"vllm-0.12\" ", "")),
                    ContainsSubstring("serving.replicas.engine: found nothing, expected an engine of vLLM"));
}

}  // namespace
}  // namespace flopcast::test
