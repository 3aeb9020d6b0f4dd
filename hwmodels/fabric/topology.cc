#include "hwmodels/fabric/topology.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hwmodels/fabric/fabric_graph.h"

namespace flopcast {
namespace {

/// Both directions of one port.
struct PortPair {
  LinkId out, in;
};

/// Routes of one port, made when first asked for: [side][climb], climb = layers above the leaf that a flow
/// crosses.
using PortRoutes = std::array<std::array<RouteId, 3>, 3>;

/// Ports of a GPU and their routes. Links come into being when they are first asked for: a folded step uses those of a
/// few GPUs of a hundred thousand.
struct GpuPorts {
  PortPair nvlink, nic;
  std::array<RouteId, 3> nvlink_routes;  // [side]
  PortRoutes nic_routes;
};

}  // namespace

struct Topology::Impl {
  explicit Impl(const ClusterSpec& c);

  ClusterSpec cluster;
  FabricGraph fabric;
  Network network;
  std::vector<std::unique_ptr<GpuPorts>> ports;  // by rank
  /// Aggregated uplinks of the groups of each layer from the leaves on; empty when nothing below can fill them.
  std::vector<std::vector<PortPair>> uplinks;
  std::vector<PortPair> site_links;  // empty: one site
  std::map<double, LinkId> caps;     // by rate
  struct Made {
    std::uint32_t rank;
    bool nic;  // else NVLink
  };
  std::vector<Made> made;  // ports, in the order of their links

  PortPair add_pair(const std::string& name, BytesPerSecond bandwidth);
  GpuPorts& ports_of(RankId rank);
  const PortPair& nvlink(RankId rank);
  const PortPair& nic(RankId rank);
  void add_uplinks();
  double slowdown(SlowPart::Kind kind, int rank) const;
  int node_of(RankId rank) const { return static_cast<int>(rank.index()) / cluster.node.gpus; }
  RankId peer_in_node(RankId rank, RankId index_like) const {
    const int gpus = cluster.node.gpus;
    return RankId::at(node_of(rank) * gpus + static_cast<int>(index_like.index()) % gpus);
  }
  void append_up(std::vector<LinkId>& links, int leaf_index, int climb) const;
  void append_down(std::vector<LinkId>& links, int leaf_index, int climb) const;
};

Topology::Impl::Impl(const ClusterSpec& c) : cluster(c), fabric(c), ports(static_cast<std::size_t>(c.gpus())) {
  if (c.fabric.oversubscription > 1.0) add_uplinks();
  for (int site = 0; c.fabric.sites > 1 && site < c.fabric.sites; ++site)
    site_links.push_back(add_pair("site" + std::to_string(site) + " links", c.fabric.site_bandwidth));
}

PortPair Topology::Impl::add_pair(const std::string& name, BytesPerSecond bandwidth) {
  return {network.add_link({name + " out", bandwidth}), network.add_link({name + " in", bandwidth})};
}

double Topology::Impl::slowdown(SlowPart::Kind kind, int rank) const {
  double speed = 1.0;
  for (const SlowPart& part : cluster.slow_parts)
    if (part.kind == kind && part.rank == rank) speed *= part.speed;
  return speed;
}

GpuPorts& Topology::Impl::ports_of(RankId rank) {
  std::unique_ptr<GpuPorts>& own = ports[rank.index()];
  if (!own) own = std::make_unique<GpuPorts>();
  return *own;
}

const PortPair& Topology::Impl::nvlink(RankId rank) {
  PortPair& port = ports_of(rank).nvlink;
  if (!port.out.valid()) {
    const int gpu = static_cast<int>(rank.index());
    const BytesPerSecond rate = node_link_bandwidth(cluster.node) * cluster.node.nvlink_efficiency;
    made.push_back({static_cast<std::uint32_t>(gpu), false});
    port = add_pair("gpu" + std::to_string(gpu) + " nvlink", rate * slowdown(SlowPart::Kind::nvlink, gpu));
  }
  return port;
}

const PortPair& Topology::Impl::nic(RankId rank) {
  PortPair& port = ports_of(rank).nic;
  if (!port.out.valid()) {
    const int gpu = static_cast<int>(rank.index());
    const BytesPerSecond rate = endpoint_bandwidth(cluster) * cluster.node.nic_efficiency;
    made.push_back({static_cast<std::uint32_t>(gpu), true});
    port = add_pair("gpu" + std::to_string(gpu) + " nic", rate * slowdown(SlowPart::Kind::nic, gpu));
  }
  return port;
}

/// All uplinks of a leaf as one link per direction. Routing is taken to spread flows evenly over equal paths
/// (adaptive routing, as InfiniBand switches do it): a hash that collides is not modelled. Uplinks of the groups above
/// are those of their leaves together, for the tree above the leaves is non-blocking.
void Topology::Impl::add_uplinks() {
  const auto up = [&](int leaf) {
    return fabric.down_bandwidth(leaf) * (cluster.node.nic_efficiency / cluster.fabric.oversubscription);
  };
  for (int layer = 1; layer < std::max(2, fabric.layers()); ++layer) {
    std::vector<BytesPerSecond> of_group(static_cast<std::size_t>(fabric.groups(layer)));
    for (int l = 0; l < fabric.leaves(); ++l) of_group[static_cast<std::size_t>(fabric.group_of(l, layer))] += up(l);
    const std::string name = layer == 1 ? "leaf" : layer == 2 ? "pod" : "core group ";
    std::vector<PortPair>& links = uplinks.emplace_back();
    for (std::size_t g = 0; g < of_group.size(); ++g)
      links.push_back(add_pair(name + std::to_string(g) + " uplinks", of_group[g]));
  }
}

void Topology::Impl::append_up(std::vector<LinkId>& links, int leaf_index, int climb) const {
  for (int layer = 1; layer <= std::min(climb, static_cast<int>(uplinks.size())); ++layer)
    links.push_back(
        uplinks[static_cast<std::size_t>(layer - 1)][static_cast<std::size_t>(fabric.group_of(leaf_index, layer))].out);
}

void Topology::Impl::append_down(std::vector<LinkId>& links, int leaf_index, int climb) const {
  for (int layer = std::min(climb, static_cast<int>(uplinks.size())); layer >= 1; --layer)
    links.push_back(
        uplinks[static_cast<std::size_t>(layer - 1)][static_cast<std::size_t>(fabric.group_of(leaf_index, layer))].in);
}

Topology::Topology(const ClusterSpec& cluster) : impl_(std::make_unique<Impl>(cluster)) {}
Topology::~Topology() = default;
Topology::Topology(Topology&&) noexcept = default;

const ClusterSpec& Topology::cluster() const { return impl_->cluster; }
const Network& Topology::network() const { return impl_->network; }
int Topology::switches() const { return impl_->fabric.switches(); }
int Topology::switch_links() const { return impl_->fabric.switch_links(); }
bool Topology::blocking() const { return !impl_->uplinks.empty(); }
int Topology::leaf(RankId rank) const { return impl_->fabric.leaf_of(rank); }
bool Topology::same_node(RankId a, RankId b) const { return impl_->node_of(a) == impl_->node_of(b); }
bool Topology::same_leaf(RankId a, RankId b) const { return leaf(a) == leaf(b); }
int Topology::site(RankId rank) const { return impl_->cluster.site_of(static_cast<int>(rank.index())); }
bool Topology::same_site(RankId a, RankId b) const { return impl_->site_links.empty() || site(a) == site(b); }
bool Topology::cross_plane(RankId a, RankId b) const { return !impl_->fabric.climb(leaf(a), leaf(b)).has_value(); }

RankId Topology::exit_gpu(RankId from, RankId to) const {
  return cross_plane(from, to) ? impl_->peer_in_node(from, to) : from;
}

LinkId Topology::nic(RankId rank, Side side) const {
  assert(side != Side::both);
  const PortPair& port = impl_->nic(rank);
  return side == Side::egress ? port.out : port.in;
}

RouteId Topology::route(RankId from, RankId to) {
  std::vector<LinkId> links;
  links_between(from, to, links);
  return impl_->network.add_route(links);
}

void Topology::links_between(RankId from, RankId to, std::vector<LinkId>& links) const {
  assert(from != to);
  Impl& t = *impl_;
  links.clear();
  if (same_node(from, to)) {
    links.push_back(t.nvlink(from).out);
    links.push_back(t.nvlink(to).in);
    return;
  }
  const RankId exit = exit_gpu(from, to);
  if (exit != from) {
    links.push_back(t.nvlink(from).out);
    links.push_back(t.nvlink(exit).in);
  }
  const int climb = t.fabric.climb(leaf(exit), leaf(to)).value();
  links.push_back(t.nic(exit).out);
  t.append_up(links, leaf(exit), climb);
  if (!same_site(exit, to)) {
    links.push_back(t.site_links[static_cast<std::size_t>(site(exit))].out);
    links.push_back(t.site_links[static_cast<std::size_t>(site(to))].in);
  }
  t.append_down(links, leaf(to), climb);
  links.push_back(t.nic(to).in);
}

/// A core layer adds the same two hops again that the spine layer adds to a leaf.
Seconds Topology::latency(RankId from, RankId to) const {
  const ClusterSpec& c = impl_->cluster;
  if (same_node(from, to)) return c.node.nvlink_latency;
  const bool forwarded = cross_plane(from, to);
  const RankId exit = forwarded ? impl_->peer_in_node(from, to) : from;
  const int climb = impl_->fabric.climb(leaf(exit), leaf(to)).value();
  const Seconds per_layer = c.fabric.cross_leaf_latency - c.fabric.same_leaf_latency;
  const Seconds further = same_site(exit, to) ? Seconds(0) : c.fabric.site_latency;
  const Seconds network = c.fabric.same_leaf_latency + per_layer * climb + further;
  return forwarded ? c.node.nvlink_latency + network : network;
}

RouteId Topology::nvlink_port(RankId rank, Side side) {
  RouteId& known = impl_->ports_of(rank).nvlink_routes[static_cast<std::size_t>(side)];
  if (known.valid()) return known;
  const PortPair& port = impl_->nvlink(rank);
  switch (side) {
    case Side::both:
      return known = impl_->network.add_route({port.out, port.in});
    case Side::egress:
      return known = impl_->network.add_route({port.out});
    case Side::ingress:
      return known = impl_->network.add_route({port.in});
  }
  return known;
}

RouteId Topology::nic_port(RankId rank, Side side, bool crosses_spine, bool crosses_core) {
  Impl& t = *impl_;
  const int climb = crosses_core ? 2 : crosses_spine ? 1 : 0;
  RouteId& known = t.ports_of(rank).nic_routes[static_cast<std::size_t>(side)][static_cast<std::size_t>(climb)];
  if (known.valid()) return known;
  std::vector<LinkId> links;
  if (side != Side::ingress) {
    links.push_back(t.nic(rank).out);
    t.append_up(links, leaf(rank), climb);
  }
  if (side != Side::egress) {
    t.append_down(links, leaf(rank), climb);
    links.push_back(t.nic(rank).in);
  }
  return known = t.network.add_route(links);
}

RouteId Topology::site_port(RankId rank, Side side) {
  Impl& t = *impl_;
  assert(!t.site_links.empty());
  const PortPair& own = t.site_links[static_cast<std::size_t>(site(rank))];
  const int top = t.fabric.layers() - 1;
  std::vector<LinkId> links;
  if (side != Side::ingress) {
    links.push_back(t.nic(rank).out);
    t.append_up(links, leaf(rank), top);
    links.push_back(own.out);
  }
  if (side != Side::egress) {
    links.push_back(own.in);
    t.append_down(links, leaf(rank), top);
    links.push_back(t.nic(rank).in);
  }
  return t.network.add_route(links);
}

void Topology::archive(StateArchive& state) {
  Impl& t = *impl_;
  assert(t.caps.empty());
  std::vector<Impl::Made> made = t.made;
  state(made);
  for (const Impl::Made& port : made) port.nic ? t.nic(RankId::at(port.rank)) : t.nvlink(RankId::at(port.rank));
}

RouteId Topology::capped(RouteId route, BytesPerSecond rate) {
  Impl& t = *impl_;
  if (rate >= t.network.bottleneck(route) * (1 - 1e-12)) return route;  // equal up to rounding
  auto [cap, fresh] = t.caps.try_emplace(rate.value());
  if (fresh) cap->second = t.network.add_link({"sender's own pace", rate, /*shared=*/false});
  const auto plain = t.network.route(route);
  std::vector<LinkId> links(plain.begin(), plain.end());
  links.push_back(cap->second);
  return t.network.add_route(links);
}

}  // namespace flopcast
