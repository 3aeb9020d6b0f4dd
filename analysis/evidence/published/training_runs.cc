#include "analysis/evidence/published/training_runs.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace flopcast {
namespace {

/// What a framework's recipes turn on, where a table of runs does not say. Read in the recipes themselves:
/// NeMo and Megatron-Bridge: ZeRO-1 with both overlaps where there are data-parallel ranks, user-buffer
/// tensor overlap, BF16 gradients, FP8 parameters gathered in FP8, Megatron's cross-entropy
/// (NVIDIA/dgxc-benchmarking 741c886; NeMo megatron_comm_overlap.py). FSDP frameworks (llm-foundry,
/// torchtitan, Kempner, NeMo AutoModel): parameters sharded, gathered in BF16, gradients reduced in FP32
/// (torch FSDP2 default of torchtitan) or BF16 (llm-foundry).
struct Recipe {
  bool megatron = true;
  bool fp32_gradients = false;
  bool bf16_states = false;  ///< weights, moments and all in BF16
};

Recipe recipe_of(const TrainingRun& run) {
  if (run.framework == "torchtitan") return {false, true};
  if (run.framework == "nanotron") return {false, true};  // accumulate_grad_in_fp32
  if (run.framework == "kempnerforge")
    return {false, true, true};  // model.to(bfloat16): kempnerforge/distributed/parallel.py
  // self.to(torch.bfloat16), and torch.optim.Adam on what that leaves: Automodel 01926a5c443b, components/models and
  // examples/benchmark/configs
  if (run.framework == "nemo-automodel") return {false, false, true};
  if (run.framework == "torchtune") return {false, false, true};  // dtype: bf16 of its recipes
  if (run.framework == "llm-foundry" || run.framework == "maxtext") return {false};
  if (run.framework == "meta") return {true, true};  // FP32 reduce-scatter (arXiv 2407.21783, 3.3.2)
  return {};
}

std::int64_t whole(const CsvTable& table, std::size_t row, const char* column, std::int64_t otherwise) {
  const std::string& text = table.text(row, column);
  return text.empty() ? otherwise : static_cast<std::int64_t>(table.number(row, column));
}

int small(const CsvTable& table, std::size_t row, const char* column, int otherwise = 1) {
  return static_cast<int>(whole(table, row, column, otherwise));
}

/// Stages of one layer more or fewer at both ends where embedding and loss are counted as layers: 126 + 2 = 8
/// x 16.
std::vector<int> stage_layers(const TrainingRun& run, int layers) {
  const int stages = run.pipeline * run.chunks;
  if (stages < 2 || layers % stages == 0 || (layers + 2) % stages != 0) return {};
  std::vector<int> result(static_cast<std::size_t>(stages), (layers + 2) / stages);
  --result.front();
  --result.back();
  return result;
}

PrecisionPlan precision_of(const TrainingRun& run, const Recipe& recipe) {
  PrecisionPlan precision;
  precision.gradients = recipe.fp32_gradients ? Precision::fp32 : Precision::bf16;
  if (!run.gradients.empty()) precision.gradients = run.gradients == "fp32" ? Precision::fp32 : Precision::bf16;
  if (recipe.bf16_states) precision.master = precision.moments = Precision::bf16;
  if (run.precision == "bf16") return precision;
  precision.linear = Precision::fp8;
  precision.scaling = run.precision == "fp8_block" ? Scaling::blocks
                      : run.precision == "fp8_row" ? Scaling::rows
                                                   : Scaling::per_tensor;
  precision.current_scales = run.precision == "fp8_current";
  if (recipe.megatron && run.parameters != "bf16") precision.parameters = Precision::fp8;
  return precision;
}

void shard(const TrainingRun& run, ParallelPlan& plan) {
  constexpr std::string_view kHybrid = "hsdp:";
  plan.zero_stage = run.sharding == "none" ? 0 : run.sharding == "zero2" ? 2 : run.sharding == "zero3" ? 3 : 1;
  if (!run.sharding.starts_with(kHybrid)) return;
  plan.zero_stage = 3;
  std::from_chars(run.sharding.data() + kHybrid.size(), run.sharding.data() + run.sharding.size(), plan.shard_group);
  if (plan.replicas() % std::max(1, plan.shard_group) != 0) plan.shard_group = 0;
}

ParallelPlan plan_of(const TrainingRun& run, int layers) {
  ParallelPlan plan;
  plan.data = run.data;
  plan.tensor = run.tensor;
  plan.context = run.context;
  plan.pipeline = run.pipeline;
  plan.expert = run.expert;
  plan.expert_tensor = std::max(1, run.expert_tensor);
  plan.chunks = run.chunks;
  plan.stage_layers = stage_layers(run, layers);
  // NeMo turns both overlaps on where there are data-parallel ranks.
  plan.overlap_gradients = plan.overlap_parameters = run.data > 1;
  plan.dispatcher = run.dispatcher == "deep_ep"     ? ExpertDispatcher::deep_ep
                    : run.dispatcher == "hybrid_ep" ? ExpertDispatcher::hybrid_ep
                                                    : ExpertDispatcher::all_to_all;
  shard(run, plan);
  return plan;
}

void set_data_parallel(TrainingRun& run) {
  const int others = run.tensor * run.pipeline * run.context;
  run.data = std::max(1, run.gpus / others);
}

/// "none", "full", "selective" (the attention core, as Megatron had it; by operation, as PyTorch has it), or modules as
/// Megatron-Core names them: "mla_up_proj+mlp". "unknown": see predict() in validate_runs.cc.
RecomputePlan recompute_of(const TrainingRun& run) {
  RecomputePlan plan;
  const auto named = [&](std::string_view module) {
    return ("+" + run.recompute + "+").find("+" + std::string(module) + "+") != std::string::npos;
  };
  plan.full_layer = named("full");
  plan.selective_operations = named("selective") && run.framework == "torchtitan";
  plan.attention_core = (named("selective") && !plan.selective_operations) || named("core_attn");
  plan.attention_up_projections = named("mla_up_proj");
  plan.mlp = named("mlp");
  plan.norms = named("layernorm");
  plan.activation_function = named("moe_act");
  return plan;
}

std::optional<double> capacity_of(const TrainingRun& run) {
  constexpr std::string_view kCapacity = "capacity:";
  if (!run.routing.starts_with(kCapacity)) return std::nullopt;
  double factor = 1;
  std::from_chars(run.routing.data() + kCapacity.size(), run.routing.data() + run.routing.size(), factor);
  return factor;
}

/// What tables of steps and of memory both state.
TrainingRun configuration(const CsvTable& table, std::size_t row) {
  TrainingRun run;
  run.id = table.text(row, "id");
  run.framework = table.text(row, "framework");
  run.model = table.text(row, "model");
  run.precision = table.text(row, "precision");
  run.gpu = table.text(row, "gpu");
  run.gpus = small(table, row, "gpus");
  run.tensor = small(table, row, "tp");
  run.pipeline = small(table, row, "pp");
  run.context = small(table, row, "cp");
  run.sharding = table.text(row, "fsdp");
  run.micro_batch = small(table, row, "mbs");
  run.global_batch = whole(table, row, "gbs", 1);
  run.sequence_length = whole(table, row, "seq", 1);
  run.recompute = table.text(row, "recompute");
  run.software = table.text(row, "software");
  run.gpus_per_node = small(table, row, "gpus_per_node", 8);
  run.source = table.text(row, "source");
  return run;
}

}  // namespace

std::vector<TrainingRun> read_published_runs(const CsvTable& table) {
  std::vector<TrainingRun> runs;
  for (std::size_t row = 0; row < table.size(); ++row) {
    TrainingRun run = configuration(table, row);
    run.version = table.text(row, "version");
    run.layers = small(table, row, "layers_override", 0);
    run.chunks = small(table, row, "vp");
    run.expert = small(table, row, "ep");
    run.expert_tensor = small(table, row, "etp", 0);
    run.left_out = table.text(row, "left_out");
    run.dispatcher = table.text(row, "dispatcher");
    run.schedule = table.text(row, "schedule");
    run.routing = table.text(row, "routing");
    run.open = table.text(row, "open");
    run.dropout = table.text(row, "dropout") == "true";
    run.parameters = table.text(row, "parameters");
    run.gradients = table.text(row, "gradients");
    run.fused_exchange = table.text(row, "tensor_overlap") == "true";
    run.document_length = whole(table, row, "document_length", 0);
    run.rounds = small(table, row, "rounds");
    run.notes = table.text(row, "notes");
    if (!run.left_out.empty()) {
      runs.push_back(std::move(run));
      continue;
    }
    run.step = Seconds(table.number(row, "step_s"));
    set_data_parallel(run);
    runs.push_back(std::move(run));
  }
  return runs;
}

std::vector<PublishedPeak> read_published_peaks(const CsvTable& table) {
  std::vector<PublishedPeak> peaks;
  for (std::size_t row = 0; row < table.size(); ++row) {
    PublishedPeak peak;
    peak.run = configuration(table, row);
    set_data_parallel(peak.run);
    peak.gib = table.number(row, "gib");
    peak.reserved = table.text(row, "counts") == "reserved";
    peak.first_rank = table.text(row, "rank") == "first";
    peaks.push_back(std::move(peak));
  }
  return peaks;
}

std::vector<TrainingRun> read_calibration_runs(const CsvTable& table) {
  const auto library_name = [](const std::string& title) -> std::string {
    if (title.starts_with("Llama3.1-405B")) return "llama-3.1-405b";
    if (title.starts_with("Llama3.1-8B")) return "llama-3.1-8b";
    if (title.starts_with("Nemotron4-15B")) return "nemotron-4-15b";
    return title;
  };
  std::vector<TrainingRun> runs;
  for (std::size_t row = 0; row < table.size(); ++row) {
    TrainingRun run;
    run.framework = "nemo";
    run.version = "25.02";
    run.software = "megatron-core-2025.02";
    run.model = library_name(table.text(row, "model"));
    run.layers = small(table, row, "layers");
    run.precision = table.text(row, "precision") == "FP8" ? "fp8_tensor" : "bf16";
    run.gpu = "H100-SXM5-80GB";
    run.gpus = small(table, row, "gpus");
    run.tensor = small(table, row, "TP");
    run.pipeline = small(table, row, "PP");
    run.chunks = small(table, row, "VP");
    run.context = small(table, row, "CP");
    run.sharding = "zero1";
    run.micro_batch = small(table, row, "MBS");
    run.global_batch = whole(table, row, "GBS", 1);
    run.sequence_length = whole(table, row, "seq", 1);
    run.recompute = "none";
    run.step = Seconds(table.number(row, "step_s"));
    run.source = table.text(row, "source");
    run.id = table.text(row, "model") + " " + table.text(row, "precision") + " " + table.text(row, "gpus");
    set_data_parallel(run);
    runs.push_back(std::move(run));
  }
  return runs;
}

std::string node_of(const TrainingRun& run) {
  if (run.gpu == "H100-SXM5-80GB" || run.gpu == "H100-80GB") return "hgx-h100";
  if (run.gpu == "H200-SXM5-141GB") return "hgx-h200";
  if (run.gpu == "H100-96GB-HBM2e-500W") return "grand-teton-h100";
  if (run.gpu.starts_with("A100-SXM4")) return "hgx-a100";
  return "";
}

Scenario scenario_of(const TrainingRun& run, const Libraries& libraries) {
  Scenario scenario;
  scenario.name = run.id;
  ClusterSpec& cluster = scenario.cluster;
  cluster.node = libraries.node(node_of(run));
  if (run.gpu == "A100-SXM4-40GB") cluster.node.gpu = libraries.gpu("a100-40-sxm");
  cluster.node.gpus = std::min({cluster.node.gpus, run.gpus, run.gpus_per_node});
  // Boards of four (HGX H200 4-GPU) have no switches: six of a GPU's eighteen links go to each other one, so that
  // groups of two have a third of them.
  constexpr int kBoardOfFour = 4;
  if (run.gpus_per_node == kBoardOfFour && run.gpus <= kBoardOfFour && std::max(run.tensor, run.data) == 2)
    cluster.node.nvlink_bandwidth = cluster.node.nvlink_bandwidth / (kBoardOfFour - 1);
  // KempnerForge's trace of 13B on 24 GPUs (benchmarks/profiling/13b_24gpu_profiling.md, 2026-04-07): 205
  // reduce-scatters of 338 MB among six nodes take 2,953 ms, 19.6 GB/s a GPU: ports of 200 Gbit/s for each.
  if (run.gpus_per_node == kBoardOfFour) cluster.node.nic_bandwidth = BytesPerSecond(25e9);
  cluster.nodes = run.gpus / cluster.node.gpus;
  // Two layers of switches with 64 ports take 256 nodes.
  cluster.fabric = libraries.fabric(cluster.nodes <= 256 ? "rail-ft2" : "rail-ft3");

  TrainingConfig config;
  config.model = libraries.model(run.model);
  if (run.layers > 0) config.model.layers = run.layers;
  const Recipe recipe = recipe_of(run);
  config.plan = plan_of(run, config.model.layers);
  config.batch = {run.global_batch, run.sequence_length, run.micro_batch, run.document_length, run.rounds};
  config.precision = precision_of(run, recipe);
  config.recompute = recompute_of(run);
  config.expert_load.capacity_factor = capacity_of(run);
  config.schedule = !run.schedule.empty() ? run.schedule : run.chunks > 1 ? "interleaved_1f1b" : "1f1b";
  config.software = libraries.software(run.software);
  config.attention_kernel = attention_kernel_of(config.software, config.model);
  if (run.expert_tensor == 0) config.plan.expert_tensor = expert_tensor_of(config.software, config.plan, config.model);
  config.plan.layer_split = config.software.splits_layers;
  const bool alone = run.pipeline == 1 && config.model.moe.experts == 0;
  if (run.tensor > 1)
    config.plan.sequence_parallel =
        config.software.splits_sequence == "always" || (config.software.splits_sequence == "dense_alone" && alone);
  config.plan.overlap_gradients &= config.software.overlaps_exchange;
  config.plan.overlap_parameters &= config.software.overlaps_exchange;
  config.plan.tensor_overlap = recipe.megatron || run.fused_exchange;
  config.dropout = run.dropout;
  if (!run.open.empty()) config.open = {run.open};
  config.mechanisms.gpu_speed_spread.reset();  // as calibrated
  scenario.training = std::move(config);
  return scenario;
}

}  // namespace flopcast
