// The cluster as a graph: GPUs, NVSwitches, NICs and the switches between nodes, joined by cables.
#pragma once
#include <memory>
#include <optional>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/ids.h"

namespace flopcast {

/// A Boost graph with the questions that the topology asks of it. An edge stands for all parallel cables
/// between two vertices, so that a fabric of 65,536 endpoints has a few edges per port and no more.
class FabricGraph {
 public:
  /// @throws InputError when the fabric cannot hold the cluster (too few switch ports for its layers).
  explicit FabricGraph(const ClusterSpec& cluster);
  ~FabricGraph();
  FabricGraph(FabricGraph&&) noexcept;

  int leaves() const;
  /// Leaf switch of a GPU's NIC.
  int leaf_of(RankId rank) const;
  /// Pod of a leaf: the leaves below one set of spines in a three-layer tree. With two layers, the whole
  /// tree.
  int pod_of(int leaf) const;
  int pods() const;
  /// Bandwidth of all NICs below a leaf together, per direction.
  BytesPerSecond down_bandwidth(int leaf) const;

  /// How many switch layers above the leaves the shortest path between two leaves climbs: 0 for one and the
  /// same leaf, 1 over a spine, 2 over a core switch. Nothing when no path exists (separate planes).
  std::optional<int> climb(int from_leaf, int to_leaf) const;

  int switches() const;      ///< of the fabric between nodes, NVSwitches not counted
  int switch_links() const;  ///< cables between those switches
  std::size_t vertices() const;
  std::size_t edges() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a NIC port carries per direction: the NICs of one GPU together, or the switch ports they hang off if
/// slower.
BytesPerSecond endpoint_bandwidth(const ClusterSpec& cluster);
/// What a GPU's port within the node carries per direction: NVLink, or PCIe where there is none.
BytesPerSecond node_link_bandwidth(const NodeSpec& node);

/// The rate that takes the place of the line rate where times of kernels and collectives are worked out: fits
/// (link_calibration.h) give goodput over the line rate of the nodes that were measured; a node that states another
/// efficiency is that much faster or slower. @{
BytesPerSecond nic_pace(const ClusterSpec& cluster);
BytesPerSecond node_link_pace(const NodeSpec& node);
/// @}

}  // namespace flopcast
