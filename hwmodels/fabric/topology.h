// From a cluster description to links and routes: ports of GPUs and trees of switches (fabric_graph.h), lowered to the
// sim's Network as far as somebody asks for them.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "sim/base/state_archive.h"
#include "sim/network.h"

namespace flopcast {

/// The network of a cluster, ready for the replay. Ports are what collectives talk to: every GPU has an
/// NVLink port pair (to and from its NVSwitch) and a NIC port pair (to and from its leaf switch).
class Topology {
 public:
  explicit Topology(const ClusterSpec& cluster);
  ~Topology();
  Topology(Topology&&) noexcept;

  const ClusterSpec& cluster() const;
  const Network& network() const;

  bool same_node(RankId a, RankId b) const;
  /// Route and small-message latency of a point-to-point transfer a -> b: NVLink within a node, else NIC to
  /// NIC; where the fabric has separate planes and a and b differ in GPU index, NVLink to the right GPU
  /// first. Interned; a != b.
  RouteId route(RankId from, RankId to);
  /// The links of that route, not kept: for callers with very many pairs.
  void links_between(RankId from, RankId to, std::vector<LinkId>& links) const;
  /// The GPU through whose NIC that route leaves the node.
  RankId exit_gpu(RankId from, RankId to) const;
  Seconds latency(RankId from, RankId to) const;

  /// Per-port flows for collectives (see workloads/collectives/collectives.h): a flow over a GPU's NVLink egress and
  /// ingress at once, over its NIC egress and ingress at once, or over one side only. `crosses_spine` adds
  /// the leaf's share of uplinks (oversubscribed fabrics are slower there), `crosses_core` the third layer.
  enum class Side { both, egress, ingress };
  LinkId nic(RankId rank, Side side) const;  ///< of one side
  RouteId nvlink_port(RankId rank, Side side);
  RouteId nic_port(RankId rank, Side side, bool crosses_spine, bool crosses_core = false);
  /// The same for what leaves a GPU's site, or comes from another: over the links that all of a site's GPUs share.
  RouteId site_port(RankId rank, Side side);
  /// The site that a GPU stands in; whether two stand in one.
  int site(RankId rank) const;
  bool same_site(RankId a, RankId b) const;
  /// True when a and b hang off the same leaf switch (traffic between them needs no spine).
  bool same_leaf(RankId a, RankId b) const;
  /// The leaf switch a GPU's NIC hangs off, numbered from 0 through the whole fabric.
  int leaf(RankId rank) const;
  /// True when the fabric has separate planes and a and b are in different ones (no path between their NICs).
  bool cross_plane(RankId a, RankId b) const;
  /// True when leaves are oversubscribed. Otherwise uplinks carry whatever the ports below them do and are
  /// left out of the routes: `crosses_spine` changes nothing.
  bool blocking() const;
  /// The same route for a sender that cannot drive it faster than `rate` (few SMs, busy memory): the cap
  /// holds for each flow on its own and takes nothing from others. Gives `route` back when its bottleneck is
  /// no faster than `rate`.
  RouteId capped(RouteId route, BytesPerSecond rate);

  /// Links of ports come into being when they are first asked for: the order in which they did, for a state that names
  /// them by number; a topology that has asked for none, or for the same in the same order, makes them so.
  void archive(StateArchive& state);

  /// Counts for reports and for the fabric's cost: switches and inter-switch links.
  int switches() const;
  int switch_links() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace flopcast
