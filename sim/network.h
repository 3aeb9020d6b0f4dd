// The network as the replay sees it: links with a bandwidth, routes as lists of links. Topology, placement and
// routing are decided before (hwmodels); nothing here knows what a switch is.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "sim/base/ids.h"
#include "sim/base/units.h"

namespace flopcast {

struct Link {
  std::string name;          ///< shown in reports of busy links
  BytesPerSecond bandwidth;  ///< of this direction, usable (protocol efficiency already taken off)
  bool shared = true;        ///< false: caps each flow on its own but is never contended (a fat pipe)
};

/// Links and routes of one simulation. Routes are interned: equal link lists give one RouteId.
class Network {
 public:
  LinkId add_link(Link link);
  /// @param links at least one, each existing, no link twice.
  RouteId add_route(std::span<const LinkId> links);
  RouteId add_route(std::initializer_list<LinkId> links) { return add_route(std::span(links.begin(), links.size())); }

  const Link& link(LinkId id) const { return links_[id.index()]; }
  std::size_t link_count() const { return links_.size(); }
  std::size_t route_count() const { return route_begin_.size() - 1; }
  std::span<const LinkId> route(RouteId id) const {
    return std::span(route_links_)
        .subspan(route_begin_[id.index()], route_begin_[id.index() + 1] - route_begin_[id.index()]);
  }
  /// The smallest bandwidth on the route: the rate of a flow that meets no other.
  BytesPerSecond bottleneck(RouteId id) const { return bottleneck_[id.index()]; }

 private:
  BytesPerSecond smallest_bandwidth(RouteId id) const;
  RouteId& cell_of(std::span<const LinkId> links);
  void grow_cells();

  std::vector<Link> links_;
  std::vector<LinkId> route_links_;          // all routes, back to back
  std::vector<std::size_t> route_begin_{0};  // route i is route_links_[begin[i], begin[i+1])
  std::vector<BytesPerSecond> bottleneck_;
  // For interning: a table with open addressing, half full at most. A step asks for a route per transfer, and a
  // standard table with a list of routes in each place took four of a hundred of its time.
  std::vector<RouteId> cells_;
};

}  // namespace flopcast
