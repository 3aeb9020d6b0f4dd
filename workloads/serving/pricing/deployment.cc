#include "workloads/serving/pricing/deployment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "hwmodels/fabric/fabric_graph.h"
#include "workloads/model/weights.h"
#include "workloads/serving/cache/kv_bytes.h"
#include "workloads/serving/pricing/engine.h"
#include "workloads/serving/pricing/iteration.h"
#include "workloads/serving/pricing/limits.h"

namespace flopcast {
namespace {

/// Of an element that is multiplied in `linear`. FP8 weights carry a scale per 128 x 128 block, FP4 ones one for 16.
double bytes_with_scales(Precision linear) {
  if (linear == Precision::fp4) return bytes_per_weight(WeightFormat::nvfp4);
  return bytes_per_element(linear) + (linear == Precision::fp8 ? 4.0 / (128 * 128) : 0);
}

/// As a GPU of the engine keeps them. Of a model with experts, MXFP4 is theirs alone.
WeightFormats stored_formats(const EngineConfig& engine) {
  const ServingPrecision& p = engine.precision;
  WeightFormats formats = formats_of(Precision::bf16);
  formats.experts = formats.linear = bytes_with_scales(p.linear);
  if (p.stored != WeightFormat::as_multiplied) {
    formats.experts = bytes_per_weight(p.stored);
    if (p.stored != WeightFormat::mxfp4 || engine.model.moe.experts == 0) formats.linear = formats.experts;
  }
  if (p.experts != WeightFormat::as_multiplied) formats.experts = bytes_per_weight(p.experts);
  return formats;
}

/// On the NIC of each GPU. Of prompts every token goes once to each node (normal kernels).
NicLoad nic_load(const EngineConfig& engine, const ClusterSpec& cluster) {
  NicLoad load;
  const auto ticks = [&](Seconds time) { return static_cast<double>(to_ticks(time / cluster.node.nic_efficiency)); };
  EngineConfig prompts = engine;
  prompts.decode_exchange = ExpertExchange::high_throughput;
  prompts.speculation.depth = 0;
  load.prompt_token = ticks(nic_bound(prompts, cluster, 1));
  load.request = ticks(nic_bound(engine, cluster, 1) * engine.speculation.tokens_per_iteration());
  if (load.request > 0)
    load.cached_token =
        ticks(kv_bytes_per_token(engine.model, engine.precision.kv) / engine.plan.tensor / endpoint_bandwidth(cluster));
  load.overlapped = engine.two_micro_batches;
  return load;
}

/// Loads are rounded up to a 32nd, which bounds the number of tables of prices.
double level_of(double load) { return std::ceil(load * 32 - 1e-9) / 32; }

/// Layers that drafts add to a GPU's weights.
double draft_modules(const EngineConfig& engine) {
  const SpeculationConfig& speculation = engine.speculation;
  if (speculation.depth == 0 || speculation.kind == DraftKind::lookup || speculation.kind == DraftKind::model) return 0;
  return speculation.kind == DraftKind::eagle ? 1 : std::min(speculation.depth, engine.model.mtp_depth);
}

/// Of a GPU, in BF16: vLLM keeps room for so many adapters of the largest rank beside every matrix of attention and
/// dense FFNs. Of a matrix that is cut by columns every GPU holds the whole A and its part of B, of one cut by rows the
/// reverse (vllm/lora/layers, column_parallel_linear.py and row_parallel_linear.py, as of v0.11).
double adapter_bytes(const EngineConfig& engine, double layers, double dense) {
  const ModelConfig& model = engine.model;
  const AttentionConfig& a = model.attention;
  const double h = model.hidden, tp = engine.plan.tensor, gates = model.gated_ffn ? 2 : 1;
  const double query = static_cast<double>(a.heads) * a.qk_dim(), out = static_cast<double>(a.heads) * a.value_dim();
  const double keys = static_cast<double>(a.kv_heads) * (a.qk_dim() + a.value_dim());
  const double attention = 3 * h + (query + keys) / tp + out / tp + h;
  const double width = model.mean_ffn_width(), ffn = gates * (h + width / tp) + width / tp + h;
  return 2.0 * engine.adapters * engine.adapter_rank * (layers * attention + dense * ffn);
}

}  // namespace

PoolPricers BuiltPool::prices() const {
  std::vector<IterationPricer*> all;
  for (const auto& pricer : pricers) all.push_back(pricer.get());
  PoolPricers prices(std::move(all));
  for (const auto& kind : slow) {
    prices.slow.emplace_back();
    for (const auto& pricer : kind) prices.slow.back().push_back(pricer.get());
  }
  return prices;
}

ReplicaMemory replica_memory(const EngineConfig& engine, const GpuSpec& gpu) {
  const ModelConfig& model = engine.model;
  const ServingPlan& plan = engine.plan;
  const ParameterCount count = count_parameters(model);
  const WeightFormats formats = stored_formats(engine);
  const double tp = plan.tensor, bf16 = formats.edges;
  const bool sent = sends_to_experts(engine);
  const int with_experts = model.moe_layers();
  // The fullest stage holds the most layers; MTP modules count as one more.
  const double modules = draft_modules(engine);
  const double share = ceil_div(model.layers, plan.pipeline) / model.layers;
  const double moe = (with_experts + modules * (with_experts > 0)) * share, dense = model.dense_layers() * share;

  ReplicaMemory out;
  const auto row = [&](std::string item, double bytes, std::string detail) {
    out.table.rows.push_back({std::move(item), Bytes(bytes), std::move(detail)});
  };
  const bool whole = attends_in_bf16(engine);
  row("attention", (moe + dense) * count.attention_per_layer / tp * (whole ? bf16 : formats.linear),
      whole ? "projections of all layers, which the checkpoint has in BF16" : "projections of all layers");
  const double ends = ends_in_bf16(engine) * share;
  if (dense > 0)
    row("dense FFN", count.dense_ffn / tp * ((dense - ends) * formats.linear + ends * bf16),
        ends > 0 ? "of the first and the last layer in BF16" : "");
  if (moe > 0) {
    const double experts = ceil_div(model.moe.experts + (plan.expert > 1 ? engine.redundant_experts : 0), plan.expert) /
                           plan.expert_slices();
    row("routed experts", moe * experts * count.expert * formats.experts,
        plan.expert > 1 ? "own share, copies included" : "a slice of each");
    row("shared experts, gate", moe * (count.shared_expert / (sent ? 1 : tp) * formats.linear + count.router * bf16),
        "");
  }
  row("embedding, head, norms", ((count.embedding + count.head) / tp + model.layers * count.norms_per_layer) * bf16,
      "BF16");
  if (model.encoder_parameters > 0)
    row("encoders", static_cast<double>(model.encoder_parameters) * bf16 / tp, "of images and sounds, BF16");
  if (engine.has_drafter())
    row("draft model", count_parameters(engine.drafter).total * bf16 / tp, engine.drafter.title + ", BF16");
  // Activations of an iteration: residual stream, attention's and the FFN's widest tensors, in and out;
  // logits in FP32.
  const double widest = std::max({2.0 * model.ffn_width / tp,
                                  2.0 * model.moe.experts_per_token * model.moe.expert_width / plan.expert_slices(),
                                  double(model.attention.heads) * model.attention.qk_dim() / tp * 3});
  const double tokens = std::max<double>(engine.scheduler.token_budget, engine.scheduler.max_batch);
  const Bytes before_workspace = out.table.total();
  row("workspace",
      tokens * (4.0 * model.hidden + 2 * widest) * bf16 + engine.scheduler.max_batch * model.vocabulary / tp * 4,
      "activations of an iteration, logits");
  out.workspace = out.table.total() - before_workspace;

  if (engine.adapters > 0)
    row("adapters", adapter_bytes(engine, share * model.layers, dense),
        fmt::format("{} of rank {}", engine.adapters, engine.adapter_rank));

  const Bytes hbm = gpu.hbm_usable(), fixed = out.table.total();
  const double given = memory_share(engine, gpu);
  switch (engine.memory_share_of) {
    case MemoryShareOf::all:
      out.usable = hbm * given;
      break;
    case MemoryShareOf::free:
      out.usable = fixed < hbm ? fixed + (hbm - fixed) * given : hbm;
      break;
    case MemoryShareOf::fixed:
      out.usable = std::min(hbm, hbm * given + out.workspace);
      break;
  }
  out.kv_per_token = kv_bytes_per_token_and_gpu(model, engine.precision.kv, plan.tensor) / plan.pipeline;
  if (engine.has_drafter())
    out.kv_per_token += kv_bytes_per_token_and_gpu(engine.drafter, engine.precision.kv, plan.tensor);
  out.kv_per_window = kv_bytes_per_window_and_gpu(model, engine.precision.kv, plan.tensor) / plan.pipeline;
  if (!engine.window_caches && out.kv_per_window > Bytes(0)) {
    out.kv_per_token += out.kv_per_window / model.attention.window.tokens;
    out.kv_per_window = Bytes(0);
  }
  // A size of its own holds whatever the share says.
  if (engine.cache_tokens > 0)
    out.usable = out.table.total() + static_cast<double>(engine.cache_tokens) * out.kv_per_token;
  else if (engine.cache_memory > Bytes(0))
    out.usable = out.table.total() + engine.cache_memory;
  out.kv_per_state = kv_bytes_per_state_and_gpu(model, plan.tensor) / plan.pipeline;
  const Bytes left = out.usable - out.table.total();
  if (engine.state_share > 0 && out.kv_per_state > Bytes(0) && left > Bytes(0)) {
    out.state_pool = left * engine.state_share;
    const int verified = engine.speculation.depth > 0 ? engine.speculation.depth + 1 : 0;
    const double places = out.state_pool / out.kv_per_state / (engine.state_places + verified);
    out.state_requests = std::max(1, static_cast<int>(std::min<double>(places, std::numeric_limits<int>::max())));
  }
  out.kv_tokens = engine.cache_tokens > 0
                      ? engine.cache_tokens
                      : static_cast<std::int64_t>(std::floor((left - out.state_pool) / out.kv_per_token));
  out.window = out.kv_per_window > Bytes(0) ? model.attention.window.tokens : 0;
  return out;
}

/// Whose kernels an engine runs, where they were measured apart.
MeasuredLibraries libraries_of(const EngineConfig& engine) {
  switch (engine.kernels) {
    case KernelLibrary::torch_compile:
      return {"cudnn"};
    case KernelLibrary::vllm:
      return {"row_scales", "vllm"};
    case KernelLibrary::tensorrt_llm:
      return {"tensorrt_llm"};
    case KernelLibrary::open_source:
      break;
  }
  if (generated_experts(engine)) return {"row_scales", "trtllm_gen"};
  return {"row_scales"};
}

std::shared_ptr<const KernelModel> engine_kernels(const EngineConfig& engine, const GpuSpec& gpu,
                                                  std::shared_ptr<const KernelCalibration> calibration) {
  return std::make_shared<const KernelModel>(gpu, std::move(calibration), ClockState::benchmark, libraries_of(engine));
}

BuiltPool build_pool(const PoolSpec& spec, const PriceSources& sources, int first_gpu, std::span<const double> busiest,
                     Seconds period) {
  const EngineConfig& engine = spec.engine;
  BuiltPool out;
  out.memory = replica_memory(engine, sources.cluster.node.gpu);
  for (const double load : busiest) out.levels.push_back(level_of(load));
  if (out.levels.empty()) out.levels.push_back(1.0);
  std::sort(out.levels.begin(), out.levels.end());
  out.levels.erase(std::unique(out.levels.begin(), out.levels.end()), out.levels.end());
  const auto constants = std::make_shared<const EngineConstants>(with_host(*sources.constants, engine.host));
  const auto pricers = [&](const ReplicaSpeed& speed) {
    ClusterSpec cluster = sources.cluster;
    cluster.node.nic_bandwidth *= speed.nic;
    cluster.node.nvlink_bandwidth *= speed.nvlink;
    std::vector<std::shared_ptr<IterationPricer>> all;
    for (const double level : out.levels)
      all.push_back(std::make_shared<IterationPricer>(ForwardSetting{
          engine, cluster, sources.kernels, sources.links, constants, level, spec.expert_variation, speed.gpu}));
    return all;
  };
  out.pricers = pricers({});
  for (const ReplicaSpeed& speed : spec.slow) {
    const auto known = std::find(out.speeds.begin(), out.speeds.end(), speed);
    const bool slow = !(speed == ReplicaSpeed{});
    out.config.slow.push_back(slow ? static_cast<int>(known - out.speeds.begin()) : -1);
    if (!slow || known != out.speeds.end()) continue;
    out.speeds.push_back(speed);
    out.slow.push_back(pricers(speed));
  }
  for (const ReplicaSpeed& speed : spec.slow_later) {
    if (std::find(out.speeds.begin(), out.speeds.end(), speed) != out.speeds.end()) continue;
    out.speeds.push_back(speed);
    out.slow.push_back(pricers(speed));
  }

  PoolConfig& pool = out.config;
  pool.name = spec.name;
  pool.next = spec.next;
  pool.plan = engine.plan;
  pool.replicas = spec.replicas;
  pool.router = spec.router;
  pool.own_router = spec.own_router;
  pool.first_gpu = first_gpu;
  for (const double load : busiest)
    pool.pace.push_back(static_cast<std::size_t>(
        std::lower_bound(out.levels.begin(), out.levels.end(), level_of(load)) - out.levels.begin()));
  pool.pace_period = period;
  pool.tokenise = engine.host.tokenise.value_or(Seconds(0));
  pool.kv_bytes_per_token = kv_bytes_per_token(engine.model, engine.precision.kv);
  if (engine.has_drafter()) pool.kv_bytes_per_token += kv_bytes_per_token(engine.drafter, engine.precision.kv);
  ReplicaConfig& replica = pool.replica;
  replica.role = spec.role;
  replica.scheduler = engine.scheduler;
  if (out.memory.state_requests > 0)
    replica.scheduler.max_batch = std::min(replica.scheduler.max_batch, out.memory.state_requests);
  replica.speculation = engine.speculation;
  replica.groups = engine.plan.attention_data;
  replica.stages = engine.plan.pipeline;
  replica.reserved_tokens = spec.reserved_tokens;
  replica.first_step_token = spec.first_step_token;
  const bool overlaps = engine.overlap_scheduling && spec.role == ReplicaRole::unified;
  replica.scheduled_ahead = overlaps && engine.scheduled_ahead;
  replica.results_behind_launch = overlaps && engine.results_behind_launch;
  if (computes_prompts(spec.role)) replica.cold_prompts = to_ticks(cold_prompts(engine));
  replica.nic = nic_load(engine, sources.cluster);
  pool.autoscale = spec.autoscale;
  replica.experts_shared = engine.plan.attention_data > 1 && engine.model.moe.experts > 0;
  KvCacheConfig& cache = replica.cache;
  cache.page_tokens = spec.page_tokens;
  const auto as_tokens = [&](Bytes bytes) {
    return static_cast<std::int64_t>(std::ceil(bytes / out.memory.kv_per_token));
  };
  cache.sequence_tokens = as_tokens(out.memory.state_in_cache());
  cache.window = out.memory.window;
  cache.window_tokens = as_tokens(out.memory.kv_per_window);
  cache.capacity_tokens[KvTier::hbm] = std::max<std::int64_t>(0, out.memory.kv_tokens);
  // A group's GPUs bring their parts in at the same time.
  const double group_gpus = engine.plan.tensor * engine.plan.pipeline;
  const auto tokens_in = [&](Bytes memory) {
    return static_cast<std::int64_t>(memory * group_gpus / pool.kv_bytes_per_token);
  };
  if (spec.prefix.on && computes_prompts(spec.role)) cache.prefix_block_tokens = spec.prefix.block_tokens;
  cache.capacity_tokens[KvTier::host] = tokens_in(spec.prefix.host_memory);
  cache.capacity_tokens[KvTier::storage] = tokens_in(spec.prefix.storage);
  const auto ticks_per_token = [&](BytesPerSecond rate) {
    return rate > BytesPerSecond(0) ? to_ticks(pool.kv_bytes_per_token / group_gpus / rate) : Ticks{0};
  };
  replica.restore_ticks_per_token[KvTier::host] = ticks_per_token(sources.cluster.node.gpu.pcie_bandwidth);
  replica.restore_ticks_per_token[KvTier::storage] = ticks_per_token(spec.prefix.storage_bandwidth);
  // What is said to be cached lies in the lowest tier that the deployment has, where by far the most fits.
  if (spec.prefix.storage > Bytes(0))
    replica.restore_ticks_per_stated_token = replica.restore_ticks_per_token[KvTier::storage];
  else if (spec.prefix.host_memory > Bytes(0))
    replica.restore_ticks_per_stated_token = replica.restore_ticks_per_token[KvTier::host];
  return out;
}

}  // namespace flopcast
