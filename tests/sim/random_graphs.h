// Seeded random systems for property tests.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sim/base/random.h"
#include "sim/graph.h"
#include "sim/network.h"

namespace flopcast::test {

struct System {
  Network network;
  OperationGraph graph;
};

struct SystemSize {
  int lanes = 8;
  int operations = 200;
  int links = 6;
  bool share_links = true;   ///< false: every route has links of its own, and lanes never use another's
  double rate_factor = 1.0;  ///< multiplies every bandwidth, divides every duration and latency
};

/// Chains of compute and transfers with random dependencies on earlier operations, over routes of one to three links.
inline System random_system(std::uint64_t seed, const SystemSize& size) {
  RandomStream random(seed);
  const auto below = [&](int n) { return static_cast<int>(random.uniform() * n); };
  System system;
  std::vector<std::vector<RouteId>> routes_of_lane(static_cast<std::size_t>(size.lanes));
  const auto add_links = [&] {
    std::vector<LinkId> links;
    for (int i = 0; i < size.links; ++i)
      links.push_back(system.network.add_link({"link" + std::to_string(system.network.link_count()),
                                               BytesPerSecond((1.0 + 9.0 * random.uniform()) * 1e9 * size.rate_factor),
                                               random.uniform() < 0.8}));
    return links;
  };
  std::vector<LinkId> links = add_links();
  for (auto& routes : routes_of_lane) {
    if (!size.share_links) links = add_links();
    const int count = size.share_links ? 4 : 1;
    for (int i = 0; i < count; ++i) {
      std::vector<LinkId> route;
      for (int hops = 1 + below(3); hops > 0; --hops) {
        const LinkId link = links[static_cast<std::size_t>(below(static_cast<int>(links.size())))];
        if (std::find(route.begin(), route.end(), link) == route.end()) route.push_back(link);
      }
      routes.push_back(system.network.add_route(route));
    }
  }
  GraphBuilder builder;
  std::vector<LaneId> lanes;
  for (int i = 0; i < size.lanes; ++i) lanes.push_back(builder.add_lane(RankId::at(i), "lane"));
  const auto seconds = [&] { return Seconds(random.uniform() / size.rate_factor); };
  for (int i = 0; i < size.operations; ++i) {
    const int lane = below(size.lanes);
    OpId op;
    const double draw = random.uniform();
    if (draw < 0.4) {
      op = builder.compute(lanes[static_cast<std::size_t>(lane)], draw < 0.05 ? Seconds(0) : seconds());
    } else if (draw < 0.5) {
      op = builder.join();
    } else {
      const auto& routes = routes_of_lane[static_cast<std::size_t>(lane)];
      std::vector<Flow> flows;
      for (int n = size.share_links ? below(4) : 1; n > 0; --n)
        flows.push_back({routes[static_cast<std::size_t>(below(static_cast<int>(routes.size())))],
                         Bytes(std::floor(random.uniform() * 4e9))});
      op = builder.transfer(lanes[static_cast<std::size_t>(lane)], draw < 0.75 ? Seconds(0) : 0.1 * seconds(), flows);
    }
    for (int n = i > 0 ? below(3) : 0; n > 0; --n) builder.after(op, OpId::at(below(i)));
  }
  system.graph = std::move(builder).build();
  return system;
}

}  // namespace flopcast::test
