// From checked messages to typed values: GPUs, nodes, fabrics, clusters and models.
#include <algorithm>
#include <cassert>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/read/text/quantity.h"
#include "workloads/model/attention_kinds.h"

namespace flopcast {
namespace {

/// An override may change values, not what the thing is a variant of.
template <class Message>
void refuse_base(const Message& message, const Places& places, const std::string& path, Diagnostics& faults) {
  if (message.has_base())
    faults.push_back(places.fault(path + "base", quoted(message.base()), "no base in an override"));
}

template <class Message>
void override_entry(Entry<Message>& under, const Message& over, const Entry<proto::Cluster>& cluster,
                    const std::string& path, const Libraries& libraries, Diagnostics& faults) {
  const std::size_t before = faults.size();
  lay_over(under, over, cluster.places, path);
  apply_scales(under, over, cluster.places, path, faults);
  if (faults.size() == before) check_overridden(under, path, libraries, Completeness::full, faults);
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
    } else if (std::ranges::any_of(parts, [&](const SlowPart& other) {
                 return other.kind == part->kind && other.rank == part->rank;
               })) {
      faults.push_back(entry.places.fault(field, fmt::format("the same part of GPU {} again", part->rank),
                                          "each part once, with the speed that it has"));
    } else {
      parts.push_back(*part);
    }
  }
  return parts;
}

/// The fields that a kind of attention cannot do without, and those that say nothing to it.
void check_attention(const proto::Attention& a, const Places& places, Diagnostics& faults) {
  const AttentionKindRow* kind = find_attention_kind(a.type());
  if (kind == nullptr) return;  // said where names are checked
  const auto stated = [&](std::string_view name) {
    const auto* field = proto::Attention::descriptor()->FindFieldByName(std::string(name));
    assert(field != nullptr);
    return a.GetReflection()->HasField(a, field);
  };
  const auto place = [](std::string_view field) { return fmt::format("attention.{}", field); };
  for (std::string_view field : kind->needs)
    if (!stated(field))
      faults.push_back(places.fault(place(field), "nothing", "a value, which " + a.type() + " attention needs"));
  for (std::string_view field : unread_fields(*kind))
    if (stated(field))
      faults.push_back(places.fault(place(field), "a value", "none: " + a.type() + " attention does not read it"));
  if (a.has_kv_heads() && a.heads() % a.kv_heads() != 0)
    faults.push_back(places.fault("attention.kv_heads", fmt::format("{}", a.kv_heads()),
                                  fmt::format("a divisor of heads, {}", a.heads())));
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
  at_most("layers", moe.layers(), layers - moe.first_dense_layers(), "the layers behind first_dense_layers");
  if (moe.experts() % moe.groups() != 0) {
    faults.push_back(places.fault("moe.groups", fmt::format("{}", moe.groups()),
                                  fmt::format("a divisor of experts, {}", moe.experts())));
  }
}

}  // namespace

GpuSpec gpu_spec(const Entry<proto::Gpu>& entry) {
  auto out = loaded<GpuSpec>(entry.message);
  out.name = entry.name;
  out.sources = entry.sources;
  out.changed_fields = entry.changed;
  out.sold_tdp = out.tdp;
  out.sold_bf16_peak = out.bf16_peak;
  return out;
}

NodeSpec node_spec(const Entry<proto::Node>& entry, GpuSpec gpu) {
  const proto::Node& n = entry.message;
  auto out = loaded<NodeSpec>(n);
  out.name = entry.name;
  if (!n.has_nvlink_bandwidth()) out.nvlink_bandwidth = gpu.nvlink_bandwidth;
  if (!n.has_host_bandwidth()) out.host_bandwidth = gpu.pcie_bandwidth;
  out.sources = entry.sources;
  out.gpu = std::move(gpu);
  return out;
}

FabricSpec fabric_spec(const Entry<proto::Fabric>& entry) {
  auto out = loaded<FabricSpec>(entry.message);
  out.name = entry.name;
  out.sources = entry.sources;
  return out;
}

ClusterSpec cluster_spec(const Entry<proto::Cluster>& entry, const std::string& path, const Libraries& libraries,
                         Diagnostics& faults) {
  const proto::Cluster& c = entry.message;
  const std::size_t before = faults.size();
  auto node = load_entry<proto::Node>(libraries, c.node());
  auto fabric = load_entry<proto::Fabric>(libraries, c.fabric());
  refuse_base(c.gpu_override(), entry.places, path + "gpu_override.", faults);
  refuse_base(c.node_override(), entry.places, path + "node_override.", faults);
  refuse_base(c.fabric_override(), entry.places, path + "fabric_override.", faults);
  if (c.has_node_override()) override_entry(node, c.node_override(), entry, path + "node_override.", libraries, faults);
  if (c.has_fabric_override())
    override_entry(fabric, c.fabric_override(), entry, path + "fabric_override.", libraries, faults);
  auto gpu = load_entry<proto::Gpu>(libraries, node.message.gpu());
  const GpuSpec sold = gpu_spec(gpu);
  if (c.has_gpu_override()) override_entry(gpu, c.gpu_override(), entry, path + "gpu_override.", libraries, faults);

  ClusterSpec out;
  if (faults.size() > before) return out;
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
  out.node.gpu.sold_tdp = sold.tdp;
  out.node.gpu.sold_bf16_peak = sold.bf16_peak;
  out.nodes = c.nodes();
  out.fabric = fabric_spec(fabric);
  if (out.fabric.sites > 1 && out.fabric.site_bandwidth <= BytesPerSecond(0)) {
    faults.push_back(entry.places.fault(path + "fabric",
                                        fmt::format("{} sites and no site_bandwidth", out.fabric.sites),
                                        "what the links of a site to the others carry together"));
    return out;
  }
  if (out.fabric.sites > out.nodes) {
    faults.push_back(entry.places.fault(path + "nodes",
                                        fmt::format("{} nodes in {} sites", out.nodes, out.fabric.sites),
                                        "a node in each site at least"));
    return out;
  }
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

SoftwareProfile software_profile(const Entry<proto::Software>& entry) {
  const proto::Software& m = entry.message;
  Diagnostics faults;
  const auto not_both = [&](bool other, const char* field, const char* beside) {
    if (!other) return;
    faults.push_back(entry.places.fault(field, fmt::format("true beside {}: true", beside),
                                        fmt::format("false, or {}: false: one of them", beside)));
  };
  not_both(m.indexed_rows() && m.indexed_once(), "indexed_once", "indexed_rows");
  not_both(m.eager() && m.compiled_layers(), "compiled_layers", "eager");
  if (m.fused_norms() && !m.eager())
    faults.push_back(entry.places.fault("fused_norms", "true without eager", "false, or eager: true"));
  if (!faults.empty()) throw InputError(faults);
  auto out = loaded<SoftwareProfile>(entry.message);
  out.name = entry.name;
  out.sources = entry.sources;
  return out;
}

/// Layers of a kind are some of all layers, and heads of a window divide as those of the model do.
void check_layers(const proto::Model& m, const Places& places, Diagnostics& faults) {
  const auto at_most = [&](const char* field, int value, int limit, const char* what) {
    if (value > limit)
      faults.push_back(places.fault(field, fmt::format("{}", value), fmt::format("at most {}, {}", limit, what)));
  };
  const int attention = m.layers() - m.state_layers().layers();
  at_most("state_layers.layers", m.state_layers().layers(), m.layers() - 1, "all but one: some layers have attention");
  at_most("attention.window.layers", m.attention().window().layers(), std::max(0, attention),
          "the layers with attention");
  at_most("attention.indexer.layers", m.attention().indexer().layers(), std::max(0, attention),
          "the layers with attention");
  at_most("ffn_layers", m.ffn_layers(), m.layers(), "the layers there are");
  const proto::Window& w = m.attention().window();
  const int heads = w.has_heads() ? w.heads() : m.attention().heads();
  if (w.has_kv_heads() && heads % w.kv_heads() != 0)
    faults.push_back(places.fault("attention.window.kv_heads", fmt::format("{}", w.kv_heads()),
                                  fmt::format("a divisor of heads, {}", heads)));
}

ModelConfig model_config(const Entry<proto::Model>& entry, Diagnostics& faults) {
  const proto::Model& m = entry.message;
  check_layers(m, entry.places, faults);
  check_attention(m.attention(), entry.places, faults);
  if (m.has_moe()) check_moe(m.moe(), m.layers(), entry.places, faults);
  auto out = loaded<ModelConfig>(m);
  out.name = entry.name;
  if (!m.attention().has_kv_heads()) out.attention.kv_heads = out.attention.heads;
  if (m.has_ffn_layers()) out.ffn_layers = m.ffn_layers();
  if (m.moe().has_layers()) out.moe.layers = m.moe().layers();
  out.sources = entry.sources;
  return out;
}

}  // namespace flopcast
