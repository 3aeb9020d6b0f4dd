// Nodes, fabrics and clusters as their data files describe them. How they become links and routes: topology.h.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "hwmodels/chips/gpu.h"
#include "sim/base/fields.h"

namespace flopcast {

/// What the files of the nodes state on which links and collectives were measured (hgx-h100, hgx-h800, hgx-a100).
constexpr double kMeasuredNvlinkEfficiency = 0.8, kMeasuredNicEfficiency = 0.97;

/// One server (or one NVLinked rack): GPUs behind NVSwitches, one NIC per GPU.
struct NodeSpec {
  std::string name;
  std::string title;
  GpuSpec gpu;
  int gpus = 8;
  /// Per direction and GPU; the GPU's own figure unless the node states another.
  BytesPerSecond nvlink_bandwidth;
  /// Fraction of the NVLink data-sheet rate that copies and collectives reach (measured).
  double nvlink_efficiency = kMeasuredNvlinkEfficiency;
  Seconds nvlink_latency;
  double nics_per_gpu = 1;                         ///< 0.5: two GPUs, taken to send at once, share one
  BytesPerSecond nic_bandwidth;                    ///< per direction and NIC
  double nic_efficiency = kMeasuredNicEfficiency;  ///< measured goodput over line rate, large messages
  bool in_switch_reduction = false;  ///< the NVSwitches add and multicast (NVLink SHARP: Hopper and later)
  BytesPerSecond host_bandwidth;     ///< per direction, between a GPU and the host's memory; the GPU's PCIe otherwise
  double host_efficiency = 1;        ///< share of it that large copies reach
  int gpus_per_host_link = 1;
  BytesPerSecond host_memory_bandwidth;  ///< of all CPUs; 0: not known
  Watts overhead_power;                  ///< CPUs, memory, fans, NICs of the node, without its GPUs
  std::map<std::string, Source> sources;

  /// Of a GPU's NICs together, per direction; what ports of the fabric leave of it: endpoint_bandwidth().
  BytesPerSecond nics_of_gpu() const { return nic_bandwidth * nics_per_gpu; }
  /// Of its host's memory, for each GPU, when all of them ask for it; 0: not known.
  BytesPerSecond host_memory_per_gpu() const { return host_memory_bandwidth / gpus; }
  /// Copies between a GPU and the host's memory while all GPUs of the node copy, per direction.
  BytesPerSecond host_copy_rate() const {
    const BytesPerSecond link = host_bandwidth * host_efficiency / gpus_per_host_link;
    return host_memory_bandwidth > BytesPerSecond(0) ? std::min(link, host_memory_per_gpu()) : link;
  }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("nvlink_bandwidth", &NodeSpec::nvlink_bandwidth, {"nvlink"});
    field("nvlink_efficiency", &NodeSpec::nvlink_efficiency, {"nvlink"});
    field("nvlink_latency", &NodeSpec::nvlink_latency, {"nvlink"});
    field("nic_bandwidth", &NodeSpec::nic_bandwidth, {"nic"});
    field("nics_per_gpu", &NodeSpec::nics_per_gpu, {"nic"});
    field("nic_efficiency", &NodeSpec::nic_efficiency, {"nic"});
    field("name", &NodeSpec::name, {.cause = kLabel, .resolved = true});
    field("title", &NodeSpec::title, {kLabel});
    field("in_switch_reduction", &NodeSpec::in_switch_reduction, {"nvlink"});
    field("host_bandwidth", &NodeSpec::host_bandwidth, {"pcie"});
    field("host_efficiency", &NodeSpec::host_efficiency, {"pcie"});
    field("gpus_per_host_link", &NodeSpec::gpus_per_host_link, {"pcie"});
    field("host_memory_bandwidth", &NodeSpec::host_memory_bandwidth, {"pcie"});
    field("overhead_power", &NodeSpec::overhead_power, {"power"});
    field("sources", &NodeSpec::sources, {.cause = kLabel, .resolved = true});
    field("gpus", &NodeSpec::gpus, {"plan", "gpus per node"});
    field("gpu", &NodeSpec::gpu, {.resolved = true});
  }
};

enum class FabricKind {
  single_switch,    ///< every NIC on one ideal switch
  rail_fat_tree_2,  ///< rail-optimised, leaf and spine: GPU i of every node on the leaves of rail i
  rail_fat_tree_3,  ///< the same with a core layer
  multi_plane,      ///< MPFT: one independent two-layer fat tree per GPU index, no links between planes
  multi_rail,       ///< MRFT: rails as above, joined by the spine layer
  nvlink_rack,      ///< all GPUs in one NVLink domain (NVL72), racks joined by NICs
};
constexpr std::array<std::string_view, 6> enum_names(FabricKind) {
  return {"single_switch", "rail_fat_tree_2", "rail_fat_tree_3", "multi_plane", "multi_rail", "nvlink_rack"};
}

struct FabricSpec {
  std::string name;
  std::string title;
  FabricKind kind = FabricKind::single_switch;
  int switch_ports = 64;
  BytesPerSecond port_bandwidth;  ///< per direction
  int layers = 0;                 ///< of switches in a tree, at most; 0: the kind's own number, or as many as it takes
  double oversubscription = 1.0;  ///< downlink over uplink bandwidth of a leaf: 1 = non-blocking
  Seconds same_leaf_latency;      ///< end to end, small message
  Seconds cross_leaf_latency;
  Seconds plugin_latency;  ///< what NCCL's plugin for the network tells it that a hop takes; none: as over InfiniBand
  /// Buildings or places that the nodes are spread over evenly, in their order, each with trees of its own. All links
  /// of a site to the others together carry `site_bandwidth` per direction; a message between sites takes
  /// `site_latency` longer.
  int sites = 1;
  BytesPerSecond site_bandwidth;
  Seconds site_latency;
  std::map<std::string, Source> sources;

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("name", &FabricSpec::name, {.cause = "fabric", .shown = "fabric", .resolved = true});
    field("kind", &FabricSpec::kind, {"fabric"});
    field("port_bandwidth", &FabricSpec::port_bandwidth, {"fabric"});
    field("switch_ports", &FabricSpec::switch_ports, {"fabric"});
    field("layers", &FabricSpec::layers, {.cause = "fabric", .absent = "as many as it takes"});
    field("title", &FabricSpec::title, {kLabel});
    field("oversubscription", &FabricSpec::oversubscription, {"fabric"});
    field("same_leaf_latency", &FabricSpec::same_leaf_latency, {"fabric"});
    field("cross_leaf_latency", &FabricSpec::cross_leaf_latency, {"fabric"});
    field("plugin_latency", &FabricSpec::plugin_latency, {.cause = "fabric", .absent = "as over InfiniBand"});
    field("sites", &FabricSpec::sites, {"fabric"});
    field("site_bandwidth", &FabricSpec::site_bandwidth, {.cause = "fabric", .absent = "one site"});
    field("site_latency", &FabricSpec::site_latency, {"fabric"});
    field("sources", &FabricSpec::sources, {.cause = kLabel, .resolved = true});
  }
};

/// A link or a GPU that is slower than its data sheet, as a scenario states it.
struct SlowPart {
  enum class Kind { gpu, nic, nvlink } kind = Kind::gpu;
  int rank = 0;        ///< global GPU index it belongs to
  double speed = 1.0;  ///< 0.8 = runs at 80 %

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("kind", &SlowPart::kind, {.cause = "slow", .resolved = true});
    field("rank", &SlowPart::rank, {.cause = "slow", .resolved = true});
    field("speed", &SlowPart::speed, {"slow"});
  }
};
constexpr std::array<std::string_view, 3> enum_names(SlowPart::Kind) { return {"gpu", "nic", "nvlink"}; }

struct ClusterSpec {
  std::string name;
  std::string title;
  NodeSpec node;
  int nodes = 1;
  FabricSpec fabric;
  std::vector<SlowPart> slow_parts;
  int gpus() const { return nodes * node.gpus; }
  /// Of a GPU, from 0.
  int site_of(int rank) const { return static_cast<int>(std::int64_t{rank / node.gpus} * fabric.sites / nodes); }

  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("nodes", &ClusterSpec::nodes, {"plan"});
    field("name", &ClusterSpec::name, {.cause = kLabel, .resolved = true});
    field("title", &ClusterSpec::title, {.cause = kLabel, .resolved = true});
    field("node", &ClusterSpec::node, {.resolved = true});
    field("fabric", &ClusterSpec::fabric, {.resolved = true});
    field("slow", &ClusterSpec::slow_parts, {.cause = "slow", .resolved = true});
  }
};

}  // namespace flopcast
