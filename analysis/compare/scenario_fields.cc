#include "analysis/compare/scenario_fields.h"

#include <algorithm>

#include <fmt/format.h>

#include "analysis/format.h"

namespace flopcast {
namespace {

std::string text_of(BytesPerSecond rate) { return format_rate(rate); }
std::string text_of(FlopPerSecond rate) { return fmt::format("{:.4g} TFLOPS", rate.value() / 1e12); }
std::string text_of(Hertz clock) { return fmt::format("{:.4g} MHz", clock.value() / 1e6); }
std::string text_of(Bytes bytes) { return format_bytes(bytes); }
std::string text_of(Seconds time) { return format_time(time); }
std::string text_of(int value) { return fmt::format("{}", value); }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
std::string text_of(double value) { return fmt::format("{:.4g}", value); }
std::string text_of(bool value) { return value ? "yes" : "no"; }
std::string text_of(const std::string& value) { return value.size() > 40 ? "" : value; }
std::string text_of(Precision p) { return std::string(name(p)); }
std::string text_of(Scaling s) {
  return s == Scaling::none ? "none" : s == Scaling::per_tensor ? "per tensor" : "blocks";
}
std::string text_of(AttentionType t) {
  return t == AttentionType::latent          ? "latent"
         : t == AttentionType::grouped_query ? "grouped-query"
                                             : "multi-head";
}
std::string text_of(FabricKind kind) { return fmt::format("kind {}", static_cast<int>(kind)); }
std::string text_of(ExpertLoad::Kind kind) {
  return kind == ExpertLoad::Kind::balanced ? "balanced"
         : kind == ExpertLoad::Kind::skewed ? "skewed"
                                            : "given";
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

/// A row from an accessor: a lambda without captures that takes a scenario, const or not, and returns the
/// field.
template <auto Get>
constexpr ScenarioField field(std::string_view group, std::string_view name) {
  return {group, name, [](const Scenario& a, const Scenario& b) { return same_value(Get(a), Get(b)); },
          [](const Scenario& from, Scenario& to) { Get(to) = Get(from); },
          [](const Scenario& s) { return text_of(Get(s)); }};
}

#define FLOPCAST_FIELD(group, name, path)         \
  field < [](auto& s) -> auto& { return s.path; } \
  > (group, name)

}  // namespace

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
      {"attention", "attention", false},
      {"experts", "experts", true},
      {"routing", "node-limited routing", false},
      {"model", "size of the model", true},
      {"schedule", "pipeline schedule", true},
      {"plan", "cluster size and parallel plan", true},
      {"batch", "batch", true},
      {"recompute", "recomputation", false},
      {"expert-load", "unevenness of expert load", false},
      {"mechanisms", "mechanisms of the model of a step", false},
  };
  return kGroups;
}

std::span<const ScenarioField> scenario_fields() {
  static constexpr ScenarioField kFields[] = {
      FLOPCAST_FIELD("compute", "gpu", cluster.node.gpu.name),
      FLOPCAST_FIELD("compute", "base", cluster.node.gpu.base),
      FLOPCAST_FIELD("compute", "architecture", cluster.node.gpu.architecture),
      FLOPCAST_FIELD("compute", "bf16_peak", cluster.node.gpu.bf16_peak),
      FLOPCAST_FIELD("compute", "fp8_peak", cluster.node.gpu.fp8_peak),
      FLOPCAST_FIELD("compute", "fp32_peak", cluster.node.gpu.fp32_peak),
      FLOPCAST_FIELD("compute", "sms", cluster.node.gpu.sms),
      FLOPCAST_FIELD("compute", "boost_clock", cluster.node.gpu.boost_clock),
      FLOPCAST_FIELD("compute", "l2_capacity", cluster.node.gpu.l2_capacity),
      FLOPCAST_FIELD("memory-bandwidth", "hbm_bandwidth", cluster.node.gpu.hbm_bandwidth),
      FLOPCAST_FIELD("memory-capacity", "hbm_capacity", cluster.node.gpu.hbm_capacity),
      FLOPCAST_FIELD("nvlink", "nvlink_bandwidth", cluster.node.nvlink_bandwidth),
      FLOPCAST_FIELD("nvlink", "nvlink_efficiency", cluster.node.nvlink_efficiency),
      FLOPCAST_FIELD("nvlink", "nvlink_latency", cluster.node.nvlink_latency),
      FLOPCAST_FIELD("nvlink", "gpu's nvlink_bandwidth", cluster.node.gpu.nvlink_bandwidth),
      FLOPCAST_FIELD("nic", "nic_bandwidth", cluster.node.nic_bandwidth),
      FLOPCAST_FIELD("nic", "nics_per_gpu", cluster.node.nics_per_gpu),
      FLOPCAST_FIELD("nic", "nic_efficiency", cluster.node.nic_efficiency),
      FLOPCAST_FIELD("fabric", "fabric", cluster.fabric.name),
      FLOPCAST_FIELD("fabric", "kind", cluster.fabric.kind),
      FLOPCAST_FIELD("fabric", "port_bandwidth", cluster.fabric.port_bandwidth),
      FLOPCAST_FIELD("fabric", "switch_ports", cluster.fabric.switch_ports),
      FLOPCAST_FIELD("fabric", "oversubscription", cluster.fabric.oversubscription),
      FLOPCAST_FIELD("fabric", "same_leaf_latency", cluster.fabric.same_leaf_latency),
      FLOPCAST_FIELD("fabric", "cross_leaf_latency", cluster.fabric.cross_leaf_latency),
      FLOPCAST_FIELD("slow", "slow", cluster.slow_parts),
      FLOPCAST_FIELD("precision", "linear", training->precision.linear),
      FLOPCAST_FIELD("precision", "scaling", training->precision.scaling),
      FLOPCAST_FIELD("precision", "attention", training->precision.attention),
      FLOPCAST_FIELD("precision", "head", training->precision.head),
      FLOPCAST_FIELD("precision", "dispatch", training->precision.dispatch),
      FLOPCAST_FIELD("precision", "combine", training->precision.combine),
      FLOPCAST_FIELD("precision", "gradients", training->precision.gradients),
      FLOPCAST_FIELD("precision", "parameters", training->precision.parameters),
      FLOPCAST_FIELD("precision", "master", training->precision.master),
      FLOPCAST_FIELD("precision", "moments", training->precision.moments),
      FLOPCAST_FIELD("precision", "activations", training->precision.activations),
      FLOPCAST_FIELD("attention", "type", training->model.attention.type),
      FLOPCAST_FIELD("attention", "heads", training->model.attention.heads),
      FLOPCAST_FIELD("attention", "kv_heads", training->model.attention.kv_heads),
      FLOPCAST_FIELD("attention", "head_dim", training->model.attention.head_dim),
      FLOPCAST_FIELD("attention", "qkv_bias", training->model.attention.qkv_bias),
      FLOPCAST_FIELD("attention", "q_lora_rank", training->model.attention.q_lora_rank),
      FLOPCAST_FIELD("attention", "kv_lora_rank", training->model.attention.kv_lora_rank),
      FLOPCAST_FIELD("attention", "qk_nope_dim", training->model.attention.qk_nope_dim),
      FLOPCAST_FIELD("attention", "qk_rope_dim", training->model.attention.qk_rope_dim),
      FLOPCAST_FIELD("attention", "v_dim", training->model.attention.v_dim),
      FLOPCAST_FIELD("experts", "experts", training->model.moe.experts),
      FLOPCAST_FIELD("experts", "experts_per_token", training->model.moe.experts_per_token),
      FLOPCAST_FIELD("experts", "shared_experts", training->model.moe.shared_experts),
      FLOPCAST_FIELD("experts", "expert_width", training->model.moe.expert_width),
      FLOPCAST_FIELD("experts", "first_dense_layers", training->model.moe.first_dense_layers),
      FLOPCAST_FIELD("experts", "every", training->model.moe.every),
      FLOPCAST_FIELD("experts", "ffn_width", training->model.ffn_width),
      FLOPCAST_FIELD("experts", "expert parallel", training->plan.expert),
      FLOPCAST_FIELD("routing", "groups", training->model.moe.groups),
      FLOPCAST_FIELD("routing", "groups_per_token", training->model.moe.groups_per_token),
      FLOPCAST_FIELD("model", "model", training->model.name),
      FLOPCAST_FIELD("model", "layers", training->model.layers),
      FLOPCAST_FIELD("model", "hidden", training->model.hidden),
      FLOPCAST_FIELD("model", "vocabulary", training->model.vocabulary),
      FLOPCAST_FIELD("model", "gated_ffn", training->model.gated_ffn),
      FLOPCAST_FIELD("model", "tied_embeddings", training->model.tied_embeddings),
      FLOPCAST_FIELD("model", "mtp_depth", training->model.mtp_depth),
      FLOPCAST_FIELD("model", "with_mtp", training->with_mtp),
      FLOPCAST_FIELD("schedule", "schedule", training->schedule),
      FLOPCAST_FIELD("schedule", "schedule_file", training->schedule_file),
      FLOPCAST_FIELD("schedule", "order", training->schedule_text),
      FLOPCAST_FIELD("schedule", "chunks", training->plan.chunks),
      FLOPCAST_FIELD("plan", "nodes", cluster.nodes),
      FLOPCAST_FIELD("plan", "gpus per node", cluster.node.gpus),
      FLOPCAST_FIELD("plan", "pipeline", training->plan.pipeline),
      FLOPCAST_FIELD("plan", "data", training->plan.data),
      FLOPCAST_FIELD("plan", "tensor", training->plan.tensor),
      FLOPCAST_FIELD("plan", "context", training->plan.context),
      FLOPCAST_FIELD("plan", "zero_stage", training->plan.zero_stage),
      FLOPCAST_FIELD("plan", "stage_layers", training->plan.stage_layers),
      FLOPCAST_FIELD("plan", "layer_split", training->plan.layer_split),
      FLOPCAST_FIELD("batch", "sequences", training->batch.sequences),
      FLOPCAST_FIELD("batch", "sequence_length", training->batch.sequence_length),
      FLOPCAST_FIELD("batch", "micro_batch_sequences", training->batch.micro_batch_sequences),
      FLOPCAST_FIELD("recompute", "norms", training->recompute.norms),
      FLOPCAST_FIELD("recompute", "attention_up_projections", training->recompute.attention_up_projections),
      FLOPCAST_FIELD("recompute", "activation_function", training->recompute.activation_function),
      FLOPCAST_FIELD("recompute", "full_layer", training->recompute.full_layer),
      FLOPCAST_FIELD("expert-load", "kind", training->expert_load.kind),
      FLOPCAST_FIELD("expert-load", "coefficient_of_variation",
                     training->expert_load.coefficient_of_variation),
      FLOPCAST_FIELD("expert-load", "shares", training->expert_load.shares),
      FLOPCAST_FIELD("expert-load", "placement", training->expert_load.placement),
      FLOPCAST_FIELD("expert-load", "redundant_experts", training->expert_load.redundant_experts),
      FLOPCAST_FIELD("mechanisms", "embedding_head_mtp", training->mechanisms.embedding_head_mtp),
      FLOPCAST_FIELD("mechanisms", "pipeline_transfers", training->mechanisms.pipeline_transfers),
      FLOPCAST_FIELD("mechanisms", "gradient_collectives", training->mechanisms.gradient_collectives),
      FLOPCAST_FIELD("mechanisms", "expert_communication", training->mechanisms.expert_communication),
      FLOPCAST_FIELD("mechanisms", "communication_sms on", training->mechanisms.communication_sms),
      FLOPCAST_FIELD("mechanisms", "gpu_speed_spread", training->mechanisms.gpu_speed_spread),
      FLOPCAST_FIELD("mechanisms", "communication_sms", training->communication_sms),
  };
  return kFields;
}

#undef FLOPCAST_FIELD

}  // namespace flopcast
