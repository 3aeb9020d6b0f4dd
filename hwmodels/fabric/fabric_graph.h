// The switches between nodes: trees of up to four layers, counted and numbered, not drawn cable by cable.
#pragma once
#include <memory>
#include <optional>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/ids.h"

namespace flopcast {

/// Every fabric here is one tree of switches or several, filled from one end: which leaf a NIC hangs off, and which
/// leaves lie below one set of spines, of cores, of super-cores follow from sizes alone. So a fabric takes a number per
/// endpoint and a few per leaf, whatever its cables.
class FabricGraph {
 public:
  /// @throws InputError when the fabric cannot hold the cluster (too few switch ports for its layers).
  explicit FabricGraph(const ClusterSpec& cluster);
  ~FabricGraph();
  FabricGraph(FabricGraph&&) noexcept;

  int leaves() const;
  /// Leaf switch of a GPU's NIC.
  int leaf_of(RankId rank) const;
  /// Switch layers of the tallest tree; 1: nothing above the leaves.
  int layers() const;
  /// The leaves that meet below switches of one layer are a group of that layer: layer 1 is the leaf itself, layer 2 a
  /// pod (one set of spines), layer 3 what cores join, ... Numbered from 0 in each layer. Above the top of a leaf's
  /// tree, the tree.
  int group_of(int leaf, int layer) const;
  int groups(int layer) const;
  int pods() const { return groups(2); }
  /// Bandwidth of all NICs below a leaf together, per direction.
  BytesPerSecond down_bandwidth(int leaf) const;

  /// How many switch layers above the leaves the shortest path between two leaves climbs: 0 for one and the
  /// same leaf, 1 over a spine, 2 over a core switch, ...; between sites, to the top. Nothing when no path exists
  /// (separate planes).
  std::optional<int> climb(int from_leaf, int to_leaf) const;

  int switches() const;      ///< of the fabric between nodes, NVSwitches not counted
  int switch_links() const;  ///< cables between those switches

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a NIC port carries per direction: the NICs of one GPU together, or the switch ports they hang off if
/// slower.
BytesPerSecond endpoint_bandwidth(const ClusterSpec& cluster);
/// The same cluster with every byte per second that data sheets give, as closed forms reckon. What messages reach of it
/// is a matter of measured links.
ClusterSpec at_full_rates(ClusterSpec cluster);
/// What a GPU's port within the node carries per direction: NVLink, or PCIe where there is none.
BytesPerSecond node_link_bandwidth(const NodeSpec& node);

/// The rate that takes the place of the line rate where times of kernels and collectives are worked out: fits
/// (link_calibration.h) give goodput over the line rate of the nodes that were measured; a node that states another
/// efficiency is that much faster or slower. @{
BytesPerSecond nic_pace(const ClusterSpec& cluster);
BytesPerSecond node_link_pace(const NodeSpec& node);
/// @}

}  // namespace flopcast
