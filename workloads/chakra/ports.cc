#include "workloads/chakra/ports.h"

#include <cmath>

namespace flopcast {
namespace {

constexpr int kNvlink = 0, kNic = 10, kSite = 30, kSides = 3;

RouteId plain_route(Topology& topology, RankId gpu, RankId peer, int number) {
  if (number == kPeerPort) return topology.route(gpu, peer);
  if (number >= kSite) return topology.site_port(gpu, static_cast<Topology::Side>(number - kSite));
  if (number < kNic) return topology.nvlink_port(gpu, static_cast<Topology::Side>(number - kNvlink));
  const int nic = number - kNic;
  return topology.nic_port(gpu, static_cast<Topology::Side>(nic % kSides), nic / kSides % 2 == 1, nic >= 2 * kSides);
}

bool same_links(const Network& network, RouteId a, RouteId b) {
  if (a == b) return true;
  // What caps a sender stands last.
  const auto links = network.route(a), plain = network.route(b);
  if (links.size() != plain.size() + 1 || network.link(links.back()).shared) return false;
  for (std::size_t i = 0; i < plain.size(); ++i)
    if (links[i] != plain[i]) return false;
  return true;
}

}  // namespace

int port_number(Topology& topology, RankId gpu, RankId peer, RouteId route) {
  const ClusterSpec& cluster = topology.cluster();
  const auto is = [&](int number) {
    return same_links(topology.network(), route, plain_route(topology, gpu, peer, number));
  };
  if (peer.valid() && is(kPeerPort)) return kPeerPort;
  for (int side = 0; side < kSides; ++side) {
    if (cluster.node.gpus > 1 && is(kNvlink + side)) return kNvlink + side;
    if (cluster.nodes == 1) continue;
    for (const int across : {0, kSides, 3 * kSides})
      if (is(kNic + across + side)) return kNic + across + side;
    if (cluster.fabric.sites > 1 && is(kSite + side)) return kSite + side;
  }
  return -1;
}

bool only_comes_in(int number) {
  if (number < 0 || number == kPeerPort) return false;
  const int first = number >= kSite ? kSite : number >= kNic ? kNic : kNvlink;
  return (number - first) % kSides == static_cast<int>(Topology::Side::ingress);
}

bool is_port_number(const Topology& topology, double number, bool has_peer) {
  if (number != std::floor(number)) return false;
  const ClusterSpec& cluster = topology.cluster();
  const auto among = [number](int first, int count) { return number >= first && number < first + count; };
  return among(kNvlink, kSides) || among(kNic, 4 * kSides) || (among(kSite, kSides) && cluster.fabric.sites > 1) ||
         (number == kPeerPort && has_peer);
}

RouteId port_route(Topology& topology, RankId gpu, RankId peer, int number, BytesPerSecond cap) {
  const RouteId route = plain_route(topology, gpu, peer, number);
  return cap > BytesPerSecond(0) ? topology.capped(route, cap) : route;
}

}  // namespace flopcast
