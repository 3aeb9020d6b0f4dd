#include "analysis/runs/serving/exchange/launch_command.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "hwmodels/fabric/node_count.h"
#include "scenarios/resolve/serving/serving_scenario.h"
#include "sim/base/diagnostic.h"
#include "workloads/serving/pricing/block_shapes.h"
#include "workloads/serving/pricing/replica_memory.h"

namespace flopcast {
namespace {

/// Writes flags of one pool, each beside its field.
class Flags {
 public:
  Flags(LaunchCommand& out, const EngineFlags& known, const std::string& profile)
      : out_(out), known_(known), profile_(profile) {}
  /// A flag that not every version has. @param field says what asks for it.
  void known(std::string_view setting, const std::string& value, const std::string& field) {
    const std::optional<std::string> flag = known_.find(profile_, setting, value);
    if (!flag) {
      out_.untold.push_back(fmt::format("{}: {} of {} has no flag for it", field,
                                        profile_.substr(0, profile_.find('-')), known_.release(profile_)));
    } else if (const auto equals = flag->find('='); !flag->starts_with("--") && equals != std::string::npos) {
      out_.environment.emplace_back(flag->substr(0, equals), flag->substr(equals + 1));
    } else {
      add(*flag, field);
    }
  }
  bool has(std::string_view setting) const { return known_.find(profile_, setting).has_value(); }
  void add(std::string text, std::string field) { out_.flags.push_back({std::move(text), std::move(field)}); }
  template <class Value>
  void value(const char* flag, const Value& value, const char* field) {
    add(fmt::format("{} {}", flag, value), fmt::format("{} = {}", field, value));
  }
  void when(bool yes, const char* flag, const char* field) {
    if (yes) add(flag, field);
  }

 private:
  LaunchCommand& out_;
  const EngineFlags& known_;
  const std::string& profile_;
};

/// What a scenario says of a pool itself, beside defaults and what its engine does anyway.
struct Stated {
  Stated(const Scenario& scenario, const std::string& pool) : scenario_(scenario), path_("serving." + pool + ".") {
    const auto& classes = scenario.serving->classes.of;
    priorities =
        std::ranges::any_of(classes, [&](const ClassRule& rule) { return rule.priority != classes.front().priority; });
  }
  bool has(const std::string& field) const {
    return std::ranges::none_of(scenario_.defaults_used,
                                [&](const std::string& setting) { return setting.starts_with(path_ + field + " ="); });
  }
  bool priorities = false;  ///< streams differ in theirs

 private:
  const Scenario& scenario_;
  std::string path_;
};

/// Whether the engine itself casts the weights that it loads: FP8 of a model that is published in BF16.
bool quantised_by_engine(const EngineConfig& e) {
  return e.precision.linear == Precision::fp8 && e.model.published_weights == PublishedWeights::bf16;
}

/// "1 2 4 8 16"
std::string sizes_of_graphs(const EngineConfig& e) {
  return fmt::format("{}", fmt::join(parse_graph_sizes(e.graph_sizes).value_or(std::vector<int>{}), " "));
}

/// What stands for a head that the scenario does not name.
constexpr std::string_view kHead = "EAGLE-HEAD-OF-THE-MODEL";

/// And for the smaller model that drafts.
constexpr std::string_view kDraftModel = "DRAFT-MODEL";

std::string vllm_drafts(const SpeculationConfig& drafts) {
  std::string method = "\"mtp\"";
  if (drafts.kind == DraftKind::eagle) method = fmt::format("\"eagle3\", \"model\": \"{}\"", kHead);
  if (drafts.kind == DraftKind::lookup) method = "\"ngram\"";
  if (drafts.kind == DraftKind::model) method = fmt::format("\"draft_model\", \"model\": \"{}\"", kDraftModel);
  const std::string most =
      drafts.most_batch > 0 ? fmt::format(", \"disable_by_batch_size\": {}", drafts.most_batch + 1) : "";
  return fmt::format("--speculative-config '{{\"method\": {}, \"num_speculative_tokens\": {}{}}}'", method,
                     drafts.depth, most);
}

std::string sglang_drafts(const SpeculationConfig& drafts) {
  const std::string tokens = fmt::format("--speculative-num-draft-tokens {}", drafts.depth + 1);
  if (drafts.kind == DraftKind::lookup) return "--speculative-algorithm NGRAM " + tokens;
  if (drafts.kind == DraftKind::model)
    return fmt::format(
        "--speculative-algorithm STANDALONE --speculative-draft-model-path {} --speculative-num-steps {} "
        "--speculative-eagle-topk 1 {}",
        kDraftModel, drafts.depth, tokens);
  const std::string head =
      drafts.kind == DraftKind::eagle ? fmt::format("EAGLE3 --speculative-draft-model-path {}", kHead) : "NEXTN";
  return fmt::format("--speculative-algorithm {} --speculative-num-steps {} --speculative-eagle-topk 1 {}", head,
                     drafts.depth, tokens);
}

std::string transfer_role(ReplicaRole role) {
  return role == ReplicaRole::prefill ? "kv_producer" : role == ReplicaRole::decode ? "kv_consumer" : "";
}

/// What the engine is told of the memory that a pool may fill: a share of all of it, of it beside the workspace, or of
/// what weights and workspace leave.
double told_share(const PoolSpec& pool, const GpuSpec& gpu, MemoryShareOf of) {
  const EngineConfig& e = pool.engine;
  if (e.memory_share_of == of) return memory_share(e, gpu);
  const ReplicaMemory memory = replica_memory(e, gpu);
  const Bytes hbm = gpu.hbm_usable(), fixed = memory.table.total();
  const double share = of == MemoryShareOf::free    ? (memory.usable - fixed) / (hbm - fixed)
                       : of == MemoryShareOf::fixed ? (memory.usable - memory.workspace) / hbm
                                                    : memory.usable / hbm;
  // Engines read two digits of it as well as ten.
  return std::floor(1000 * share) / 1000;
}

/// What replicas over several nodes are told on each of them, in variables of the shell: its rank, and where the first
/// is.
constexpr const char* kRank = "\"$NODE_RANK\"";
constexpr const char* kHeadAddress = "\"$HEAD_ADDRESS\"";

/// vLLM starts groups of its own on each node; what one group spreads over nodes goes through Ray.
void vllm_over_nodes(const ServingPlan& plan, Flags& flags, LaunchCommand& out) {
  const int group = plan.tensor * plan.pipeline, per_node = out.gpus / out.nodes;
  if (group <= per_node) {
    const int local = per_node / group;
    flags.add(fmt::format("--data-parallel-size-local {}", local), "attention_data, groups on one node");
    flags.add(fmt::format("--data-parallel-address {} --data-parallel-rpc-port 13345", kHeadAddress), "");
    flags.add(fmt::format("$([ {0} = 0 ] || echo --headless --data-parallel-start-rank $(({1} * {2})))", kRank,
                          "NODE_RANK", local),
              "on all nodes but the first");
    return;
  }
  flags.add("--distributed-executor-backend ray", "tensor x pipeline, over nodes");
  // Groups of their own on each node are vLLM's processes; those wider than a node are placed by Ray, which is told
  // that it may spread one (vllm/v1/engine/utils.py, create_dp_placement_groups).
  if (plan.attention_data > 1) {
    flags.add("--data-parallel-backend ray", "attention_data, groups over nodes");
    out.before = "export VLLM_RAY_DP_PACK_STRATEGY=span; ";
  }
  out.before += fmt::format(
      "if [ {0} = 0 ]; then ray start --head --port=6379; else exec ray start --address={1}:6379 --block; fi", kRank,
      kHeadAddress);
}

void vllm(const PoolSpec& pool, const GpuSpec& gpu, const std::string& model, const Stated& stated,
          const EngineFlags& known, LaunchCommand& out) {
  const EngineConfig& e = pool.engine;
  Flags flags(out, known, e.name);
  out.image = fmt::format("vllm/vllm-openai:v{}", known.release(e.name));
  out.program = "vllm serve " + model;
  flags.value("--tensor-parallel-size", e.plan.tensor, "tensor");
  if (e.plan.pipeline > 1) flags.value("--pipeline-parallel-size", e.plan.pipeline, "pipeline");
  if (e.plan.attention_data > 1) flags.value("--data-parallel-size", e.plan.attention_data, "attention_data");
  if (out.nodes > 1) vllm_over_nodes(e.plan, flags, out);
  flags.when(e.plan.expert > 1, "--enable-expert-parallel", "expert > 1");
  if (sends_to_experts(e))
    flags.known("expert_transport",
                // Prompts always take the latter.
                pool.role != ReplicaRole::prefill && e.decode_exchange == ExpertExchange::low_latency
                    ? "deepep_low_latency"
                    : "deepep_high_throughput",
                "expert_transport, decode_exchange");
  if (e.two_micro_batches) flags.known("two_micro_batches", "", "two_micro_batches");
  if (e.redundant_experts > 0)
    flags.known("redundant_experts", fmt::format("{}", e.redundant_experts), "redundant_experts");
  flags.value("--max-num-seqs", e.scheduler.max_batch, "max_batch");
  flags.value("--max-num-batched-tokens", e.scheduler.token_budget, "token_budget");
  flags.when(!e.scheduler.chunked_prefill, "--no-enable-chunked-prefill", "chunked_prefill = false");
  flags.value("--gpu-memory-utilization", told_share(pool, gpu, MemoryShareOf::all), "memory_share");
  if (e.cache_tokens > 0)
    flags.add(fmt::format("--num-gpu-blocks-override {}", e.cache_tokens / pool.page_tokens),
              "cache_tokens, page_tokens");
  if (e.cache_memory > Bytes(0))
    flags.known("cache_memory", fmt::format("{:.0f}", e.cache_memory.value()), "cache_memory");
  if (e.adapters > 0)
    flags.add(fmt::format("--enable-lora --max-loras {} --max-lora-rank {}", e.adapters, e.adapter_rank),
              "adapters, adapter_rank");
  flags.value("--block-size", pool.page_tokens, "page_tokens");
  flags.when(e.precision.kv == Precision::fp8, "--kv-cache-dtype fp8", "kv_cache = fp8");
  flags.when(e.precision.linear == Precision::bf16, "--dtype bfloat16", "weights = bf16");
  flags.when(quantised_by_engine(e), "--quantization fp8", "weights = fp8");
  if (e.overlap_scheduling)
    flags.known(e.plan.pipeline > 1 ? "overlap_with_pipeline" : "overlap_scheduling", "",
                e.plan.pipeline > 1 ? "overlap_scheduling beside pipeline" : "overlap_scheduling");
  // Versions without the flag do not overlap anyway.
  if ((!e.overlap_scheduling || (e.plan.pipeline > 1 && !flags.has("overlap_with_pipeline"))) &&
      flags.has("no_overlap_scheduling"))
    flags.known("no_overlap_scheduling", "", "overlap_scheduling");
  if (stated.has("graph_sizes") && !e.graph_sizes.empty() && e.cuda_graphs)
    flags.known("graph_sizes", sizes_of_graphs(e), "graph_sizes");
  flags.when(e.priority_preemption || stated.priorities, "--scheduling-policy priority",
             "priority of streams, which vLLM counts from 0 downwards");
  flags.when(!e.cuda_graphs, "--enforce-eager", "cuda_graphs = false");
  if (pool.stream_interval > 1)
    flags.known("stream_interval", fmt::format("{}", pool.stream_interval), "stream_interval");
  flags.when(!pool.prefix.on, "--no-enable-prefix-caching", "prefix_cache.on = false");
  if (e.speculation.depth > 0) flags.add(vllm_drafts(e.speculation), "speculation");
  if (const std::string role = transfer_role(pool.role); !role.empty()) {
    // Caches are fetched from this address, which is localhost unless it is said
    // (docs/features/nixl_connector_usage.md).
    out.environment.emplace_back("VLLM_NIXL_SIDE_CHANNEL_HOST", kOwnAddress);
    flags.add(fmt::format("--kv-transfer-config '{{\"kv_connector\": \"NixlConnector\", \"kv_role\": \"{}\"}}'", role),
              pool.name);
  }
  flags.add(fmt::format("--port {}", kServerPort), "");
}

void sglang(const PoolSpec& pool, const GpuSpec& gpu, const std::string& model, const Stated& stated,
            const EngineFlags& known, LaunchCommand& out) {
  const EngineConfig& e = pool.engine;
  const int groups = e.plan.attention_data;
  Flags flags(out, known, e.name);
  out.image = fmt::format("lmsysorg/sglang:v{}", known.release(e.name));
  out.program = "python3 -m sglang.launch_server --model-path " + model;
  flags.add(fmt::format("--tp-size {}", e.plan.tensor * groups),
            groups > 1 ? fmt::format("tensor x attention_data = {}", e.plan.tensor * groups)
                       : fmt::format("tensor = {}", e.plan.tensor));
  if (out.nodes > 1)
    flags.add(fmt::format("--nnodes {} --node-rank {} --dist-init-addr {}:20000", out.nodes, kRank, kHeadAddress), "");
  if (groups > 1) flags.add(fmt::format("--dp-size {} --enable-dp-attention", groups), "attention_data");
  if (e.plan.pipeline > 1) flags.value("--pp-size", e.plan.pipeline, "pipeline");
  if (e.plan.expert > 1) {
    flags.known("expert", fmt::format("{}", e.plan.expert), fmt::format("expert = {}", e.plan.expert));
    const std::optional<std::string> flag = known.find(e.name, "expert");
    if (flag == "--enable-ep-moe" && e.plan.expert != e.plan.tensor * groups)
      out.untold.push_back(fmt::format("expert = {}: SGLang {} spreads experts over all {} GPUs", e.plan.expert,
                                       known.release(e.name), e.plan.tensor * groups));
  }
  if (sends_to_experts(e))
    flags.known("expert_transport",
                pool.role == ReplicaRole::prefill                  ? "normal"
                : e.decode_exchange != ExpertExchange::low_latency ? "normal"
                : pool.role == ReplicaRole::decode                 ? "low_latency"
                                                                   : "auto",
                "expert_transport, decode_exchange");
  if (e.two_micro_batches) flags.known("two_micro_batches", "", "two_micro_batches");
  if (e.redundant_experts > 0)
    flags.known("redundant_experts", fmt::format("{}", e.redundant_experts), "redundant_experts");
  flags.add(fmt::format("--max-running-requests {}", e.scheduler.max_batch * groups),
            groups > 1 ? "max_batch x attention_data" : "max_batch");
  flags.add(
      fmt::format("--chunked-prefill-size {}", e.scheduler.chunked_prefill ? e.scheduler.token_budget * groups : -1),
      groups > 1 ? "token_budget x attention_data, chunked_prefill" : "token_budget, chunked_prefill");
  flags.when(e.scheduler.batching->name == "mixed", "--enable-mixed-chunk", "batching = mixed");
  flags.value("--mem-fraction-static", told_share(pool, gpu, MemoryShareOf::fixed), "memory_share");
  if (e.state_share > 0)
    flags.value("--mamba-full-memory-ratio", fmt::format("{:.4g}", e.state_share / (1 - e.state_share)), "state_share");
  if (e.cache_tokens > 0) flags.value("--max-total-tokens", e.cache_tokens, "cache_tokens");
  if (e.adapters > 0)
    flags.add(fmt::format("--enable-lora --max-loras-per-batch {} --max-lora-rank {}", e.adapters, e.adapter_rank),
              "adapters, adapter_rank");
  flags.value("--page-size", pool.page_tokens, "page_tokens");
  flags.when(e.precision.kv == Precision::fp8, "--kv-cache-dtype fp8_e4m3", "kv_cache = fp8");
  flags.when(e.precision.linear == Precision::bf16, "--dtype bfloat16", "weights = bf16");
  flags.when(quantised_by_engine(e), "--quantization fp8", "weights = fp8");
  flags.when(!e.overlap_scheduling, "--disable-overlap-schedule", "overlap_scheduling = false");
  if (stated.has("graph_sizes") && !e.graph_sizes.empty() && e.cuda_graphs)
    flags.add("--cuda-graph-bs " + sizes_of_graphs(e), "graph_sizes");
  if (stated.has("max_waiting"))
    flags.known("max_waiting", fmt::format("{}", e.scheduler.max_waiting),
                fmt::format("max_waiting = {}", e.scheduler.max_waiting));
  flags.when(!e.cuda_graphs, "--disable-cuda-graph", "cuda_graphs = false");
  flags.when(!e.graph_padding, "--disable-cuda-graph-padding", "graph_padding = false");
  if (pool.stream_interval > 1) flags.value("--stream-interval", pool.stream_interval, "stream_interval");
  if (e.priority_preemption || stated.priorities)
    flags.known("priorities", "", "priority of streams, priority_preemption");
  flags.when(!pool.prefix.on, "--disable-radix-cache", "prefix_cache.on = false");
  if (const SpeculationConfig& drafts = e.speculation; drafts.depth > 0) {
    const char* needs = drafts.kind == DraftKind::lookup  ? "lookup_drafts"
                        : drafts.kind == DraftKind::model ? "model_drafts"
                                                          : "";
    if (*needs == '\0' || flags.has(needs)) {
      flags.add(sglang_drafts(drafts), "speculation");
    } else {
      flags.known(needs, "", "speculation");  // says that it has none
    }
  }
  if (hands_on(pool.role)) flags.add("--disaggregation-mode prefill", pool.name);
  if (pool.role == ReplicaRole::decode)
    flags.add(fmt::format("--disaggregation-mode decode --num-reserved-decode-tokens {}", pool.reserved_tokens),
              fmt::format("{}, reserved_tokens = {}", pool.name, pool.reserved_tokens));
  flags.add(fmt::format("--port {}", kServerPort), "");
}

void trtllm(const PoolSpec& pool, const GpuSpec& gpu, const std::string& model, const Stated& stated,
            const EngineFlags& known, LaunchCommand& out) {
  const EngineConfig& e = pool.engine;
  const int groups = e.plan.attention_data;
  Flags flags(out, known, e.name);
  out.image = fmt::format("nvcr.io/nvidia/tensorrt-llm/release:{}", known.release(e.name));
  out.program = "trtllm-serve " + model;
  // Over nodes it starts by MPI, once, from the first of them.
  out.by_mpi = out.nodes > 1;
  if (out.by_mpi)
    out.program = fmt::format("mpirun -n {} -N {} --hostfile hosts trtllm-llmapi-launch {}", out.gpus,
                              out.gpus / out.nodes, out.program);
  flags.add(fmt::format("--tp_size {}", e.plan.tensor * groups), groups > 1 ? "tensor x attention_data" : "tensor");
  if (e.plan.pipeline > 1) flags.value("--pp_size", e.plan.pipeline, "pipeline");
  if (e.plan.expert > 1) flags.value("--ep_size", e.plan.expert, "expert");
  flags.value("--max_batch_size", e.scheduler.max_batch, "max_batch");
  flags.value("--max_num_tokens", e.scheduler.token_budget, "token_budget");
  flags.add("--extra_llm_api_options options.yaml", "");
  flags.add(fmt::format("--port {}", kServerPort), "");
  std::string& yaml = out.options_file;
  yaml += fmt::format("enable_chunked_prefill: {}  # chunked_prefill\n", e.scheduler.chunked_prefill);
  // Servers of prompts alone do not overlap (examples/disaggregated/README.md: not yet supported).
  const bool prompts = pool.role == ReplicaRole::prefill;
  yaml += fmt::format("disable_overlap_scheduler: {}  # {}\n", prompts || !e.overlap_scheduling,
                      prompts ? "prefill alone" : "overlap_scheduling");
  if (prompts && e.overlap_scheduling)
    out.untold.push_back(
        "overlap_scheduling: TensorRT-LLM's servers of prompts alone do not overlap scheduling, as the replay does");
  if (e.redundant_experts > 0)
    yaml +=
        fmt::format("moe_config:\n  load_balancer: {{num_slots: {}, layer_updates_per_iter: 1}}  # redundant_experts\n",
                    e.model.moe.experts + e.redundant_experts);
  if (groups > 1) yaml += fmt::format("enable_attention_dp: true  # attention_data = {}\n", groups);
  yaml += fmt::format("scheduler_config:\n  capacity_scheduler_policy: {}  # admission = {}\n",
                      e.scheduler.admission->grows ? "MAX_UTILIZATION" : "GUARANTEED_NO_EVICT",
                      e.scheduler.admission->name);
  yaml += fmt::format(
      "kv_cache_config:\n  dtype: {}  # kv_cache\n  tokens_per_block: {}  # page_tokens\n"
      "  enable_block_reuse: {}  # prefix_cache.on\n  free_gpu_memory_fraction: {}  # memory_share\n",
      e.precision.kv == Precision::fp8 ? "fp8" : "auto", pool.page_tokens, pool.prefix.on,
      told_share(pool, gpu, MemoryShareOf::free));
  if (e.cache_tokens > 0) yaml += fmt::format("  max_tokens: {}  # cache_tokens\n", e.cache_tokens);
  if (e.cuda_graphs && stated.has("graph_sizes") && !e.graph_sizes.empty())
    // TensorRT-LLM, examples/llm-api/llm_runtime.py: CudaGraphConfig(batch_sizes=[1, 2, 4]).
    yaml += fmt::format("cuda_graph_config:\n  batch_sizes: [{}]  # graph_sizes\n  enable_padding: {}{}\n",
                        fmt::join(parse_graph_sizes(e.graph_sizes).value_or(std::vector<int>{}), ", "), e.graph_padding,
                        e.graph_padding ? "" : "  # graph_padding");
  else if (e.cuda_graphs)
    yaml += fmt::format("cuda_graph_config:\n  max_batch_size: {}  # cuda_graphs, max_batch\n  enable_padding: {}{}\n",
                        e.scheduler.max_batch, e.graph_padding, e.graph_padding ? "" : "  # graph_padding");
  else
    yaml += "cuda_graph_config: null  # cuda_graphs = false\n";
  if (pool.stream_interval > 1) yaml += fmt::format("stream_interval: {}\n", pool.stream_interval);
  if (e.speculation.depth > 0 && e.speculation.kind == DraftKind::mtp)
    yaml +=
        fmt::format("speculative_config:\n  decoding_type: MTP\n  num_nextn_predict_layers: {}  # speculation.depth\n",
                    e.speculation.depth);
  else if (e.speculation.depth > 0)
    yaml += fmt::format("speculative_config:\n  decoding_type: {}\n  max_draft_len: {}  # speculation.depth\n",
                        e.speculation.kind == DraftKind::lookup  ? "NGram"
                        : e.speculation.kind == DraftKind::model ? "Draft_Target"
                                                                 : "Eagle",
                        e.speculation.depth);
  if (pool.role != ReplicaRole::unified)
    yaml += fmt::format("cache_transceiver_config:\n  backend: DEFAULT  # {}\n", pool.name);
}

struct EngineWriter {
  const char* family;
  const char* title;
  void (*write)(const PoolSpec& pool, const GpuSpec& gpu, const std::string& model, const Stated& stated,
                const EngineFlags& known, LaunchCommand& out);
  /// Fields that no flag of it carries: what the simulation takes of them the engine decides itself.
  std::vector<const char*> without_flag;
};
const EngineWriter kWriters[] = {
    {"vllm-", "vLLM", vllm, {"max_waiting", "batching", "preemption", "admission", "graph_padding"}},
    {"sglang-", "SGLang", sglang, {"preemption", "admission"}},
    {"trtllm-",
     "TensorRT-LLM",
     trtllm,
     {"max_waiting", "batching", "preemption", "two_micro_batches", "expert_transport", "decode_exchange",
      "priority_preemption", "adapters", "adapter_rank", "cache_memory"}}};
/// And of none of them.
constexpr const char* kWithoutFlag[] = {
    "balance_attention",    "kernels",           "expert_kernels", "results_behind_launch",
    "scheduled_ahead",      "communication_sms", "first_token",    "scaling",
    "shared_beside_tokens", "bf16_parts",        "window_caches"};

/// What the engine is not told of a pool, each with why.
void name_the_rest(const PoolSpec& pool, const EngineWriter& writer, const Stated& stated, LaunchCommand& out) {
  const EngineConfig& e = pool.engine;
  const auto none = [&](const char* field) {
    if (stated.has(field)) out.untold.push_back(fmt::format("{}: {} has no flag for it", field, writer.title));
  };
  if (std::string refused = refused_blocks(e); !refused.empty()) out.untold.push_back(std::move(refused));
  for (const char* field : writer.without_flag) none(field);
  for (const char* field : kWithoutFlag) none(field);
  const PublishedWeights published = e.model.published_weights;
  const bool packed = e.precision.stored != WeightFormat::as_multiplied ||
                      e.precision.experts != WeightFormat::as_multiplied || e.precision.linear == Precision::fp4;
  if (packed && !e.weights_as_published)
    out.untold.push_back(
        "weight_format, expert_format: the model that is loaded has to be one with weights in that format");
  const bool stored_fp8 = published == PublishedWeights::fp8_blocks || published == PublishedWeights::fp8;
  if (e.precision.linear == Precision::bf16 && !packed && published != PublishedWeights::bf16)
    out.untold.push_back(
        "weights = bf16: the model that is loaded has to be one in BF16, other than the published one");
  if (e.precision.linear == Precision::fp8 && !stored_fp8) {
    if (std::string_view(writer.family) == "trtllm-")
      out.untold.push_back("weights = fp8: TensorRT-LLM loads a model that is quantised before (ModelOpt)");
    else if (e.precision.scaling == Scaling::blocks)
      out.untold.push_back(
          "scaling = blocks: an engine that casts a model's BF16 weights to FP8 as it loads them has a "
          "scale for each tensor or row (per_tensor)");
  }
  if (pool.replicas > 1)
    out.untold.push_back(
        fmt::format("count = {}, router: as many servers, each on ports of its own where they share "
                    "a node, and a router before them",
                    pool.replicas));
  if (pool.role != ReplicaRole::unified)
    out.untold.push_back("prefill and decode apart: a proxy that sends each request to one of either");
  if (pool.prefix.host_memory > Bytes(0) || pool.prefix.storage > Bytes(0))
    out.untold.push_back("prefix_cache.host_memory, storage: set up beside the engine (LMCache, HiCache)");
}

}  // namespace

std::vector<LaunchCommand> launch_commands(const Scenario& scenario, const std::string& model,
                                           const EngineFlags& known) {
  std::vector<LaunchCommand> out;
  std::vector<Diagnostic> faults;
  for (const PoolSpec& pool : scenario.serving->pools) {
    const auto writer = std::find_if(std::begin(kWriters), std::end(kWriters),
                                     [&](const EngineWriter& w) { return pool.engine.name.starts_with(w.family); });
    if (writer == std::end(kWriters)) {
      faults.push_back({scenario.file, 0, 0, fmt::format("serving.{}.engine", pool.name),
                        pool.engine.name.empty() ? "nothing" : pool.engine.name,
                        "an engine of vLLM, SGLang or TensorRT-LLM with its version (`flopcast list engines`)", ""});
      continue;
    }
    LaunchCommand command;
    command.pool = pool.name;
    command.replicas = pool.replicas;
    command.gpus = pool.engine.plan.gpus();
    command.nodes = nodes_for(command.gpus, scenario.cluster.node);
    while (command.gpus % command.nodes != 0) ++command.nodes;  // as many GPUs on each
    const Stated stated{scenario, pool.name};
    writer->write(pool, scenario.cluster.node.gpu, model, stated, known, command);
    name_the_rest(pool, *writer, stated, command);
    out.push_back(std::move(command));
  }
  if (!faults.empty()) throw InputError(std::move(faults));
  return out;
}

}  // namespace flopcast
