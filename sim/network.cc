#include "sim/network.h"

#include <algorithm>
#include <cassert>
#include <stdexcept>

#include "sim/base/fnv.h"

namespace flopcast {
namespace {

void require_positive(BytesPerSecond bandwidth, const std::string& link) {
  if (!is_finite(bandwidth) || bandwidth <= BytesPerSecond(0.0))
    throw std::invalid_argument("link " + link + ": its bandwidth must be finite and above zero");
}

std::uint64_t hash_of(std::span<const LinkId> links) {
  std::uint64_t hash = kFnvStart;
  for (LinkId link : links) hash = fnv1a(hash, link.index());
  return hash;
}

}  // namespace

LinkId Network::add_link(Link link) {
  require_positive(link.bandwidth, link.name);
  links_.push_back(std::move(link));
  return LinkId::at(links_.size() - 1);
}

RouteId Network::add_route(std::span<const LinkId> links) {
  assert(!links.empty());
  if (2 * (route_count() + 1) > cells_.size()) grow_cells();
  RouteId& cell = cell_of(links);
  if (cell.valid()) return cell;
  for (std::size_t i = 0; i < links.size(); ++i) {
    assert(links[i].index() < links_.size());
    assert(std::find(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(i), links[i]) ==
           links.begin() + static_cast<std::ptrdiff_t>(i));
  }
  route_links_.insert(route_links_.end(), links.begin(), links.end());
  route_begin_.push_back(route_links_.size());
  const RouteId id = RouteId::at(route_begin_.size() - 2);
  bottleneck_.push_back(smallest_bandwidth(id));
  return cell = id;
}

/// Where these links' route stands, or belongs.
RouteId& Network::cell_of(std::span<const LinkId> links) {
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t at = hash_of(links) & mask;; at = (at + 1) & mask)
    if (!cells_[at].valid() || std::ranges::equal(route(cells_[at]), links)) return cells_[at];
}

void Network::grow_cells() {
  constexpr std::size_t kSmallest = 64;  // a power of two, as every later size
  cells_.assign(std::max(kSmallest, 2 * cells_.size()), RouteId());
  for (std::size_t i = 0; i < route_count(); ++i) cell_of(route(RouteId::at(i))) = RouteId::at(i);
}

BytesPerSecond Network::smallest_bandwidth(RouteId id) const {
  const auto links = route(id);
  BytesPerSecond smallest = link(links.front()).bandwidth;
  for (LinkId each : links) smallest = std::min(smallest, link(each).bandwidth);
  return smallest;
}

}  // namespace flopcast
