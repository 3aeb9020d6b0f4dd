// From checked messages to typed values: GPUs, nodes, fabrics, clusters and models.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "scenarios/read/library_entries.h"
#include "scenarios/read/quantity.h"

namespace flopcast {
namespace {

template <class Typed>
Typed typed(const std::string& text, Dimension dimension) {
  return Typed(quantity(text, dimension));
}
FlopPerSecond flops(const std::string& text) { return typed<FlopPerSecond>(text, Dimension::compute_rate); }
Bytes bytes(const std::string& text) { return typed<Bytes>(text, Dimension::data); }
BytesPerSecond data_rate(const std::string& text) { return typed<BytesPerSecond>(text, Dimension::data_rate); }
BytesPerSecond link_rate(const std::string& text) { return typed<BytesPerSecond>(text, Dimension::link_rate); }
Watts watts(const std::string& text) { return typed<Watts>(text, Dimension::power); }

FabricKind fabric_kind(const std::string& name) {
  constexpr std::array<std::string_view, 6> kNames{"single_switch", "rail_fat_tree_2", "rail_fat_tree_3",
                                                   "multi_plane",   "multi_rail",      "nvlink_rack"};
  return static_cast<FabricKind>(std::find(kNames.begin(), kNames.end(), name) - kNames.begin());
}

/// An override may change values, not what the thing is a variant of.
template <class Message>
void refuse_base(const Message& message, const Places& places, const std::string& path, Diagnostics& faults) {
  if (message.has_base())
    faults.push_back(places.fault(path + "base", quoted(message.base()), "no base in an override"));
}

template <class Message>
void override_entry(Entry<Message>& under, const Message& over, const Entry<proto::Cluster>& cluster,
                    const std::string& path, Diagnostics& faults) {
  lay_over(under, over, cluster.places, path);
  apply_scales(under, over, cluster.places, path, faults);
}

std::optional<SlowPart> slow_part(const proto::SlowPart& part) {
  if (part.has_gpu() + part.has_nic() + part.has_nvlink() != 1) return std::nullopt;
  if (part.has_gpu()) return SlowPart{SlowPart::Kind::gpu, part.gpu(), part.speed()};
  if (part.has_nic()) return SlowPart{SlowPart::Kind::nic, part.nic(), part.speed()};
  return SlowPart{SlowPart::Kind::nvlink, part.nvlink(), part.speed()};
}

std::vector<SlowPart> slow_parts(const Entry<proto::Cluster>& entry, const std::string& path, int gpus,
                                 Diagnostics& faults) {
  std::vector<SlowPart> parts;
  for (int i = 0; i < entry.message.slow_size(); ++i) {
    const std::string field = fmt::format("{}slow[{}]", path, i);
    const auto part = slow_part(entry.message.slow(i));
    if (!part) {
      faults.push_back(entry.places.fault(field, "not exactly one part", "exactly one of gpu, nic and nvlink"));
    } else if (part->rank >= gpus) {
      faults.push_back(
          entry.places.fault(field, fmt::format("GPU {}", part->rank), fmt::format("a GPU from 0 to {}", gpus - 1)));
    } else {
      parts.push_back(*part);
    }
  }
  return parts;
}

/// The fields that an attention type cannot do without, and those that say nothing to it.
void check_attention(const proto::Attention& a, const Places& places, Diagnostics& faults) {
  const auto missing = [&](const char* field) {
    faults.push_back(
        places.fault(std::string("attention.") + field, "nothing", "a value, which " + a.type() + " attention needs"));
  };
  if (a.type() == "latent") {
    if (!a.has_kv_lora_rank()) missing("kv_lora_rank");
    if (!a.has_qk_nope_dim()) missing("qk_nope_dim");
    if (!a.has_qk_rope_dim()) missing("qk_rope_dim");
    if (!a.has_v_dim()) missing("v_dim");
    return;
  }
  if (!a.has_head_dim()) missing("head_dim");
  if (a.type() != "grouped_query") return;
  if (!a.has_kv_heads())
    missing("kv_heads");
  else if (a.heads() % a.kv_heads() != 0) {
    faults.push_back(places.fault("attention.kv_heads", fmt::format("{}", a.kv_heads()),
                                  fmt::format("a divisor of heads, {}", a.heads())));
  }
}

void check_moe(const proto::MixtureOfExperts& moe, int layers, const Places& places, Diagnostics& faults) {
  const auto at_most = [&](const char* field, int value, int limit, const char* what) {
    if (value > limit)
      faults.push_back(places.fault(std::string("moe.") + field, fmt::format("{}", value),
                                    fmt::format("at most {}, {}", limit, what)));
  };
  at_most("experts_per_token", moe.experts_per_token(), moe.experts(), "the experts there are");
  at_most("groups_per_token", moe.groups_per_token(), moe.groups(), "the groups there are");
  at_most("first_dense_layers", moe.first_dense_layers(), layers, "the layers there are");
  if (moe.experts() % moe.groups() != 0) {
    faults.push_back(places.fault("moe.groups", fmt::format("{}", moe.groups()),
                                  fmt::format("a divisor of experts, {}", moe.experts())));
  }
}

AttentionConfig attention_config(const proto::Attention& a) {
  AttentionConfig out;
  out.type = a.type() == "latent"          ? AttentionType::latent
             : a.type() == "grouped_query" ? AttentionType::grouped_query
                                           : AttentionType::multi_head;
  out.heads = a.heads();
  out.kv_heads = a.has_kv_heads() ? a.kv_heads() : a.heads();
  out.head_dim = a.head_dim();
  out.qkv_bias = a.qkv_bias();
  out.q_lora_rank = a.q_lora_rank();
  out.kv_lora_rank = a.kv_lora_rank();
  out.qk_nope_dim = a.qk_nope_dim();
  out.qk_rope_dim = a.qk_rope_dim();
  out.v_dim = a.v_dim();
  return out;
}

MoeConfig moe_config(const proto::MixtureOfExperts& m) {
  MoeConfig out;
  out.experts = m.experts();
  out.experts_per_token = m.experts_per_token();
  out.shared_experts = m.shared_experts();
  out.expert_width = m.expert_width();
  out.groups = m.groups();
  out.groups_per_token = m.groups_per_token();
  out.first_dense_layers = m.first_dense_layers();
  out.every = m.every();
  return out;
}

}  // namespace

GpuSpec gpu_spec(const Entry<proto::Gpu>& entry) {
  const proto::Gpu& g = entry.message;
  GpuSpec out;
  out.name = entry.name;
  out.title = g.title();
  out.vendor = g.vendor();
  out.base = g.base();
  out.architecture = g.architecture();
  out.launch_date = g.launch_date();
  out.sms = g.sms();
  out.boost_clock = typed<Hertz>(g.boost_clock(), Dimension::frequency);
  out.bf16_peak = flops(g.bf16_peak());
  out.fp8_peak = flops(g.fp8_peak());
  out.fp32_peak = flops(g.fp32_peak());
  out.hbm_capacity = bytes(g.hbm_capacity());
  out.hbm_bandwidth = data_rate(g.hbm_bandwidth());
  out.l2_capacity = bytes(g.l2_capacity());
  out.nvlink_bandwidth = link_rate(g.nvlink_bandwidth());
  out.pcie_bandwidth = link_rate(g.pcie_bandwidth());
  out.tdp = watts(g.tdp());
  out.sources = entry.sources;
  out.changed_fields = entry.changed;
  return out;
}

NodeSpec node_spec(const Entry<proto::Node>& entry, GpuSpec gpu) {
  const proto::Node& n = entry.message;
  NodeSpec out;
  out.name = entry.name;
  out.title = n.title();
  out.gpus = n.gpus();
  out.nvlink_bandwidth = n.has_nvlink_bandwidth() ? link_rate(n.nvlink_bandwidth()) : gpu.nvlink_bandwidth;
  out.nvlink_efficiency = n.nvlink_efficiency();
  out.nvlink_latency = seconds(n.nvlink_latency());
  out.nics_per_gpu = n.nics_per_gpu();
  out.nic_bandwidth = link_rate(n.nic_bandwidth());
  out.nic_efficiency = n.nic_efficiency();
  out.in_switch_reduction = n.in_switch_reduction();
  out.overhead_power = watts(n.overhead_power());
  out.sources = entry.sources;
  out.gpu = std::move(gpu);
  return out;
}

FabricSpec fabric_spec(const Entry<proto::Fabric>& entry) {
  const proto::Fabric& f = entry.message;
  FabricSpec out;
  out.name = entry.name;
  out.title = f.title();
  out.kind = fabric_kind(f.kind());
  out.switch_ports = f.switch_ports();
  out.port_bandwidth = link_rate(f.port_bandwidth());
  out.oversubscription = f.oversubscription();
  out.same_leaf_latency = seconds(f.same_leaf_latency());
  out.cross_leaf_latency = seconds(f.cross_leaf_latency());
  out.sources = entry.sources;
  return out;
}

ClusterSpec cluster_spec(const Entry<proto::Cluster>& entry, const std::string& path, const Libraries& libraries,
                         Diagnostics& faults) {
  const proto::Cluster& c = entry.message;
  auto node = load_entry<proto::Node>(libraries, c.node());
  auto fabric = load_entry<proto::Fabric>(libraries, c.fabric());
  refuse_base(c.gpu_override(), entry.places, path + "gpu_override.", faults);
  refuse_base(c.node_override(), entry.places, path + "node_override.", faults);
  refuse_base(c.fabric_override(), entry.places, path + "fabric_override.", faults);
  if (c.has_node_override()) override_entry(node, c.node_override(), entry, path + "node_override.", faults);
  if (c.has_fabric_override()) override_entry(fabric, c.fabric_override(), entry, path + "fabric_override.", faults);
  auto gpu = load_entry<proto::Gpu>(libraries, node.message.gpu());
  if (c.has_gpu_override()) override_entry(gpu, c.gpu_override(), entry, path + "gpu_override.", faults);

  ClusterSpec out;
  if (const auto unknown = unpublished_figures(gpu.message); !unknown.empty()) {
    faults.push_back(
        with_remedy(entry.places.fault(path + "node",
                                       fmt::format("{}, of which {} {} not published", gpu.name,
                                                   fmt::join(unknown, ", "), unknown.size() == 1 ? "is" : "are"),
                                       "a GPU whose figures are known"),
                    fmt::format("stating {} in {}gpu_override", unknown.front(), path)));
    return out;
  }
  out.name = entry.name;
  out.node = node_spec(node, gpu_spec(gpu));
  out.nodes = c.nodes();
  out.fabric = fabric_spec(fabric);
  const std::int64_t gpus = std::int64_t{out.nodes} * out.node.gpus;
  if (gpus > kMostGpus) {
    faults.push_back(
        entry.places.fault(path + "nodes", fmt::format("{} GPUs in all", gpus), fmt::format("at most {}", kMostGpus)));
    return out;
  }
  out.title = c.has_title() ? c.title() : fmt::format("{} x {} on {}", out.nodes, out.node.title, out.fabric.title);
  out.slow_parts = slow_parts(entry, path, out.gpus(), faults);
  return out;
}

ModelConfig model_config(const Entry<proto::Model>& entry, Diagnostics& faults) {
  const proto::Model& m = entry.message;
  check_attention(m.attention(), entry.places, faults);
  if (m.has_moe()) check_moe(m.moe(), m.layers(), entry.places, faults);
  ModelConfig out;
  out.name = entry.name;
  out.title = m.title();
  out.layers = m.layers();
  out.hidden = m.hidden();
  out.vocabulary = m.vocabulary();
  out.ffn_width = m.ffn_width();
  out.gated_ffn = m.gated_ffn();
  out.tied_embeddings = m.tied_embeddings();
  out.attention = attention_config(m.attention());
  if (m.has_moe()) out.moe = moe_config(m.moe());
  out.mtp_depth = m.mtp_depth();
  out.max_positions = m.max_positions();
  out.sources = entry.sources;
  return out;
}

}  // namespace flopcast
