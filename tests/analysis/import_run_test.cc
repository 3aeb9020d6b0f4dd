// Do launch commands and settings of other frameworks arrive as scenarios, with each of their settings used or named?
#include "scenarios/imports/runs/import_run.h"

#include <filesystem>

#include "analysis/face/environment_data.h"
#include "analysis/face/resolve.h"
#include "analysis/runs/serving/exchange/launch_command.h"
#include "analysis/runs/training/show/framework_settings.h"
#include "flopcast/scenario.h"
#include "scenarios/resolve/serving/serving_scenario.h"
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
  CHECK(places.value().training->plan.layer_split == "even_with_both");
  CHECK(places.value().training->plan.stage_layers.empty());
  const FrameworkSettings back = megatron_command(places.value());
  CHECK_THAT(back.text, ContainsSubstring("--account-for-embedding-in-pipeline-split") &&
                            ContainsSubstring("--account-for-loss-in-pipeline-split") &&
                            ContainsSubstring("--num-virtual-stages-per-pipeline-rank 2"));
  CHECK_THAT(back.text, !ContainsSubstring("pipeline-model-parallel-layout"));
  CHECK(scenario_of(imported(command + "--num-distributed-optimizer-instances 2")).value().training->plan.shard_group ==
        4);
}

TEST_CASE("what Megatron's rollouts hold and how its experts multiply is read", "[analysis][import]") {
  const std::string command =
      "torchrun --nnodes 1 --nproc-per-node 8 pretrain_gpt.py --num-layers 6 --hidden-size 512 "
      "--num-attention-heads 8 --seq-length 1024 --micro-batch-size 1 --global-batch-size 32 --vocab-size 50304 ";
  const auto training = [&](const std::string& more) {
    return *scenario_of(imported(command + more)).value().training;
  };
  CHECK(training("").held_beside == Bytes(0));
  CHECK(training("--perform-rl-step").held_beside == Bytes(40 * 0x1p30));
  CHECK(training("--perform-rl-step --inference-dynamic-batching-buffer-size-gb 20").held_beside == Bytes(20 * 0x1p30));
  const std::string experts = "--num-experts 8 --moe-router-topk 2 --expert-model-parallel-size 8 ";
  CHECK_FALSE(training(experts).grouped_experts);
  CHECK(training(experts + "--moe-grouped-gemm").grouped_experts);
  // Six layers on two ranks are three each.
  const std::string chunks = "--pipeline-model-parallel-size 2 --num-layers-per-virtual-pipeline-stage ";
  CHECK(training(chunks + "1").plan.chunks == 3);
  CHECK_THROWS_WITH(training(chunks + "2"), ContainsSubstring("a divisor of the 3 layers of a pipeline rank"));
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
    const std::string command =
        to_text(launch_commands(first.value(), "llama-3.1-70b", environment().data().engine_flags()));
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
  const ResolvedScenario titan = scenario_of(
      imported(torchtitan_toml(dense.value(), environment().data().libraries()).text, "plan.toml", {.gpus = 64}));
  CHECK(titan.value().training->plan.zero_stage == 3);
  CHECK(titan.value().training->plan.data == 64);
  CHECK(titan.value().training->batch.sequences == dense.value().training->batch.sequences);
  CHECK(titan.value().training->recompute.full_layer);
}

/// Arguments of Llama 3.1 70B.
const std::string kSeventy =
    " pretrain_gpt.py --num-layers 80 --hidden-size 8192 --num-attention-heads 64 --group-query-attention "
    "--num-query-groups 8 --ffn-hidden-size 28672 --swiglu --disable-bias-linear --untie-embeddings-and-output-weights "
    "--vocab-size 128256 --seq-length 8192 --micro-batch-size 1 --global-batch-size 128 --hidden-dropout 0 "
    "--attention-dropout 0 --tensor-model-parallel-size 8 ";

TEST_CASE("launchers say how many GPUs there are, each in its way", "[analysis][import]") {
  const auto gpus = [](const std::string& launcher) {
    return static_cast<int>(scenario_of(imported(launcher + kSeventy + "--bf16")).value().training->plan.gpus());
  };
  CHECK(gpus("srun -N 4 --ntasks-per-node 8 --gpus-per-node 8 python") == 32);
  CHECK(gpus("srun -N4 -n32 python") == 32);
  CHECK(gpus("srun --nodes=4 --gres=gpu:h100:8 python") == 32);
  CHECK(gpus("#SBATCH -N 2\n#SBATCH --ntasks-per-node=8\nsrun python") == 16);
  CHECK(gpus("mpirun -np 16 -N 8 python") == 16);
  CHECK(gpus("torchrun --nproc_per_node 8 --nnodes=2") == 16);
  CHECK(gpus("srun -N 4 torchrun --nnodes 4 --nproc-per-node=8") == 32);
  CHECK(gpus("N=4\ntorchrun --nproc_per_node 8 --nnodes $N") == 32);
  CHECK(gpus("accelerate launch --num_processes 16 --num_machines 2") == 16);
  CHECK_THROWS_WITH(gpus("torchrun --nproc_per_node 8 --nnodes $NNODES"),
                    ContainsSubstring("--command:1:38: --nnodes: found $NNODES, which nothing before it sets"));
  CHECK_THROWS_WITH(gpus("torchrun --nproc_per_node gpu"), ContainsSubstring("--nproc_per_node: found \"gpu\""));
}

TEST_CASE("variables of a launch script are read, and refused where they are not known", "[analysis][import]") {
  const std::string script =
      "GPUS=8\nNODES=16\nDISTRIBUTED=(\n  --nproc_per_node $GPUS\n  --nnodes $NODES\n  --master_addr $MASTER_ADDR\n)\n"
      "MODEL_PARALLEL_ARGS=(\n\t--pipeline-model-parallel-size 16\n)\ntorchrun ${DISTRIBUTED[@]} \\\n";
  const ParallelPlan& plan =
      scenario_of(imported(script + kSeventy + "--bf16 --data-path $DATA_PATH ${MODEL_PARALLEL_ARGS[@]}"))
          .value()
          .training->plan;
  CHECK(plan.pipeline == 16);
  CHECK(plan.data == 1);
  const std::string eight = "torchrun --nproc-per-node 8 --nnodes 8" + kSeventy;
  const auto refused = [&](const std::string& further, const std::string& words) {
    INFO(further);
    CHECK_THROWS_WITH(imported(eight + further), ContainsSubstring(words));
  };
  refused("--bf16 ${MODEL_PARALLEL_ARGS[@]}", "found ${MODEL_PARALLEL_ARGS[@]}, which nothing before it sets");
  refused("--lr 1e-4 ${MODEL_PARALLEL_ARGS[@]}", "found ${MODEL_PARALLEL_ARGS[@]}");
  refused("--bf16 $EXTRA_ARGS", "found $EXTRA_ARGS");
  refused("--bf16 --pipeline-model-parallel-size $PP", "--pipeline-model-parallel-size: found $PP");
  refused("--bf16 --data-path $A $B", "found $B");
  CHECK_THROWS_WITH(imported("vllm serve $MODEL"), ContainsSubstring("found $MODEL"));
  CHECK_THROWS_WITH(
      imported("vllm serve meta-llama/Llama-3.1-8B --enforce-eager; vllm serve meta-llama/Llama-3.1-70B -tp 8"),
      ContainsSubstring("found 2 commands: vllm serve meta-llama/Llama-3.1-8B in line 1, vllm serve "));
  // Of one run on two nodes.
  const std::string node = "vllm serve meta-llama/Llama-3.1-70B --tensor-parallel-size 16 --nnodes 2 --node-rank ";
  CHECK(scenario_of(imported(node + "0\n" + node + "1 --headless")).value().cluster.nodes == 2);
  const ResolvedScenario quiet = scenario_of(imported(
      "nohup vllm serve --no-enable-prefix-caching meta-llama/Llama-3.1-8B --max-num-seqs 64 > log.txt 2>&1 &"));
  CHECK(quiet.value().serving->pools.at(0).engine.scheduler.max_batch == 64);
  CHECK_FALSE(quiet.value().serving->pools.at(0).prefix.on);
}

TEST_CASE("Megatron's arguments mean what Megatron makes of them", "[analysis][import]") {
  const std::string eight = "torchrun --nproc-per-node 8 --nnodes 8" + kSeventy;
  const auto training = [&](const std::string& further) {
    return *scenario_of(imported(eight + further)).value().training;
  };
  CHECK(training("").precision.linear == Precision::fp32);
  CHECK(training("--fp16").precision.linear == Precision::bf16);
  CHECK(training("--bf16").precision.linear == Precision::bf16);
  const RecomputePlan recompute =
      training("--bf16 --recompute-granularity selective --recompute-modules moe_act layernorm").recompute;
  CHECK((recompute.activation_function && recompute.norms && !recompute.attention_core));
  for (const std::string module : {"moe", "shared_experts", "core_attention"})
    CHECK_THROWS_WITH(training("--bf16 --recompute-granularity selective --recompute-modules core_attn " + module),
                      ContainsSubstring("found \"" + module + "\", expected core_attn"));
  // Without a width, two thirds of four times the hidden size are a gated FFN's.
  const std::string gated =
      "torchrun --nproc-per-node 8 pretrain_gpt.py --num-layers 24 --hidden-size 2048 --num-attention-heads 16 "
      "--seq-length 2048 --vocab-size 50304 --bf16 ";
  CHECK(scenario_of(imported(gated + "--swiglu")).value().training->model.ffn_width == 5440);
  CHECK(scenario_of(imported(gated)).value().training->model.ffn_width == 8192);

  // Node-limited routing makes another model.
  const std::string v3 = megatron_command(resolve("deepseek_v3_2048_h800", environment()).value()).text;
  CHECK_THAT(v3, ContainsSubstring("--moe-router-num-groups 8") && ContainsSubstring("--moe-router-group-topk 4"));
  const auto without = [](std::string text, const std::string& part) {
    return text.erase(text.find(part), part.size());
  };
  const std::string free = without(without(v3, " \\\n  --moe-router-num-groups 8"), " \\\n  --moe-router-group-topk 4");
  CHECK(scenario_of(imported(v3)).value().training->model.moe.groups_per_token == 4);
  CHECK(scenario_of(imported(free)).value().training->model.name == "deepseek-v3-free-routing");
}

TEST_CASE("YAML of NeMo: activations, precisions, references, sections", "[analysis][import]") {
  const std::string text =
      "trainer:\n  devices: 8\n  num_nodes: 4\n  precision: 32\nmodel:\n  num_layers: 24\n  hidden_size: 2048\n"
      "  ffn_hidden_size: 8192\n  num_attention_heads: 16\n  encoder_seq_length: 2048\n  kv_channels: null\n"
      "  max_position_embeddings: ${.encoder_seq_length}\n  tensor_model_parallel_size: 4\n  micro_batch_size: 1\n"
      "  global_batch_size: 128\n  vocab_size: 50304\n  fp8: False\n";
  const ImportedRun plain = imported(text, "nemo.yaml");
  CHECK_THAT(plain.text, !ContainsSubstring("Not known"));
  const TrainingConfig t = *scenario_of(plain).value().training;
  CHECK(t.precision.linear == Precision::fp32);
  CHECK_FALSE(t.model.gated_ffn);
  const auto gated = [&](const std::string& activation) {
    return scenario_of(imported(text + "  activation: " + activation + "\n", "nemo.yaml"))
        .value()
        .training->model.gated_ffn;
  };
  CHECK_FALSE(gated("gelu"));
  CHECK_FALSE(gated("squared-relu"));
  CHECK(gated("fast-swiglu"));
  CHECK_THROWS_WITH(imported(text + "  context_parallel_size: ${oc.env:CP}\n", "nemo.yaml"),
                    ContainsSubstring("found ${oc.env:CP}, which this file does not say"));
}

TEST_CASE("NeMo's distributed optimisers shard and overlap; its references reckon", "[analysis][import]") {
  const std::string text =
      "run:\n  name: llama_7b\ntrainer:\n  devices: 8\n  num_nodes: 4\n  precision: bf16\nexp_manager:\n"
      "  params:\n    model_parallel_size: ${multiply:${training.model.tensor_model_parallel_size},\n"
      "      ${training.model.pipeline_model_parallel_size}}\n  step: 1\nmodel:\n  num_layers: 32\n"
      "  hidden_size: 4096\n  ffn_hidden_size: 11008\n  num_attention_heads: 32\n  encoder_seq_length: 2048\n"
      "  max_position_embeddings: ${.encoder_seq_length}\n  bias: false\n  activation: fast-swiglu\n"
      "  share_embeddings_and_output_weights: false\n  tensor_model_parallel_size: 2\n"
      "  pipeline_model_parallel_size: 1\n  micro_batch_size: 1\n  global_batch_size: 128\n  optim:\n"
      "    name: distributed_fused_adam\n    lr: 1e-4\n    overlap_grad_sync: true\n    overlap_param_sync: true\n";
  const ImportedRun run = imported(text, "llama.yaml");
  const TrainingConfig t = *scenario_of(run).value().training;
  CHECK(t.plan.zero_stage == 1);
  CHECK((t.plan.overlap_gradients && t.plan.overlap_parameters));
  CHECK_THAT(run.text, ContainsSubstring("overlap_grad_sync true: plan.overlap_gradients"));
  // Several models have this shape: the run's name tells whose it is, and OLMo 2 has norms that nobody asked for.
  CHECK(t.model.name == "llama-2-7b");
  CHECK_THAT(run.text, ContainsSubstring("of the same shape: ") && ContainsSubstring("OLMo 2 7B"));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return *scenario_of(imported(changed.replace(changed.find(from), from.size(), to), "llama.yaml")).value().training;
  };
  CHECK(with("name: distributed_fused_adam", "name: fused_adam").plan.zero_stage == 0);
  CHECK(with("name: distributed_fused_adam", "name: mcore_distributed_optim").plan.zero_stage == 1);
  CHECK(with("ffn_hidden_size: 11008", "ffn_hidden_size: ${multiply:4, ${.hidden_size}}").model.ffn_width == 16384);
  CHECK(with("global_batch_size: 128", "global_batch_size: ${divide_ceil:${multiply:${trainer.devices}, 64}, 2}")
            .batch.sequences == 256);
}

TEST_CASE("scripts with conditions, files of their own and commands that only name a program", "[analysis][import]") {
  const std::string script =
      "SCRIPT=pretrain_gpt.py\nDTYPE=fp8\nARGS=()\nif [[ \"$DTYPE\" == \"fp8\" ]]; then\n"
      "  ARGS+=(\"--fp8-format hybrid\")\nfi\nif [ ! -f \"$SCRIPT\" ]; then\n  echo \"Error: pretrain_gpt.py not "
      "found\"\n"
      "  exit 1\nfi\nls pretrain_gpt.py\nEVAL=\"\"\nif [ \"${EVAL_ONLY}\" = \"true\" ]; then\n  EVAL=\"--eval "
      "$X\"\nfi\n";
  const ImportedRun run = imported(script + "torchrun --nproc-per-node 8 --nnodes 8 $SCRIPT --bf16 ${ARGS[@]} $EVAL" +
                                   kSeventy.substr(kSeventy.find(" --")));
  CHECK(scenario_of(run).value().training->precision.linear == Precision::fp8);
  CHECK_THAT(run.text, ContainsSubstring("nothing sets EVAL_ONLY"));
  const ImportedRun served = imported(
      "TP=8\ncat > llm.yaml <<EOF\nenable_attention_dp: false\nkv_cache_config:\n  dtype: fp8\nEOF\n"
      "trtllm-serve meta-llama/Llama-3.1-70B --tp_size=$TP --config=llm.yaml");
  CHECK(scenario_of(served).value().serving->pools.at(0).engine.precision.kv == Precision::fp8);
}

TEST_CASE("Qwen's FP8 has scales for blocks, others' copies for tensors", "[analysis][import]") {
  const auto scaling = [](const std::string& model) {
    return scenario_of(imported("vllm serve " + model + " --tensor-parallel-size 8"))
        .value()
        .serving->pools.at(0)
        .engine.precision.scaling;
  };
  CHECK(scaling("Qwen/Qwen3-235B-A22B-FP8") == Scaling::blocks);
  CHECK(scaling("RedHatAI/Qwen3-235B-A22B-FP8-dynamic") == Scaling::per_tensor);
}

TEST_CASE("what Megatron-LM refuses is not written: layers that do not divide, moe_act of dense models",
          "[analysis][import]") {
  const FrameworkSettings dense = megatron_command(resolve("llama_3_405b_16384_h100", environment()).value());
  CHECK_THAT(dense.text, !ContainsSubstring("moe_act") && ContainsSubstring("--pipeline-model-parallel-layout \"E"));
  CHECK_THAT(dense.text, !ContainsSubstring("num-virtual-stages"));
  CHECK_THAT(dense.notes.front() + dense.notes.back(),
             ContainsSubstring("moe_act is of experts") || ContainsSubstring("as even as can be"));
  const FrameworkSettings v3 = megatron_command(resolve("deepseek_v3_2048_h800", environment()).value());
  CHECK_THAT(v3.text, ContainsSubstring("--pipeline-model-parallel-layout \"Et*3|t*4|"));
  const TrainingConfig again = *scenario_of(imported(v3.text)).value().training;
  REQUIRE(again.plan.stage_layers.size() == 16);
  CHECK(again.plan.stage_layers.back() == 3);
}

TEST_CASE("flags that Megatron-LM refuses together are refused; of one that is stated twice the last counts",
          "[analysis][import]") {
  const auto with = [](const std::string& more) { return kMegatron + " " + more; };
  CHECK_THROWS_WITH(imported(with("--squared-relu")),
                    ContainsSubstring("--squared-relu") && ContainsSubstring("found it beside --swiglu"));
  CHECK_THROWS_WITH(imported(with("--bf16 --fp16")), ContainsSubstring("found it beside --bf16"));
  const std::string text = imported(with("--tensor-model-parallel-size 8")).text;
  CHECK_THAT(text, ContainsSubstring("--tensor-model-parallel-size 8 (the last of 2 statements): plan.tensor") &&
                       !ContainsSubstring("--tensor-model-parallel-size 4") && ContainsSubstring("tensor: 8"));
}

TEST_CASE("what Megatron-LM refuses before it starts is refused here", "[analysis][import]") {
  const std::string command =
      "torchrun --nproc_per_node 8 --nnodes 8 --nnodes 4 pretrain_gpt.py --num-layers 32 --hidden-size 4096 "
      "--num-attention-heads 32 --group-query-attention --num-query-groups 8 --swiglu --seq-length 4096 "
      "--max-position-embeddings 8192 --vocab-size 128256 --micro-batch-size 1 --global-batch-size 96 --bf16 ";
  // Of two statements to a launcher the last counts, as for all others.
  CHECK(scenario_of(imported(command)).value().cluster.gpus() == 32);
  const auto refused = [&](const std::string& more, const std::string& why) {
    CHECK_THROWS_WITH(imported(command + more), ContainsSubstring(why));
  };
  refused("--num-layers 33 --pipeline-model-parallel-size 4", "found 33 layers for 4 stages");
  refused("--seq-length 16384", "found 16384 tokens, expected at most --max-position-embeddings, 8192");
  refused("--num-attention-heads 36 --num-query-groups 12 --tensor-model-parallel-size 8",
          "found 8 ranks for 12 query groups");
  refused("--recompute-granularity full", "full recomputation without a method");
  refused("--recompute-granularity full --recompute-method uniform", "without a number of layers");
  CHECK_THAT(
      imported(command + "--recompute-granularity full --recompute-method uniform --recompute-num-layers 4").text,
      ContainsSubstring("one layer in 4"));
  const ImportedRun gathered = imported(command + "--fp8-param-gather");
  CHECK(scenario_of(gathered).value().training->precision.parameters == Precision::bf16);
  CHECK_THAT(gathered.text, ContainsSubstring("--fp8-param-gather has no effect without --fp8-format"));
}

TEST_CASE("TOML that TOML refuses is refused, with its line", "[analysis][import]") {
  const auto titan = [](const std::string& more) {
    return imported("[model]\nname = \"llama3\"\nflavor = \"8B\"\n[training]\nlocal_batch_size = 8\n" + more, "tt.toml",
                    {.gpus = 64});
  };
  CHECK_THROWS_WITH(titan("local_batch_size = 4\n"), ContainsSubstring("tt.toml:6") && ContainsSubstring("in line 5"));
  CHECK_THROWS_WITH(titan("foo = = 2\n"), ContainsSubstring("tt.toml:6") && ContainsSubstring("key = value"));
  CHECK_THROWS_WITH(titan("seq_len = \"8192\"\n"), ContainsSubstring("a number, without quotes"));
}

TEST_CASE("windows and sinks of Megatron-LM's attention are the model's", "[analysis][import]") {
  const std::string text =
      imported(kMegatron + " --window-size 127,0 --window-attn-skip-freq 4 --softmax-type learnable").text;
  const AttentionConfig& a = scenario_of(imported(kMegatron + " --window-size 127,0 --window-attn-skip-freq 4 "
                                                              "--softmax-type learnable"))
                                 .value()
                                 .training->model.attention;
  CHECK_THAT(text,
             ContainsSubstring("--window-size 127,0: model") && ContainsSubstring("--softmax-type learnable: model"));
  CHECK(a.window.tokens == 128);
  CHECK(a.window.layers == 60);  // of 80: every fourth attends to all
  CHECK(a.sinks);
  CHECK_THROWS_WITH(imported(kMegatron + " --window-size 127,64"), ContainsSubstring("such as 127,0"));
}

TEST_CASE("torchtitan's settings are used, or refused", "[analysis][import]") {
  const auto titan = [](const std::string& training, const std::string& parallelism, const std::string& further = "") {
    return scenario_of(imported("[model]\nname = \"llama3\"\nflavor = \"8B\"\n[training]\nlocal_batch_size = 8\n" +
                                    training + "[parallelism]\n" + parallelism + further,
                                "tt.toml", {.gpus = 64}))
        .value();
  };
  CHECK(titan("mixed_precision_param = \"float32\"\n", "").training->precision.linear == Precision::fp32);
  CHECK(titan("mixed_precision_reduce = \"bfloat16\"\n", "").training->precision.gradients == Precision::bf16);
  CHECK(titan("enable_cpu_offload = true\n", "").training->offload.parameters);
  CHECK_THROWS_WITH(titan("", "", "[activation_checkpoint]\nmode = \"memory_budget\"\n"),
                    ContainsSubstring("found \"memory_budget\""));
  CHECK_THROWS_WITH(titan("", "data_parallel_shard_degree = 4\ntensor_parallel_degree = 2\n"),
                    ContainsSubstring("found 1 copies of 4 shards, expected 32 replicas"));
  const std::string pipeline = "pipeline_parallel_degree = 2\npipeline_parallel_schedule = \"Interleaved1F1B\"\n";
  CHECK(titan("", pipeline).training->plan.chunks == 2);
  // 34 places (embedding and head count as one each), 6 a stage: 6 stages, three on each rank.
  CHECK(titan("", pipeline + "pipeline_parallel_layers_per_stage = 6\n").training->plan.chunks == 3);
  CHECK_THROWS_WITH(titan("", pipeline + "pipeline_parallel_layers_per_stage = 4\n"),
                    ContainsSubstring("it makes 9 stages of 32 layers"));
  CHECK(titan("", "", "[compile]\nenable = true\ncomponents = [\n  \"loss\",\n]\n").training->software.eager);
  CHECK_FALSE(titan("", "", "[compile]\nenable = true\n").training->software.eager);

  // What is written is read as the same.
  const ResolvedScenario stages = resolve(
      "llama_3_1_8b_64_h100", environment(),
      {"training.plan.pipeline=2", "training.plan.data=32", "training.plan.chunks=3", "training.plan.stage_layers=[]",
       "training.schedule=interleaved_1f1b", "training.precision.gradients=bf16"});
  const FrameworkSettings written = torchtitan_toml(stages.value(), environment().data().libraries());
  CAPTURE(written.text);
  const TrainingConfig read = *scenario_of(imported(written.text, "plan.toml", {.gpus = 64})).value().training;
  CHECK(read.plan.chunks == 3);
  CHECK(read.precision.gradients == Precision::bf16);

  const ResolvedScenario changed = resolve("h100_llama_3_1_405b_8_layers_fp8_32", environment());
  const FrameworkSettings made = torchtitan_toml(changed.value(), environment().data().libraries());
  CHECK_THAT(made.text, ContainsSubstring("flavor = \"405B-changed\""));
  REQUIRE_FALSE(made.notes.empty());
  CHECK_THAT(made.notes.front(), ContainsSubstring("layers 8, there 126"));
}

TEST_CASE("two of DeepSpeed's three numbers say the third, and auto says none", "[analysis][import]") {
  const auto deepspeed = [](const std::string& fields) {
    return *scenario_of(
                imported("{" + fields + ", \"zero_optimization\": {\"stage\": 3}, \"bf16\": {\"enabled\": true}}",
                         "ds.json", {.model = "llama-3.1-8b", .gpus = 16, .sequence_length = 4096}))
                .value()
                .training;
  };
  CHECK(deepspeed("\"train_batch_size\": 64").batch.micro_batch_sequences == 4);
  CHECK(deepspeed("\"train_batch_size\": 64, \"gradient_accumulation_steps\": 4").batch.micro_batch_sequences == 1);
  CHECK(deepspeed("\"train_micro_batch_size_per_gpu\": 2, \"gradient_accumulation_steps\": 3").batch.sequences == 96);
  CHECK_THROWS_WITH(deepspeed("\"train_batch_size\": 64, \"train_micro_batch_size_per_gpu\": 3"),
                    ContainsSubstring("a multiple of 3 micro-batch x 16 GPUs"));
  CHECK_THROWS_WITH(deepspeed("\"train_batch_size\": \"auto\", \"train_micro_batch_size_per_gpu\": \"auto\""),
                    ContainsSubstring("found \"auto\""));
  const std::string some = "\"train_batch_size\": 64, \"activation_checkpointing\": {\"partition_activations\": ";
  CHECK_FALSE(deepspeed(some + "false}").recompute.full_layer);
  CHECK(deepspeed(some + "true}").recompute.full_layer);
}

TEST_CASE("what changes memory, pools and graphs of an engine is used, or refused", "[analysis][import]") {
  const auto pool = [](const std::string& command) {
    return scenario_of(imported(command)).value().serving->pools.at(0);
  };
  const std::string vllm = "vllm serve meta-llama/Llama-3.1-8B ",
                    sglang = "python -m sglang.launch_server --model-path meta-llama/Llama-3.1-8B ";
  CHECK(pool(vllm).engine.cuda_graphs);
  CHECK_FALSE(pool(vllm + "--compilation-config '{\"cudagraph_mode\": \"NONE\"}'").engine.cuda_graphs);
  CHECK_FALSE(pool(vllm + "-O0").engine.cuda_graphs);
  CHECK(pool(vllm + "--compilation-config '{\"level\": 3}'").engine.cuda_graphs);
  CHECK(pool(vllm + "--cpu-offload-gb 0").engine.cuda_graphs);
  CHECK(pool(sglang + "--cuda-graph-max-bs 20").engine.cuda_graphs);
  CHECK_THROWS_WITH(pool(sglang + "--kv-cache-dtype fp4_e2m1"), ContainsSubstring("other caches are not replayed"));
  CHECK_THROWS_WITH(pool(sglang + "--dtype float32"), ContainsSubstring("auto, bfloat16 or float16"));
  CHECK_THROWS_WITH(pool(vllm + "--cpu-offload-gb 10"), ContainsSubstring("weights on the host are not replayed"));
  CHECK(pool(vllm + "--num-gpu-blocks-override 512").engine.cache_tokens == 512 * 16);
  CHECK(pool(vllm + "--num-gpu-blocks-override 512 --block-size 32").engine.cache_tokens == 512 * 32);
  CHECK(pool(vllm + "--kv-cache-memory-bytes 20000000000").engine.cache_memory == Bytes(2e10));
  CHECK_THROWS_WITH(pool(vllm + "--kv-cache-memory-bytes 20x"), ContainsSubstring("a number of bytes"));
  CHECK(pool(sglang + "--max-total-tokens 40960").engine.cache_tokens == 40960);
  CHECK(pool(vllm + "--max-loras 4").engine.adapters == 0);
  CHECK(pool(vllm + "--enable-lora --max-loras 4").engine.adapters == 4);
  CHECK(pool(vllm + "--enable-lora --max-lora-rank 64").engine.adapter_rank == 64);
  const auto drafts = [&](const std::string& command) { return pool(command).engine.speculation; };
  CHECK(drafts(vllm + "--speculative-config '{\"method\": \"ngram\", \"num_speculative_tokens\": 3}'").kind ==
        DraftKind::lookup);
  CHECK(
      drafts(vllm + "--speculative-config '{\"method\": \"eagle3\", \"model\": \"x\", \"num_speculative_tokens\": 3}'")
          .kind == DraftKind::eagle);
  CHECK(drafts(sglang + "--speculative-algorithm EAGLE --speculative-num-steps 3").kind == DraftKind::eagle);
  CHECK(drafts(
            "python -m sglang.launch_server --model-path deepseek-ai/DeepSeek-V3 --tp 16 --speculative-algorithm EAGLE "
            "--speculative-num-steps 1")
            .kind == DraftKind::mtp);
  const auto trtllm = [](const std::string& text) {
    return scenario_of(imported(text, "options.yaml", {.model = "llama-3.1-8b"})).value().serving->pools.at(0);
  };
  CHECK_FALSE(trtllm("cuda_graph_config: null\nkv_cache_config: {dtype: fp8}\n").engine.cuda_graphs);
  CHECK(trtllm("cuda_graph_config: {max_batch_size: 64}\nkv_cache_config: {dtype: fp8}\n").engine.precision.kv ==
        Precision::fp8);
  CHECK(trtllm("disable_overlap_scheduler: true\nkv_cache_config:\n  max_tokens: 40960\n").engine.cache_tokens ==
        40960);
}

TEST_CASE("commands in containers: what stands behind an engine's image are its arguments", "[analysis][import]") {
  const auto pool = [](const std::string& command) {
    return scenario_of(imported(command)).value().serving->pools.at(0);
  };
  const std::string docker = "docker run --runtime nvidia --gpus all -v ~/.cache:/cache --ipc=host -p 8000:8000 ";
  CHECK(pool(docker + "vllm/vllm-openai:latest --model meta-llama/Llama-3.1-8B -tp 2").engine.plan.tensor == 2);
  CHECK(pool(docker + "vllm/vllm-openai:v0.11.0 meta-llama/Llama-3.1-8B -tp 2").engine.plan.tensor == 2);
  CHECK(pool("sudo podman run --device nvidia.com/gpu=all docker.io/vllm/vllm-openai@sha256:1 "
             "--model=meta-llama/Llama-3.1-8B")
            .engine.model.name == "llama-3.1-8b");
  CHECK(pool(docker + "--entrypoint vllm vllm/vllm-openai serve meta-llama/Llama-3.1-8B -tp 4").engine.plan.tensor ==
        4);
  CHECK(pool(docker + "--entrypoint=python3 vllm/vllm-openai -m vllm.entrypoints.openai.api_server --model "
                      "meta-llama/Llama-3.1-8B -tp 4")
            .engine.plan.tensor == 4);
  CHECK(pool(docker + "vllm/vllm-openai vllm serve meta-llama/Llama-3.1-8B -tp 2").engine.plan.tensor == 2);
  CHECK(pool(docker +
             "lmsysorg/sglang:latest python3 -m sglang.launch_server --model-path meta-llama/Llama-3.1-8B --tp 2")
            .engine.plan.tensor == 2);
  CHECK_THROWS_WITH(imported(docker + "nginx:latest --model meta-llama/Llama-3.1-8B"), ContainsSubstring("\"docker\""));
}

// BLOOM's launch script (bigscience-workshop/bigscience, train/tr11-176B-ml), as far as it says something of the run.
const std::string kBloom = R"(#!/bin/bash
#SBATCH --nodes=48
#SBATCH --ntasks-per-node=1          # crucial - only 1 task per dist per node!
#SBATCH --gres=gpu:8                 # number of gpus
MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)
GPUS_PER_NODE=8
NNODES=$SLURM_NNODES
TP_SIZE=4
PP_SIZE=12
GPT_ARGS=" \
    --pp-partition-method 'type:transformer|embedding' \
    --num-layers 70 --hidden-size 14336 --num-attention-heads 112 --seq-length 2048 --max-position-embeddings 2048 \
    --micro-batch-size 2 --rampup-batch-size 192 16 9_765_625 --global-batch-size 2048 --train-samples 220_000_000 \
    --tokenizer-type PretrainedFromHF --tokenizer-name-or-path a/b --embed-layernorm --bf16 \
    --position-embedding-type alibi --checkpoint-activations --abort-on-unmet-fused-kernel-constraints \
    --kill-switch-path $HOME/kill --pad-vocab-size-to 250880 \
    "
DEEPSPEED_ARGS=" --deepspeed --deepspeed_config ./ds.$SLURM_JOB_ID.json --zero-stage 0 --deepspeed-activation-checkpointing "
export LAUNCHER="python -u -m torch.distributed.run \
    --nproc_per_node $GPUS_PER_NODE --nnodes $NNODES --rdzv_endpoint $MASTER_ADDR:6000 --max_restarts 0 --tee 3 \
    "
export CMD=" \
    `pwd`/pretrain_gpt.py --tensor-model-parallel-size $TP_SIZE --pipeline-model-parallel-size $PP_SIZE \
    $GPT_ARGS --train-weighted-split-paths-path x --valid-num-workers 0 $DEEPSPEED_ARGS \
    "
echo $CMD
clear; srun --wait=60 --jobid $SLURM_JOB_ID bash -c "$LAUNCHER --node_rank \$SLURM_PROCID $CMD" 2>&1 | tee -a log.txt
)";

TEST_CASE("BLOOM's script is read as it stands", "[analysis][import]") {
  const ImportedRun run = imported(kBloom, "tr11.slurm");
  CHECK(run.framework == "Megatron-DeepSpeed");
  CAPTURE(run.text);
  CHECK_THAT(run.text, !ContainsSubstring("Not known"));
  const ResolvedScenario resolved = scenario_of(run);
  const TrainingConfig& t = *resolved.value().training;
  CHECK(resolved.gpus() == 384);
  CHECK(t.plan.tensor == 4);
  CHECK(t.plan.pipeline == 12);
  CHECK(t.plan.data == 8);
  CHECK(t.plan.zero_stage == 1);
  CHECK(t.batch.micro_batch_sequences == 2);
  CHECK(t.batch.sequences == 2048);
  CHECK(t.recompute.full_layer);
  CHECK(t.model.vocabulary == 250'880);
  CHECK(t.model.layers == 70);
  CHECK_FALSE(t.model.gated_ffn);
}

TEST_CASE("commands that a shell or eval runs, and others that only show them", "[analysis][import]") {
  const auto tensor = [](const std::string& text) {
    return scenario_of(imported(text)).value().serving->pools.at(0).engine.plan.tensor;
  };
  const std::string serve = "vllm serve meta-llama/Llama-3.1-8B -tp 2";
  CHECK(tensor("bash -c '" + serve + "'") == 2);
  CHECK(tensor("docker exec -it c /bin/bash -lc \"cd /x && " + serve + " --max-num-seqs 8\"") == 2);
  CHECK(tensor("N=2\nCMD=\"vllm serve meta-llama/Llama-3.1-8B -tp $N\"\necho \"$CMD\"\necho $CMD\neval $CMD") == 2);
  CHECK(tensor("N=2\nsrun sh -c \"vllm serve 'meta-llama/Llama-3.1-8B' -tp $N\" &") == 2);
  CHECK_THROWS_WITH(imported("bash -c \"vllm serve meta-llama/Llama-3.1-8B -tp $N\""),
                    ContainsSubstring("$N, which nothing before it sets"));
}

TEST_CASE("a smaller model that drafts is that model, where the library has it", "[analysis][import]") {
  const auto engine = [](const std::string& command) {
    return scenario_of(imported(command)).value().serving->pools.at(0).engine;
  };
  const std::string vllm = "vllm serve meta-llama/Llama-3.1-70B -tp 8 --speculative-config ";
  const EngineConfig small =
      engine(vllm + "'{\"model\": \"meta-llama/Llama-3.1-8B-Instruct\", \"num_speculative_tokens\": 4}'");
  CHECK(small.speculation.kind == DraftKind::model);
  CHECK(small.speculation.depth == 4);
  CHECK(small.drafter.name == "llama-3.1-8b");
  CHECK(engine(vllm + "'{\"model\": \"some/draft-1b\", \"num_speculative_tokens\": 4}'").speculation.kind ==
        DraftKind::eagle);
  CHECK(engine("python3 -m sglang.launch_server --model-path meta-llama/Llama-3.1-70B --tp 8 --speculative-algorithm "
               "STANDALONE --speculative-draft-model-path meta-llama/Llama-3.1-8B --speculative-num-steps 3")
            .drafter.name == "llama-3.1-8b");
  CHECK_THROWS_WITH(imported("vllm serve meta-llama/Llama-3.1-8B --decode-context-parallel-size 2"),
                    ContainsSubstring("is not replayed"));
}

TEST_CASE("older and rarer flags of Megatron mean something, or are refused", "[analysis][import]") {
  const std::string base =
      "torchrun --nproc_per_node 8 --nnodes=4 pretrain_gpt.py --num-layers 32 --hidden-size 5120 "
      "--num-attention-heads 40 --seq-length 2048 --bf16 --tokenizer-type GPT2BPETokenizer --hidden-dropout 0 "
      "--attention-dropout 0 --global-batch-size 64 ";
  const auto training = [&](const std::string& flags) { return *scenario_of(imported(base + flags)).value().training; };
  CHECK(training("--checkpoint-activations --model-parallel-size 2").recompute.full_layer);
  CHECK(training("--model-parallel-size 2").plan.tensor == 2);
  CHECK(training("").model.vocabulary >= 50'257);  // or padded, in a model of this shape
  const auto exchange = [&](const char* kind) {
    return training(std::string("--context-parallel-size 2 --cp-comm-type ") + kind).plan.context_exchange;
  };
  CHECK(exchange("p2p") == ContextExchange::ring);
  CHECK(exchange("all_gather") == ContextExchange::all_gather);
  CHECK(exchange("a2a") == ContextExchange::all_to_all);
  CHECK(training("--enable-cuda-graph --cuda-graph-scope full_iteration").iteration_graph);
  CHECK_FALSE(training("--enable-cuda-graph").iteration_graph);
  CHECK(training("--cuda-graph-impl full_iteration").iteration_graph);
  CHECK(training("--cuda-graph-impl transformer_engine").cuda_graphs);
  CHECK(training("--batch-size 2").batch.micro_batch_sequences == 2);
  CHECK(training("--deepspeed --zero-stage 2").plan.zero_stage == 2);
  CHECK(training("--glu-activation geglu --ffn-hidden-size 10880").model.gated_ffn);
  CHECK(training("--pipeline-model-parallel-size 4 --decoder-first-pipeline-num-layers 7 "
                 "--decoder-last-pipeline-num-layers 5")
            .plan.stage_layers == std::vector<int>{7, 10, 10, 5});
  const TrainingConfig drawn =
      training("--pipeline-model-parallel-size 4 --pipeline-model-parallel-layout 'Et*3|(tttt|)*5,ttt,t|tttt,tL'");
  CHECK(drawn.plan.chunks == 2);
  CHECK(drawn.plan.stage_layers == std::vector<int>{3, 4, 4, 4, 4, 4, 4, 5});
  const TrainingConfig states = training(
      "--use-distributed-optimizer --use-precision-aware-optimizer --main-grads-dtype bf16 --exp-avg-dtype bf16 "
      "--exp-avg-sq-dtype bf16");
  CHECK(states.precision.gradients == Precision::bf16);
  CHECK(states.precision.moments == Precision::bf16);
  const OffloadPlan half = training("--optimizer-cpu-offload --optimizer-offload-fraction 0.5").offload;
  CHECK(half.optimizer == 0.5);
  CHECK_FALSE(half.overlap);
  CHECK_THROWS_WITH(imported(base + "--cpu-offloading"), ContainsSubstring("is not replayed"));
  CHECK_THROWS_WITH(imported(base + "--pipeline-model-parallel-size 4 --decoder-first-pipeline-num-layers 6"),
                    ContainsSubstring("26 layers for 3 stages"));
}

TEST_CASE("what is wrong with a foreign command is said with its place", "[analysis][import]") {
  CHECK_THROWS_WITH(imported("ls -l"), ContainsSubstring("vllm serve"));
  CHECK_THROWS_WITH(imported("vllm serve nobody/knows-9b --tp x"), ContainsSubstring("nobody/knows-9b"));
  CHECK_THROWS_WITH(imported("vllm serve 'open"), ContainsSubstring("a quote that is not closed"));
  CHECK_THROWS_WITH(
      imported("pretrain_gpt.py --num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096"),
      ContainsSubstring("--gpus N"));
  CHECK_THROWS_WITH(imported("{\"zero_optimization\": {\"stage\": 3, \"offload_optimizer\": {\"device\": \"nvme\"}}}",
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
  // What is written can be read.
  const Outcome wrong = flopcast(
      "import-run --command 'vllm serve Qwen/Qwen3-32B --max-num-seqs 0 --gpu-memory-utilization 1.5' --output " +
      folder.path() + "/new/run.textproto");
  CHECK(wrong.code == 2);
  CHECK_THAT(one_line(wrong.err),
             ContainsSubstring("--command:1:27: --max-num-seqs 0: serving.replicas.max_batch: found 0") &&
                 ContainsSubstring("--gpu-memory-utilization 1.5: serving.replicas.memory_share: found 1.5"));
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/new"));
  // What does not fit is what the command says: written, and said, to be changed by whoever asked.
  const std::string unfit = folder.path() + "/unfit.textproto";
  const Outcome large = flopcast("import-run --command 'vllm serve deepseek-ai/DeepSeek-V3.2 -tp 8' --output " + unfit);
  CHECK(large.code == 0);
  CHECK_THAT(one_line(large.err), ContainsSubstring("flopcast check refuses it as it stands: ") &&
                                      ContainsSubstring("of weights and workspace per GPU"));
  CHECK(flopcast("check " + unfit).code == 2);
  const Outcome shown = flopcast("export-run llama_3_1_8b_64_h100 --to megatron");
  CHECK_THAT(shown.out, ContainsSubstring("--pipeline-model-parallel-size 4"));
  CHECK(flopcast("export-run llama_3_1_8b_64_h100 --to nemo").code == 2);
}

}  // namespace
}  // namespace flopcast::testing
