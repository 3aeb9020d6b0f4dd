// Nodes, fabrics and clusters as their data files describe them. How they become links and routes: topology.h.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "hwmodels/chips/gpu.h"

namespace flopcast {

/// One server (or one NVLinked rack): GPUs behind NVSwitches, one NIC per GPU.
struct NodeSpec {
  std::string name;
  std::string title;
  GpuSpec gpu;
  int gpus = 8;
  /// Per direction and GPU; the GPU's own figure unless the node states another.
  BytesPerSecond nvlink_bandwidth;
  /// Fraction of the NVLink data-sheet rate that copies and collectives reach (measured).
  double nvlink_efficiency = 1.0;
  Seconds nvlink_latency;
  int nics_per_gpu = 1;
  BytesPerSecond nic_bandwidth;      ///< per direction and NIC
  double nic_efficiency = 1.0;       ///< measured goodput over line rate, large messages
  bool in_switch_reduction = false;  ///< the NVSwitches add and multicast (NVLink SHARP: Hopper and later)
  Watts overhead_power;              ///< CPUs, memory, fans, NICs of the node, without its GPUs
  std::map<std::string, Source> sources;
};

enum class FabricKind {
  single_switch,    ///< every NIC on one ideal switch
  rail_fat_tree_2,  ///< rail-optimised, leaf and spine: GPU i of every node on the leaves of rail i
  rail_fat_tree_3,  ///< the same with a core layer
  multi_plane,      ///< MPFT: one independent two-layer fat tree per GPU index, no links between planes
  multi_rail,       ///< MRFT: rails as above, joined by the spine layer
  nvlink_rack,      ///< all GPUs in one NVLink domain (NVL72), racks joined by NICs
};

struct FabricSpec {
  std::string name;
  std::string title;
  FabricKind kind = FabricKind::single_switch;
  int switch_ports = 64;
  BytesPerSecond port_bandwidth;  ///< per direction
  double oversubscription = 1.0;  ///< downlink over uplink bandwidth of a leaf: 1 = non-blocking
  Seconds same_leaf_latency;      ///< end to end, small message
  Seconds cross_leaf_latency;
  std::map<std::string, Source> sources;
};

/// A link or a GPU that is slower than its data sheet, as a scenario states it.
struct SlowPart {
  enum class Kind { gpu, nic, nvlink } kind = Kind::gpu;
  int rank = 0;        ///< global GPU index it belongs to
  double speed = 1.0;  ///< 0.8 = runs at 80 %
};

struct ClusterSpec {
  std::string name;
  std::string title;
  NodeSpec node;
  int nodes = 1;
  FabricSpec fabric;
  std::vector<SlowPart> slow_parts;
  int gpus() const { return nodes * node.gpus; }
};

}  // namespace flopcast
