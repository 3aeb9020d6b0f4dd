// Do launch commands and settings of other frameworks arrive as scenarios, with each of their settings used or named?
#include "scenarios/imports/runs/import_run.h"
#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/runs/serving/launch_command.h"
#include "analysis/runs/training/framework_settings.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast::testing {
namespace {

using Catch::Matchers::ContainsSubstring;

ImportedRun imported(const std::string& text, const std::string& file = "--command",
                     const ImportRunOptions& options = {}) {
  return import_run(text, file, environment().data().libraries(), options);
}

ResolvedScenario scenario_of(const ImportedRun& run) {
  CAPTURE(run.text);
  return resolve_text(run.text, "imported.textproto", environment());
}

const std::string kMegatron =
    "export CUDA_DEVICE_MAX_CONNECTIONS=1 \n"
    "torchrun --nproc_per_node 8 --nnodes=16 --master-addr h pretrain_gpt.py \\\n"
    "  --num-layers 80 --hidden-size 8192 --ffn-hidden-size 28672 --num-attention-heads 64 \\\n"
    "  --group-query-attention --num-query-groups 8 --swiglu --normalization RMSNorm --disable-bias-linear \\\n"
    "  --untie-embeddings-and-output-weights --seq-length 8192 --max-position-embeddings 131072 --vocab-size 128256 "
    "\\\n"
    "  --tensor-model-parallel-size 4 --pipeline-model-parallel-size 4 --num-virtual-stages-per-pipeline-rank 5 \\\n"
    "  --sequence-parallel --use-distributed-optimizer --overlap-grad-reduce --overlap-param-gather \\\n"
    "  --micro-batch-size 1 --global-batch-size 128 --bf16 --fp8-format hybrid --lr 3e-4 --data-path /x \\\n"
    "  --recompute-granularity selective --train-iters 1000 --attention-dropout 0.0 --hidden-dropout 0 \\\n"
    "  --tensor-model-paralel-size 3\n";

TEST_CASE("a command of Megatron-LM becomes a step, each argument used or named", "[analysis][import]") {
  const ImportedRun run = imported(kMegatron);
  CHECK(run.framework == "Megatron-LM");
  const ResolvedScenario resolved = scenario_of(run);
  const TrainingConfig& t = *resolved.value().training;
  CHECK(t.model.name == "llama-3.1-70b");
  CHECK(t.plan.tensor == 4);
  CHECK(t.plan.pipeline == 4);
  CHECK(t.plan.data == 8);
  CHECK(t.plan.chunks == 5);
  CHECK(t.schedule == "interleaved_1f1b");
  CHECK(t.batch.sequences == 128);
  CHECK(t.precision.linear == Precision::fp8);
  CHECK(t.recompute.attention_core);
  CHECK_FALSE(t.dropout);
  CHECK(resolved.value().cluster.nodes == 16);
  CHECK_THAT(run.text,
             ContainsSubstring("Without effect") && ContainsSubstring("--lr 3e-4") && ContainsSubstring("--data-path"));
  CHECK_THAT(run.text, ContainsSubstring("--tensor-model-paralel-size 3, did you mean tensor-model-parallel-size?"));
}

TEST_CASE("Megatron's places of embedding and loss and its optimizer's instances are read", "[analysis][import]") {
  const std::string command =
      "torchrun --nnodes 1 --nproc-per-node 8 pretrain_gpt.py --num-layers 6 --hidden-size 512 "
      "--num-attention-heads 8 --seq-length 1024 --micro-batch-size 1 --global-batch-size 32 --vocab-size 50304 "
      "--use-distributed-optimizer ";
  const ImportedRun split = imported(command +
                                     "--pipeline-model-parallel-size 4 --num-virtual-stages-per-pipeline-rank 2 "
                                     "--account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split");
  const ResolvedScenario places = scenario_of(split);
  CHECK(places.value().training->plan.stage_layers == std::vector<int>{0, 1, 1, 1, 1, 1, 1, 0});
  CHECK(scenario_of(imported(command + "--num-distributed-optimizer-instances 2")).value().training->plan.shard_group ==
        4);
}

TEST_CASE("under a pipeline torchtitan's parameters stay gathered", "[analysis][import]") {
  const auto plan = [](const std::string& further) {
    const ResolvedScenario titan =
        scenario_of(imported("[model]\nname = \"llama3\"\nflavor = \"70B\"\n[training]\nlocal_batch_size = 8\n"
                             "seq_len = 8192\n[parallelism]\n" +
                                 further,
                             "x.toml", {.gpus = 64}));
    return titan.value().training->plan;
  };
  CHECK(plan("").zero_stage == 3);
  CHECK(plan("pipeline_parallel_degree = 4\n").zero_stage == 1);
  CHECK(plan("pipeline_parallel_degree = 4\nfsdp_reshard_after_forward = \"always\"\n").zero_stage == 3);
  CHECK(plan("data_parallel_replicate_degree = 4\ndata_parallel_shard_degree = 16\n").shard_group == 16);
}

TEST_CASE("a shape that the library has not is made by overrides", "[analysis][import]") {
  const ImportedRun run = imported(
      "torchrun --nproc-per-node 8 pretrain_gpt.py --num-layers 24 --hidden-size 2048 --ffn-hidden-size 6144 "
      "--num-attention-heads 16 --seq-length 4096 --vocab-size 50304 --micro-batch-size 2 --global-batch-size 64 "
      "--num-experts 16 --moe-router-topk 2 --moe-ffn-hidden-size 1024 --swiglu --expert-model-parallel-size 8 "
      "--moe-token-dispatcher-type alltoall --disable-bias-linear --max-position-embeddings 4096");
  const ResolvedScenario resolved = scenario_of(run);
  const TrainingConfig& t = *resolved.value().training;
  CHECK(t.model.layers == 24);
  CHECK(t.model.moe.experts == 16);
  CHECK(t.model.moe.expert_width == 1024);
  CHECK(t.model.attention.kv_heads == 16);
  CHECK(t.plan.expert == 8);
  CHECK(t.plan.dispatcher == ExpertDispatcher::all_to_all);
}

TEST_CASE("YAML of NeMo, TOML of torchtitan and JSON of DeepSpeed are read", "[analysis][import]") {
  const ResolvedScenario nemo = scenario_of(imported(
      "trainer:\n  devices: 8\n  num_nodes: 4  # hosts\n  max_steps: 100\nmodel:\n  num_layers: 32\n  hidden_size: "
      "4096\n"
      "  ffn_hidden_size: 14336\n  num_attention_heads: 32\n  num_query_groups: 8\n  activation: fast-swiglu\n"
      "  encoder_seq_length: 8192\n  tensor_model_parallel_size: 2\n  micro_batch_size: 1\n  global_batch_size: 128\n"
      "  share_embeddings_and_output_weights: False\n  optim:\n    name: fused_adam\n    lr: 1e-4\n",
      "llama.yaml"));
  CHECK(nemo.value().training->model.name == "llama-3.1-8b");
  CHECK(nemo.value().training->plan.data == 16);

  const ResolvedScenario titan = scenario_of(
      imported("[job]\ndump_folder = \"./out\"\n[model]\nname = \"llama3\"\nflavor = \"70B\"\nconverters = "
               "[\"float8\"]\n[training]\n"
               "local_batch_size = 2\nseq_len = 8192\nsteps = 1000\n[parallelism]\ntensor_parallel_degree = 8\n"
               "enable_async_tensor_parallel = true\n[activation_checkpoint]\nmode = 'full'\n[compile]\nenable=true\n",
               "llama3_70b.toml", {.gpus = 256}));
  const TrainingConfig& t = *titan.value().training;
  CHECK(t.model.name == "llama-3.1-70b");
  CHECK(t.plan.data == 32);
  CHECK(t.plan.zero_stage == 3);
  CHECK(t.plan.tensor_overlap);
  CHECK(t.batch.sequences == 64);
  CHECK(t.batch.micro_batch_sequences == 2);
  CHECK(t.recompute.full_layer);
  CHECK(t.software.name == "torchtitan-2024.12-compiled");

  const ResolvedScenario deepspeed = scenario_of(
      imported("{\"train_batch_size\": 64, \"train_micro_batch_size_per_gpu\": 4, \"bf16\": {\"enabled\": true},\n"
               " \"zero_optimization\": {\"stage\": 3, \"overlap_comm\": true, \"reduce_bucket_size\": 5e8}}",
               "ds.json", {.model = "meta-llama/Llama-3.1-8B", .gpus = 16, .sequence_length = 4096}));
  CHECK(deepspeed.value().training->plan.zero_stage == 3);
  CHECK(deepspeed.value().training->plan.data == 16);
}

TEST_CASE("commands of serving engines become deployments", "[analysis][import]") {
  const ResolvedScenario vllm = scenario_of(imported(
      "VLLM_USE_V1=1 vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size 4 --max-num-seqs 128 "
      "--gpu-memory-utilization=0.92 --kv-cache-dtype fp8 --quantization fp8 --port 8000 --no-enable-prefix-caching"));
  const PoolSpec& pool = vllm.value().serving->pools.at(0);
  CHECK(pool.engine.plan.tensor == 4);
  CHECK(pool.engine.scheduler.max_batch == 128);
  CHECK(pool.engine.memory_share == 0.92);
  CHECK(pool.engine.precision.kv == Precision::fp8);
  CHECK(pool.engine.precision.linear == Precision::fp8);
  CHECK_FALSE(pool.prefix.on);

  const ResolvedScenario sglang = scenario_of(imported(
      "python3 -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 16 --dp-size 16 --enable-dp-attention "
      "--moe-a2a-backend deepep --mem-fraction-static 0.85 --trust-remote-code --nnodes 2 --node-rank 0"));
  CHECK(sglang.value().serving->pools.at(0).engine.plan.attention_data == 16);
  CHECK(sglang.value().serving->pools.at(0).engine.plan.expert == 16);
  CHECK(sglang.value().cluster.nodes == 2);
  const std::string whole =
      imported("python3 -m sglang.launch_server --model-path Qwen/Qwen3-32B --chunked-prefill-size -1").text;
  CHECK_THAT(whole, ContainsSubstring("--chunked-prefill-size -1: chunked_prefill"));
  CHECK_FALSE(scenario_of(imported("python3 -m sglang.launch_server --model-path Qwen/Qwen3-32B "
                                   "--chunked-prefill-size -1"))
                  .value()
                  .serving->pools.at(0)
                  .engine.scheduler.chunked_prefill);

  const ResolvedScenario trtllm =
      scenario_of(imported("enable_attention_dp: true\ntensor_parallel_size: 8\nmoe_expert_parallel_size: "
                           "8\nkv_cache_config:\n  dtype: fp8\n"
                           "  free_gpu_memory_fraction: 0.8\nmax_num_tokens: 4096\n",
                           "options.yaml", {.model = "qwen3-30b-a3b"}));
  CHECK(trtllm.value().serving->pools.at(0).engine.plan.expert == 8);
  CHECK(trtllm.value().serving->pools.at(0).engine.precision.kv == Precision::fp8);
}

TEST_CASE("what deploy writes comes back as the deployment that it was", "[analysis][import]") {
  for (const std::string engine : {"vllm-0.18", "sglang-0.5.9"}) {
    CAPTURE(engine);
    const std::string text =
        "model: \"llama-3.1-70b\" cluster { node: \"hgx-h100\" nodes: 1 fabric: \"single-switch\" }\n"
        "serving { traffic { requests: \"100\" stream { requests_per_second: 1 input { mean: 10 } output { "
        "mean: 10 } } } replicas { engine: \"" +
        engine +
        "\" tensor: 4 max_batch: 96 token_budget: 4096 "
        "memory_share: 0.88 kv_cache: \"fp8\" page_tokens: 32 } }\n";
    const ResolvedScenario first = resolve_text(text, "first.textproto", environment());
    const std::string command = to_text(launch_commands(first.value(), "llama-3.1-70b"));
    const ResolvedScenario again = scenario_of(imported(command));
    const EngineConfig &a = first.value().serving->pools.at(0).engine, &b = again.value().serving->pools.at(0).engine;
    CHECK(a.plan.tensor == b.plan.tensor);
    CHECK(a.scheduler.max_batch == b.scheduler.max_batch);
    CHECK(a.scheduler.token_budget == b.scheduler.token_budget);
    CHECK(a.memory_share == b.memory_share);
    CHECK(a.precision.kv == b.precision.kv);
    CHECK(a.overlap_scheduling == b.overlap_scheduling);
    CHECK(a.cuda_graphs == b.cuda_graphs);
    CHECK(first.value().serving->pools.at(0).page_tokens == again.value().serving->pools.at(0).page_tokens);
  }
}

TEST_CASE("a plan written for a framework and read again is the same plan", "[analysis][import]") {
  for (const char* name : {"llama_3_1_8b_64_h100", "mixtral_8x7b_64_h100", "deepseek_v3_2048_h800"}) {
    CAPTURE(name);
    const ResolvedScenario first = resolve(name, environment());
    const FrameworkSettings made = megatron_command(first.value());
    CAPTURE(made.text);
    const ResolvedScenario again = scenario_of(imported(made.text));
    const TrainingConfig &a = *first.value().training, &b = *again.value().training;
    CHECK(a.model.name == b.model.name);
    CHECK(a.plan.pipeline == b.plan.pipeline);
    CHECK(a.plan.data == b.plan.data);
    CHECK(a.plan.tensor == b.plan.tensor);
    CHECK(a.plan.expert == b.plan.expert);
    CHECK(a.plan.zero_stage == b.plan.zero_stage);
    if (a.model.moe.experts > 0) CHECK(a.plan.dispatcher == b.plan.dispatcher);
    CHECK(a.batch == b.batch);
    CHECK(a.precision.linear == b.precision.linear);
    CHECK(a.precision.scaling == b.precision.scaling);
    CHECK(a.precision.gradients == b.precision.gradients);
    CHECK(a.recompute == b.recompute);
  }
  const ResolvedScenario dense = resolve("llama_3_1_8b_64_h100", environment(),
                                         {"training.plan.pipeline=1", "training.plan.data=64",
                                          "training.plan.zero_stage=3", "training.recompute.full_layer=true"});
  const ResolvedScenario titan = scenario_of(imported(torchtitan_toml(dense.value()).text, "plan.toml", {.gpus = 64}));
  CHECK(titan.value().training->plan.zero_stage == 3);
  CHECK(titan.value().training->plan.data == 64);
  CHECK(titan.value().training->batch.sequences == dense.value().training->batch.sequences);
  CHECK(titan.value().training->recompute.full_layer);
}

TEST_CASE("what is wrong with a foreign command is said with its place", "[analysis][import]") {
  CHECK_THROWS_WITH(imported("ls -l"), ContainsSubstring("vllm serve"));
  CHECK_THROWS_WITH(imported("vllm serve nobody/knows-9b --tp x"), ContainsSubstring("nobody/knows-9b"));
  CHECK_THROWS_WITH(imported("vllm serve 'open"), ContainsSubstring("a quote that is not closed"));
  CHECK_THROWS_WITH(
      imported("pretrain_gpt.py --num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096"),
      ContainsSubstring("--gpus N"));
  CHECK_THROWS_WITH(imported("{\"zero_optimization\": {\"stage\": 3, \"offload_optimizer\": {\"device\": \"cpu\"}}}",
                             "ds.json", {.model = "llama-3.1-8b", .gpus = 8, .sequence_length = 4096}),
                    ContainsSubstring("is not replayed"));
  CHECK_THROWS_WITH(imported("model\n  broken", "x.yaml"), ContainsSubstring("x.yaml:1:1:"));
}

TEST_CASE("import-run and export-run, as a user runs them", "[analysis][cli]") {
  const test::TemporaryFolder folder;
  const std::string out = folder.path() + "/run.textproto";
  const Outcome made =
      flopcast("import-run --command 'vllm serve Qwen/Qwen3-32B --tensor-parallel-size 2 --prot 80' --output " + out);
  CHECK(made.code == 0);
  CHECK_THAT(one_line(made.err), ContainsSubstring("not known, not used: --command:1:52: --prot 80"));
  CHECK(flopcast("check " + out).code == 0);
  CHECK(flopcast("import-run").code == 2);
  const Outcome shown = flopcast("export-run llama_3_1_8b_64_h100 --to megatron");
  CHECK_THAT(shown.out, ContainsSubstring("--pipeline-model-parallel-size 4"));
  CHECK(flopcast("export-run llama_3_1_8b_64_h100 --to nemo").code == 2);
}

}  // namespace
}  // namespace flopcast::testing
