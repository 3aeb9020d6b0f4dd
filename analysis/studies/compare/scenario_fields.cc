#include "analysis/studies/compare/scenario_fields.h"

#include <algorithm>

#include <fmt/format.h>

#include "analysis/render/format.h"
#include "scenarios/resolve/serving_scenario.h"

namespace flopcast {
namespace {

std::string text_of(BytesPerSecond rate) { return format_rate(rate); }
std::string text_of(FlopPerSecond rate) { return fmt::format("{:.4g} TFLOPS", rate.value() / 1e12); }
std::string text_of(Hertz clock) { return fmt::format("{:.4g} MHz", clock.value() / 1e6); }
std::string text_of(Bytes bytes) { return format_bytes(bytes); }
std::string text_of(Seconds time) { return format_time(time); }
std::string text_of(int value) { return fmt::format("{}", value); }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
std::string text_of(std::uint64_t value) { return fmt::format("{}", value); }
std::string text_of(double value) { return fmt::format("{:.4g}", value); }
std::string text_of(bool value) { return value ? "yes" : "no"; }
std::string text_of(const std::string& value) { return value.size() > 40 ? "" : value; }
std::string text_of(Precision p) { return std::string(name(p)); }
std::string text_of(Scaling s) {
  return s == Scaling::none ? "none" : s == Scaling::per_tensor ? "per tensor" : "blocks";
}
std::string text_of(AttentionType t) {
  return t == AttentionType::latent ? "latent" : t == AttentionType::grouped_query ? "grouped-query" : "multi-head";
}
std::string text_of(const BatchingRow* row) { return std::string(row->name); }
std::string text_of(const PreemptionRow* row) { return std::string(row->name); }
std::string text_of(KernelLibrary kernels) {
  return kernels == KernelLibrary::tensorrt_llm ? "tensorrt_llm" : "open_source";
}
std::string text_of(const AdmissionRow* row) { return std::string(row->name); }
std::string text_of(ExpertExchange e) { return e == ExpertExchange::low_latency ? "low latency" : "high throughput"; }
std::string text_of(FabricKind kind) { return fmt::format("kind {}", static_cast<int>(kind)); }
std::string text_of(ExpertLoad::Kind kind) {
  return kind == ExpertLoad::Kind::balanced ? "balanced" : kind == ExpertLoad::Kind::skewed ? "skewed" : "given";
}
std::string text_of(const std::vector<int>& values) { return fmt::format("{}", fmt::join(values, " ")); }
std::string text_of(const std::vector<double>&) { return ""; }
std::string text_of(const std::vector<SlowPart>& parts) { return fmt::format("{} slow", parts.size()); }

template <class T>
bool same_value(const T& a, const T& b) {
  return a == b;
}
bool same_value(const std::vector<SlowPart>& a, const std::vector<SlowPart>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const SlowPart& x, const SlowPart& y) {
    return x.kind == y.kind && x.rank == y.rank && x.speed == y.speed;
  });
}

/// A field of a part of the scenario.
template <class Part>
struct PartField {
  const char* group;
  const char* name;
  bool (*same)(const Part&, const Part&);
  void (*copy)(const Part& from, Part& to);
  std::string (*text)(const Part&);
};

/// From an accessor: a lambda without captures that takes the part, const or not, and returns the field.
template <class Part, auto Get>
constexpr PartField<Part> part_field(const char* group, const char* name) {
  return {group, name, [](const Part& a, const Part& b) { return same_value(Get(a), Get(b)); },
          [](const Part& from, Part& to) { Get(to) = Get(from); }, [](const Part& part) { return text_of(Get(part)); }};
}

#define FLOPCAST_FIELD(Part, group, name, path)                    \
  part_field < Part, [](auto& part) -> auto& { return part.path; } \
  > (group, name)

constexpr PartField<ClusterSpec> kClusterFields[] = {
    FLOPCAST_FIELD(ClusterSpec, "compute", "gpu", node.gpu.name),
    FLOPCAST_FIELD(ClusterSpec, "compute", "base", node.gpu.base),
    FLOPCAST_FIELD(ClusterSpec, "compute", "architecture", node.gpu.architecture),
    FLOPCAST_FIELD(ClusterSpec, "compute", "bf16_peak", node.gpu.bf16_peak),
    FLOPCAST_FIELD(ClusterSpec, "compute", "fp8_peak", node.gpu.fp8_peak),
    FLOPCAST_FIELD(ClusterSpec, "compute", "fp32_peak", node.gpu.fp32_peak),
    FLOPCAST_FIELD(ClusterSpec, "compute", "sms", node.gpu.sms),
    FLOPCAST_FIELD(ClusterSpec, "compute", "boost_clock", node.gpu.boost_clock),
    FLOPCAST_FIELD(ClusterSpec, "compute", "l2_capacity", node.gpu.l2_capacity),
    FLOPCAST_FIELD(ClusterSpec, "memory-bandwidth", "hbm_bandwidth", node.gpu.hbm_bandwidth),
    FLOPCAST_FIELD(ClusterSpec, "memory-capacity", "hbm_capacity", node.gpu.hbm_capacity),
    FLOPCAST_FIELD(ClusterSpec, "nvlink", "nvlink_bandwidth", node.nvlink_bandwidth),
    FLOPCAST_FIELD(ClusterSpec, "nvlink", "nvlink_efficiency", node.nvlink_efficiency),
    FLOPCAST_FIELD(ClusterSpec, "nvlink", "nvlink_latency", node.nvlink_latency),
    FLOPCAST_FIELD(ClusterSpec, "nvlink", "gpu's nvlink_bandwidth", node.gpu.nvlink_bandwidth),
    FLOPCAST_FIELD(ClusterSpec, "nic", "nic_bandwidth", node.nic_bandwidth),
    FLOPCAST_FIELD(ClusterSpec, "nic", "nics_per_gpu", node.nics_per_gpu),
    FLOPCAST_FIELD(ClusterSpec, "nic", "nic_efficiency", node.nic_efficiency),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "fabric", fabric.name),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "kind", fabric.kind),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "port_bandwidth", fabric.port_bandwidth),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "switch_ports", fabric.switch_ports),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "oversubscription", fabric.oversubscription),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "same_leaf_latency", fabric.same_leaf_latency),
    FLOPCAST_FIELD(ClusterSpec, "fabric", "cross_leaf_latency", fabric.cross_leaf_latency),
    FLOPCAST_FIELD(ClusterSpec, "slow", "slow", slow_parts),
    FLOPCAST_FIELD(ClusterSpec, "plan", "nodes", nodes),
    FLOPCAST_FIELD(ClusterSpec, "plan", "gpus per node", node.gpus),
};

constexpr PartField<ModelConfig> kModelFields[] = {
    FLOPCAST_FIELD(ModelConfig, "attention", "type", attention.type),
    FLOPCAST_FIELD(ModelConfig, "attention", "heads", attention.heads),
    FLOPCAST_FIELD(ModelConfig, "attention", "kv_heads", attention.kv_heads),
    FLOPCAST_FIELD(ModelConfig, "attention", "head_dim", attention.head_dim),
    FLOPCAST_FIELD(ModelConfig, "attention", "qkv_bias", attention.qkv_bias),
    FLOPCAST_FIELD(ModelConfig, "attention", "q_lora_rank", attention.q_lora_rank),
    FLOPCAST_FIELD(ModelConfig, "attention", "kv_lora_rank", attention.kv_lora_rank),
    FLOPCAST_FIELD(ModelConfig, "attention", "qk_nope_dim", attention.qk_nope_dim),
    FLOPCAST_FIELD(ModelConfig, "attention", "qk_rope_dim", attention.qk_rope_dim),
    FLOPCAST_FIELD(ModelConfig, "attention", "v_dim", attention.v_dim),
    FLOPCAST_FIELD(ModelConfig, "experts", "experts", moe.experts),
    FLOPCAST_FIELD(ModelConfig, "experts", "experts_per_token", moe.experts_per_token),
    FLOPCAST_FIELD(ModelConfig, "experts", "shared_experts", moe.shared_experts),
    FLOPCAST_FIELD(ModelConfig, "experts", "expert_width", moe.expert_width),
    FLOPCAST_FIELD(ModelConfig, "experts", "first_dense_layers", moe.first_dense_layers),
    FLOPCAST_FIELD(ModelConfig, "experts", "every", moe.every),
    FLOPCAST_FIELD(ModelConfig, "experts", "ffn_width", ffn_width),
    FLOPCAST_FIELD(ModelConfig, "routing", "groups", moe.groups),
    FLOPCAST_FIELD(ModelConfig, "routing", "groups_per_token", moe.groups_per_token),
    FLOPCAST_FIELD(ModelConfig, "model", "model", name),
    FLOPCAST_FIELD(ModelConfig, "model", "layers", layers),
    FLOPCAST_FIELD(ModelConfig, "model", "hidden", hidden),
    FLOPCAST_FIELD(ModelConfig, "model", "vocabulary", vocabulary),
    FLOPCAST_FIELD(ModelConfig, "model", "gated_ffn", gated_ffn),
    FLOPCAST_FIELD(ModelConfig, "model", "tied_embeddings", tied_embeddings),
    FLOPCAST_FIELD(ModelConfig, "model", "mtp_depth", mtp_depth),
};

constexpr PartField<TrainingConfig> kTrainingFields[] = {
    FLOPCAST_FIELD(TrainingConfig, "precision", "linear", precision.linear),
    FLOPCAST_FIELD(TrainingConfig, "precision", "scaling", precision.scaling),
    FLOPCAST_FIELD(TrainingConfig, "precision", "attention", precision.attention),
    FLOPCAST_FIELD(TrainingConfig, "precision", "head", precision.head),
    FLOPCAST_FIELD(TrainingConfig, "precision", "dispatch", precision.dispatch),
    FLOPCAST_FIELD(TrainingConfig, "precision", "combine", precision.combine),
    FLOPCAST_FIELD(TrainingConfig, "precision", "gradients", precision.gradients),
    FLOPCAST_FIELD(TrainingConfig, "precision", "parameters", precision.parameters),
    FLOPCAST_FIELD(TrainingConfig, "precision", "master", precision.master),
    FLOPCAST_FIELD(TrainingConfig, "precision", "moments", precision.moments),
    FLOPCAST_FIELD(TrainingConfig, "precision", "activations", precision.activations),
    FLOPCAST_FIELD(TrainingConfig, "experts", "expert parallel", plan.expert),
    FLOPCAST_FIELD(TrainingConfig, "model", "with_mtp", with_mtp),
    FLOPCAST_FIELD(TrainingConfig, "schedule", "schedule", schedule),
    FLOPCAST_FIELD(TrainingConfig, "schedule", "schedule_file", schedule_file),
    FLOPCAST_FIELD(TrainingConfig, "schedule", "order", schedule_text),
    FLOPCAST_FIELD(TrainingConfig, "schedule", "chunks", plan.chunks),
    FLOPCAST_FIELD(TrainingConfig, "plan", "pipeline", plan.pipeline),
    FLOPCAST_FIELD(TrainingConfig, "plan", "data", plan.data),
    FLOPCAST_FIELD(TrainingConfig, "plan", "tensor", plan.tensor),
    FLOPCAST_FIELD(TrainingConfig, "plan", "context", plan.context),
    FLOPCAST_FIELD(TrainingConfig, "plan", "zero_stage", plan.zero_stage),
    FLOPCAST_FIELD(TrainingConfig, "plan", "stage_layers", plan.stage_layers),
    FLOPCAST_FIELD(TrainingConfig, "plan", "layer_split", plan.layer_split),
    FLOPCAST_FIELD(TrainingConfig, "batch", "sequences", batch.sequences),
    FLOPCAST_FIELD(TrainingConfig, "batch", "sequence_length", batch.sequence_length),
    FLOPCAST_FIELD(TrainingConfig, "batch", "micro_batch_sequences", batch.micro_batch_sequences),
    FLOPCAST_FIELD(TrainingConfig, "recompute", "norms", recompute.norms),
    FLOPCAST_FIELD(TrainingConfig, "recompute", "attention_up_projections", recompute.attention_up_projections),
    FLOPCAST_FIELD(TrainingConfig, "recompute", "activation_function", recompute.activation_function),
    FLOPCAST_FIELD(TrainingConfig, "recompute", "full_layer", recompute.full_layer),
    FLOPCAST_FIELD(TrainingConfig, "expert-load", "kind", expert_load.kind),
    FLOPCAST_FIELD(TrainingConfig, "expert-load", "coefficient_of_variation", expert_load.coefficient_of_variation),
    FLOPCAST_FIELD(TrainingConfig, "expert-load", "shares", expert_load.shares),
    FLOPCAST_FIELD(TrainingConfig, "expert-load", "placement", expert_load.placement),
    FLOPCAST_FIELD(TrainingConfig, "expert-load", "redundant_experts", expert_load.redundant_experts),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "embedding_head_mtp", mechanisms.embedding_head_mtp),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "pipeline_transfers", mechanisms.pipeline_transfers),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "gradient_collectives", mechanisms.gradient_collectives),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "expert_communication", mechanisms.expert_communication),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "communication_sms on", mechanisms.communication_sms),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "gpu_speed_spread", mechanisms.gpu_speed_spread),
    FLOPCAST_FIELD(TrainingConfig, "mechanisms", "communication_sms", communication_sms),
};

constexpr PartField<PoolSpec> kPoolFields[] = {
    FLOPCAST_FIELD(PoolSpec, "precision", "weights", engine.precision.linear),
    FLOPCAST_FIELD(PoolSpec, "precision", "scaling", engine.precision.scaling),
    FLOPCAST_FIELD(PoolSpec, "precision", "dispatch", engine.precision.dispatch),
    FLOPCAST_FIELD(PoolSpec, "precision", "combine", engine.precision.combine),
    FLOPCAST_FIELD(PoolSpec, "kv-cache", "kv_cache", engine.precision.kv),
    FLOPCAST_FIELD(PoolSpec, "speculation", "depth", engine.speculation.depth),
    FLOPCAST_FIELD(PoolSpec, "speculation", "acceptance", engine.speculation.acceptance),
    FLOPCAST_FIELD(PoolSpec, "micro-batches", "two_micro_batches", engine.two_micro_batches),
    FLOPCAST_FIELD(PoolSpec, "plan", "count", replicas),
    FLOPCAST_FIELD(PoolSpec, "plan", "tensor", engine.plan.tensor),
    FLOPCAST_FIELD(PoolSpec, "plan", "attention_data", engine.plan.attention_data),
    FLOPCAST_FIELD(PoolSpec, "plan", "pipeline", engine.plan.pipeline),
    FLOPCAST_FIELD(PoolSpec, "plan", "expert", engine.plan.expert),
    FLOPCAST_FIELD(PoolSpec, "plan", "redundant_experts", engine.redundant_experts),
    FLOPCAST_FIELD(PoolSpec, "engine", "max_batch", engine.scheduler.max_batch),
    FLOPCAST_FIELD(PoolSpec, "engine", "token_budget", engine.scheduler.token_budget),
    FLOPCAST_FIELD(PoolSpec, "engine", "batching", engine.scheduler.batching),
    FLOPCAST_FIELD(PoolSpec, "engine", "admission", engine.scheduler.admission),
    FLOPCAST_FIELD(PoolSpec, "engine", "preemption", engine.scheduler.preemption),
    FLOPCAST_FIELD(PoolSpec, "engine", "balance_attention", engine.scheduler.balance_attention),
    FLOPCAST_FIELD(PoolSpec, "engine", "overlap_scheduling", engine.overlap_scheduling),
    FLOPCAST_FIELD(PoolSpec, "engine", "kernels", engine.kernels),
    FLOPCAST_FIELD(PoolSpec, "engine", "chunked_prefill", engine.scheduler.chunked_prefill),
    FLOPCAST_FIELD(PoolSpec, "engine", "max_waiting", engine.scheduler.max_waiting),
    FLOPCAST_FIELD(PoolSpec, "engine", "cuda_graphs", engine.cuda_graphs),
    FLOPCAST_FIELD(PoolSpec, "engine", "decode_exchange", engine.decode_exchange),
    FLOPCAST_FIELD(PoolSpec, "engine", "communication_sms", engine.communication_sms),
    FLOPCAST_FIELD(PoolSpec, "engine", "memory_share", engine.memory_share),
    FLOPCAST_FIELD(PoolSpec, "engine", "page_tokens", page_tokens),
    FLOPCAST_FIELD(PoolSpec, "engine", "router", router),
    FLOPCAST_FIELD(PoolSpec, "engine", "reserved_tokens", reserved_tokens),
    FLOPCAST_FIELD(PoolSpec, "upkeep", "autoscale", autoscale.on),
    FLOPCAST_FIELD(PoolSpec, "upkeep", "minimum", autoscale.minimum),
    FLOPCAST_FIELD(PoolSpec, "upkeep", "interval", autoscale.interval),
    FLOPCAST_FIELD(PoolSpec, "upkeep", "startup", autoscale.startup),
    FLOPCAST_FIELD(PoolSpec, "upkeep", "target", autoscale.target),
    FLOPCAST_FIELD(PoolSpec, "prefix-cache", "on", prefix.on),
    FLOPCAST_FIELD(PoolSpec, "prefix-cache", "block_tokens", prefix.block_tokens),
    FLOPCAST_FIELD(PoolSpec, "prefix-cache", "host_memory", prefix.host_memory),
    FLOPCAST_FIELD(PoolSpec, "prefix-cache", "storage", prefix.storage),
    FLOPCAST_FIELD(PoolSpec, "prefix-cache", "storage_bandwidth", prefix.storage_bandwidth),
};

constexpr PartField<ServingScenario> kServiceFields[] = {
    FLOPCAST_FIELD(ServingScenario, "expert-load", "variation", expert_pace.variation),
    FLOPCAST_FIELD(ServingScenario, "expert-load", "drift_period", expert_pace.drift_period),
    FLOPCAST_FIELD(ServingScenario, "expert-load", "memory", expert_pace.memory),
    FLOPCAST_FIELD(ServingScenario, "expert-load", "rebalance_period", expert_pace.rebalance_period),
    FLOPCAST_FIELD(ServingScenario, "expert-load", "eplb", expert_pace.eplb),
    FLOPCAST_FIELD(ServingScenario, "upkeep", "failure_rate", failures.failures_per_gpu_hour),
    FLOPCAST_FIELD(ServingScenario, "upkeep", "repair", failures.repair),
    FLOPCAST_FIELD(ServingScenario, "upkeep", "retries", failures.retries),
    FLOPCAST_FIELD(ServingScenario, "traffic", "sample", sample),
    FLOPCAST_FIELD(ServingScenario, "traffic", "sample_time", sample_time),
    FLOPCAST_FIELD(ServingScenario, "transfers", "layer_wise", layer_wise_transfer),
    FLOPCAST_FIELD(ServingScenario, "traffic", "seed", seed),
    FLOPCAST_FIELD(ServingScenario, "traffic", "warm_up", warm_up),
};

#undef FLOPCAST_FIELD

using Fields = std::vector<ScenarioField>;

/// Rows of a part that every scenario of the kind has once.
template <class Part, class Find>
void add(std::span<const PartField<Part>> rows, Find find, Fields& out) {
  for (const PartField<Part>& row : rows) {
    out.push_back({row.group, row.name,
                   [row, find](const Scenario& a, const Scenario& b) { return row.same(find(a), find(b)); },
                   [row, find](const Scenario& from, Scenario& to) { row.copy(find(from), find(to)); },
                   [row, find](const Scenario& s) { return row.text(find(s)); }});
  }
}

/// Rows of a part of each pool. Scenarios with different numbers of pools differ in `pools`, which copies
/// all.
template <class Part, class Find>
void add_per_pool(std::span<const PartField<Part>> rows, Find find, Fields& out) {
  for (const PartField<Part>& row : rows) {
    const auto same = [row, find](const Scenario& a, const Scenario& b) {
      const auto &x = a.serving->pools, &y = b.serving->pools;
      for (std::size_t i = 0; x.size() == y.size() && i < x.size(); ++i) {
        if (!row.same(find(x[i]), find(y[i]))) return false;
      }
      return true;
    };
    const auto copy = [row, find](const Scenario& from, Scenario& to) {
      change_serving(to, [&](ServingScenario& serving) {
        const auto& pools = from.serving->pools;
        for (std::size_t i = 0; pools.size() == serving.pools.size() && i < pools.size(); ++i)
          row.copy(find(pools[i]), find(serving.pools[i]));
      });
    };
    const auto text = [row, find](const Scenario& s) {
      std::vector<std::string> values;
      for (const PoolSpec& pool : s.serving->pools) values.push_back(row.text(find(pool)));
      values.erase(std::unique(values.begin(), values.end()), values.end());
      return fmt::format("{}", fmt::join(values, ", "));
    };
    out.push_back({row.group, row.name, same, copy, text});
  }
}

void add_service(Fields& out) {
  for (const PartField<ServingScenario>& row : kServiceFields) {
    out.push_back({row.group, row.name,
                   [row](const Scenario& a, const Scenario& b) { return row.same(*a.serving, *b.serving); },
                   [row](const Scenario& from, Scenario& to) {
                     change_serving(to, [&](ServingScenario& serving) { row.copy(*from.serving, serving); });
                   },
                   [row](const Scenario& s) { return row.text(*s.serving); }});
  }
}

std::string pools_text(const Scenario& s) {
  std::vector<std::string> names;
  for (const PoolSpec& pool : s.serving->pools) names.push_back(pool.name);
  return fmt::format("{}", fmt::join(names, " and "));
}

ScenarioField pools_field() {
  return {"plan", "pools",
          [](const Scenario& a, const Scenario& b) { return a.serving->pools.size() == b.serving->pools.size(); },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) { serving.pools = from.serving->pools; });
          },
          pools_text};
}

std::string load_text(const TrafficClass& c) {
  if (const auto* open = std::get_if<OpenLoop>(&c.arrivals))
    return fmt::format("{:.4g} requests/s", open->rate.mean().value());
  if (const auto* closed = std::get_if<ClosedLoop>(&c.arrivals)) return fmt::format("{} users", closed->users);
  return "times of a trace";
}

/// Requests and promises as the file describes them.
ScenarioField traffic_field() {
  return {"traffic", "requests",
          [](const Scenario& a, const Scenario& b) {
            return a.serving->traffic_description == b.serving->traffic_description;
          },
          [](const Scenario& from, Scenario& to) {
            change_serving(to, [&](ServingScenario& serving) {
              serving.traffic = from.serving->traffic;
              serving.class_names = from.serving->class_names;
              serving.levels = from.serving->levels;
              serving.traffic_description = from.serving->traffic_description;
            });
          },
          [](const Scenario& s) {
            std::vector<std::string> loads;
            for (const TrafficClass& c : s.serving->traffic.classes) loads.push_back(load_text(c));
            return fmt::format("{}", fmt::join(loads, " + "));
          }};
}

Fields make_training_fields() {
  Fields out;
  add<ClusterSpec>(
      kClusterFields, [](auto& s) -> auto& { return s.cluster; }, out);
  add<ModelConfig>(
      kModelFields, [](auto& s) -> auto& { return s.training->model; }, out);
  add<TrainingConfig>(
      kTrainingFields, [](auto& s) -> auto& { return *s.training; }, out);
  return out;
}

Fields make_serving_fields() {
  Fields out;
  add<ClusterSpec>(
      kClusterFields, [](auto& s) -> auto& { return s.cluster; }, out);
  add_per_pool<ModelConfig>(
      kModelFields, [](auto& pool) -> auto& { return pool.engine.model; }, out);
  add_per_pool<PoolSpec>(
      kPoolFields, [](auto& pool) -> auto& { return pool; }, out);
  out.push_back(pools_field());
  add_service(out);
  out.push_back(traffic_field());
  return out;
}

}  // namespace

void change_serving(Scenario& scenario, const std::function<void(ServingScenario&)>& change) {
  auto copy = std::make_shared<ServingScenario>(*scenario.serving);
  change(*copy);
  scenario.serving = std::move(copy);
}

std::span<const FieldGroup> field_groups() {
  static constexpr FieldGroup kGroups[] = {
      {"compute", "computing rate of the GPU", false},
      {"memory-bandwidth", "memory bandwidth of the GPU", false},
      {"memory-capacity", "memory capacity of the GPU", false},
      {"nvlink", "links between GPUs of a node", false},
      {"nic", "NICs", false},
      {"fabric", "network between nodes", false},
      {"slow", "slow parts", false},
      {"precision", "number formats", false},
      {"kv-cache", "number format of the KV cache", false},
      {"attention", "attention", false},
      {"experts", "experts", true},
      {"routing", "node-limited routing", false},
      {"model", "size of the model", true},
      {"schedule", "pipeline schedule", true},
      {"plan", "cluster size and parallel plan", true},
      {"batch", "batch", true},
      {"speculation", "drafts by MTP", false},
      {"micro-batches", "one micro-batch or two", false},
      {"engine", "scheduling and exchange", false},
      {"prefix-cache", "cache of prompts", false},
      {"upkeep", "failures and scaling", false},
      {"traffic", "requests", false},
      {"recompute", "recomputation", false},
      {"expert-load", "unevenness of expert load", false},
      {"mechanisms", "mechanisms of the model of a step", false},
  };
  return kGroups;
}

std::span<const ScenarioField> training_fields() {
  static const Fields fields = make_training_fields();
  return fields;
}

std::span<const ScenarioField> serving_fields() {
  static const Fields fields = make_serving_fields();
  return fields;
}

}  // namespace flopcast
