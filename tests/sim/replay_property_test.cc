// Laws that every replay obeys, on seeded random graphs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "sim/replay.h"
#include "tests/catch.h"
#include "tests/sim/random_graphs.h"

using namespace flopcast;
using flopcast::test::random_system;
using flopcast::test::System;

namespace {

constexpr int kSeeds = 25;

struct Times {
  ReplayResult result;
  std::uint64_t fingerprint = 0;
  std::vector<double> start, end;
};

ReplayOptions by_simgrid() { return {.solver = Solver::simgrid_child, .progress = {}}; }
ReplayOptions here() { return {.solver = Solver::in_process, .progress = {}}; }

Times replayed(const System& system, const ReplayOptions& options = by_simgrid()) {
  SpanSink spans(system.graph);
  FingerprintSink fingerprint;
  TimelineSink* const sinks[] = {&spans, &fingerprint};
  Times times;
  times.result = replay(system.graph, system.network, sinks, options);
  times.fingerprint = fingerprint.value();
  for (std::size_t i = 0; i < system.graph.size(); ++i) {
    times.start.push_back(spans.start(OpId::at(i)).value());
    times.end.push_back(spans.end(OpId::at(i)).value());
  }
  return times;
}

ReplayOptions ideal() { return {.sharing = Sharing::ideal, .progress = {}}; }
ReplayOptions everything_solved() {
  return {.solver = Solver::simgrid_child, .solve_every_flow = true, .progress = {}};
}

double largest_difference(const Times& a, const Times& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.end.size(); ++i)
    largest = std::max({largest, std::abs(a.end[i] - b.end[i]), std::abs(a.start[i] - b.start[i])});
  return largest;
}

/// Max-min fair rates by progressive filling: fill all flows alike until a link is full, fix those on it, go on.
class ReferenceSharing {
 public:
  explicit ReferenceSharing(const Network& network) : network_(network) {}

  std::vector<double> rates(const std::vector<RouteId>& flows) const {
    std::vector<double> rate(flows.size(), -1.0);
    std::vector<double> left(network_.link_count());
    for (std::size_t i = 0; i < left.size(); ++i) left[i] = network_.link(LinkId::at(i)).bandwidth.value();
    for (std::size_t fixed = 0; fixed < flows.size();) {
      const double level = lowest_fair_share(flows, rate, left);
      std::vector<std::size_t> now_fixed;
      for (std::size_t f = 0; f < flows.size(); ++f)
        if (rate[f] < 0.0 && is_limited(flows, rate, left, f, level)) now_fixed.push_back(f);
      for (std::size_t f : now_fixed) {
        rate[f] = level;
        for (LinkId link : network_.route(flows[f]))
          if (network_.link(link).shared) left[link.index()] -= level;
      }
      fixed += now_fixed.size();
    }
    return rate;
  }

 private:
  int open_flows(const std::vector<RouteId>& flows, const std::vector<double>& rate, LinkId link) const {
    int count = 0;
    for (std::size_t f = 0; f < flows.size(); ++f)
      count += rate[f] < 0.0 && std::ranges::find(network_.route(flows[f]), link) != network_.route(flows[f]).end();
    return count;
  }
  double share(const std::vector<RouteId>& flows, const std::vector<double>& rate, const std::vector<double>& left,
               LinkId link) const {
    if (!network_.link(link).shared) return network_.link(link).bandwidth.value();
    return left[link.index()] / open_flows(flows, rate, link);
  }
  double lowest_fair_share(const std::vector<RouteId>& flows, const std::vector<double>& rate,
                           const std::vector<double>& left) const {
    double lowest = std::numeric_limits<double>::infinity();
    for (std::size_t f = 0; f < flows.size(); ++f)
      if (rate[f] < 0.0)
        for (LinkId link : network_.route(flows[f])) lowest = std::min(lowest, share(flows, rate, left, link));
    return lowest;
  }
  bool is_limited(const std::vector<RouteId>& flows, const std::vector<double>& rate, const std::vector<double>& left,
                  std::size_t f, double level) const {
    return std::ranges::any_of(network_.route(flows[f]),
                               [&](LinkId link) { return share(flows, rate, left, link) <= level * (1.0 + 1e-12); });
  }

  const Network& network_;
};

/// Ends of flows that start at given times, stepping from event to event with the reference rates.
std::vector<double> reference_ends(const Network& network, const std::vector<RouteId>& routes,
                                   const std::vector<double>& starts, std::vector<double> bytes) {
  const ReferenceSharing sharing(network);
  std::vector<double> ends(routes.size(), -1.0);
  double now = 0.0;
  while (std::ranges::any_of(ends, [](double end) { return end < 0.0; })) {
    std::vector<std::size_t> active;
    std::vector<RouteId> active_routes;
    double next = std::numeric_limits<double>::infinity();
    for (std::size_t f = 0; f < routes.size(); ++f) {
      if (ends[f] >= 0.0) continue;
      if (starts[f] > now) {
        next = std::min(next, starts[f]);
      } else {
        active.push_back(f);
        active_routes.push_back(routes[f]);
      }
    }
    const std::vector<double> rates = sharing.rates(active_routes);
    for (std::size_t i = 0; i < active.size(); ++i) next = std::min(next, now + bytes[active[i]] / rates[i]);
    for (std::size_t i = 0; i < active.size(); ++i) {
      const std::size_t f = active[i];
      const bool ended = now + bytes[f] / rates[i] <= next * (1.0 + 1e-14);
      bytes[f] -= rates[i] * (next - now);
      if (ended) ends[f] = next;
    }
    now = next;
  }
  return ends;
}

/// The longest chain when every operation takes as long as it would alone. Operations are numbered in an order in
/// which they can run.
double critical_path(const System& system) {
  std::vector<double> earliest(system.graph.size());
  double longest = 0.0;
  for (std::size_t i = 0; i < system.graph.size(); ++i) {
    const OpId op = OpId::at(i);
    double moving = 0.0;
    for (const Flow& flow : system.graph.flows(op))
      moving = std::max(moving, (flow.bytes / system.network.bottleneck(flow.route)).value());
    const double end = earliest[i] + system.graph.duration(op).value() + moving;
    for (OpId next : system.graph.successors(op)) earliest[next.index()] = std::max(earliest[next.index()], end);
    longest = std::max(longest, end);
  }
  return longest;
}

double busiest_link(const System& system) {
  std::vector<double> busy(system.network.link_count());
  for (std::size_t i = 0; i < system.graph.size(); ++i)
    for (const Flow& flow : system.graph.flows(OpId::at(i)))
      for (LinkId id : system.network.route(flow.route)) {
        const Link& link = system.network.link(id);
        if (link.shared) busy[id.index()] += (flow.bytes / link.bandwidth).value();
      }
  return *std::ranges::max_element(busy);
}

}  // namespace

TEST_CASE("Ends of contending flows are those of progressive filling") {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    RandomStream random(seed, 1);
    Network network;
    std::vector<LinkId> links;
    for (int i = 0; i < 8; ++i)
      links.push_back(network.add_link({"link", BytesPerSecond(1e9 * (1.0 + 9.0 * random.uniform())), i % 4 != 0}));
    GraphBuilder builder;
    std::vector<RouteId> routes;
    std::vector<double> starts, bytes;
    std::vector<OpId> transfers;
    for (int i = 0; i < 40; ++i) {
      std::vector<LinkId> route;
      for (LinkId link : links)
        if (random.uniform() < 0.3) route.push_back(link);
      if (route.empty()) route.push_back(links[5]);
      routes.push_back(network.add_route(route));
      starts.push_back(i % 5 == 0 ? 1.0 : 10.0 * random.uniform());
      bytes.push_back(std::floor(1.0 + 1e10 * random.uniform()));
      const LaneId lane = builder.add_lane(RankId(0), "lane");
      builder.compute(lane, Seconds(starts.back()));
      const Flow flow{routes.back(), Bytes(bytes.back())};
      transfers.push_back(builder.transfer(lane, Seconds(0), std::span(&flow, 1)));
    }
    const System system{network, std::move(builder).build()};
    const Times times = replayed(system);
    const std::vector<double> expected = reference_ends(network, routes, starts, bytes);
    for (std::size_t f = 0; f < routes.size(); ++f)
      CHECK(times.end[transfers[f].index()] == Approx(expected[f]).epsilon(1e-9));
    CHECK(times.result.contended_flows > 10);
  }
}

TEST_CASE("Flows that meet nobody end at the same time on the calendar and in SimGrid") {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const System system = random_system(seed, {});
    const Times mixed = replayed(system);
    const Times solved = replayed(system, everything_solved());
    CHECK(largest_difference(mixed, solved) <= 1e-9 * mixed.result.makespan.value());
    CHECK(mixed.result.contended_flows > 0);
    CHECK(mixed.result.contended_flows < solved.result.contended_flows);
  }
}

TEST_CASE("Where no link is shared, contention changes nothing") {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const System system = random_system(seed, {.share_links = false});
    const Times contended = replayed(system);
    CHECK(contended.result.contended_flows == 0);
    CHECK(largest_difference(contended, replayed(system, ideal())) == 0.0);
    CHECK(largest_difference(contended, replayed(system, everything_solved())) <=
          1e-9 * contended.result.makespan.value());
  }
}

TEST_CASE("Nothing is faster than the critical path or the busiest link, and contention only delays") {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const System system = random_system(seed, {.lanes = 12, .operations = 300, .links = 3});
    const double makespan = replayed(system).result.makespan.value();
    CHECK(makespan >= critical_path(system) * (1.0 - 1e-12));
    CHECK(makespan >= busiest_link(system) * (1.0 - 1e-12));
    CHECK(replayed(system, ideal()).result.makespan.value() == Approx(critical_path(system)).epsilon(1e-12));
  }
}

TEST_CASE("A link that is never idle carries exactly its bytes") {
  // All flows start at once on one link and end in the order of their size, so the last end is all bytes / bandwidth.
  RandomStream random(5);
  Network network;
  const RouteId route = network.add_route({network.add_link({"link", 7_GBps, true})});
  GraphBuilder builder;
  double bytes = 0.0;
  for (int i = 0; i < 100; ++i) {
    const Flow flow{route, Bytes(std::floor(1e9 * random.uniform()))};
    bytes += flow.bytes.value();
    builder.detached_transfer(RankId(0), 0_s, std::span(&flow, 1));
  }
  const System system{network, std::move(builder).build()};
  CHECK(replayed(system).result.makespan.value() == Approx(bytes / 7e9).epsilon(1e-12));
}

TEST_CASE("Everything twice as fast takes half the time") {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Times once = replayed(random_system(seed, {}));
    const Times twice = replayed(random_system(seed, {.rate_factor = 2.0}));
    CHECK(twice.result.makespan.value() == Approx(once.result.makespan.value() / 2.0).epsilon(1e-9));
  }
}

TEST_CASE("No operation starts before its predecessors end, and lanes hold one operation at a time") {
  const System system = random_system(3, {});
  const Times times = replayed(system);
  std::vector<double> lane_free(system.graph.lane_count(), 0.0);
  for (std::size_t i = 0; i < system.graph.size(); ++i) {
    const OpId op = OpId::at(i);
    for (OpId next : system.graph.successors(op)) CHECK(times.start[next.index()] >= times.end[i]);
    CHECK(times.end[i] >= times.start[i]);
    if (!system.graph.lane(op).valid()) continue;
    double& free = lane_free[system.graph.lane(op).index()];
    CHECK(times.start[i] >= free);
    free = times.end[i];
  }
}

TEST_CASE("The same input gives the same fingerprint, whatever was replayed before") {
  const System system = random_system(1, {});
  const Times first = replayed(system);
  const Times again = replayed(system);
  CHECK(first.fingerprint == again.fingerprint);
  CHECK(largest_difference(first, again) == 0.0);
  for (std::uint64_t seed = 2; seed < 6; ++seed)
    CHECK(replayed(random_system(seed, {})).fingerprint != first.fingerprint);
  const Times later = replayed(system);
  CHECK(first.fingerprint == later.fingerprint);
  CHECK(largest_difference(first, later) == 0.0);
}

namespace {

void check_that_engines_agree(std::uint64_t seeds) {
  const ReplayOptions all_here{.solver = Solver::in_process, .solve_every_flow = true, .progress = {}};
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    // A fifth of the links caps each flow on its own; narrow networks and wide ones.
    const System system = random_system(seed, {.lanes = 6 + static_cast<int>(seed % 3) * 10,
                                               .operations = 200 + static_cast<int>(seed % 2) * 400,
                                               .links = 2 + static_cast<int>(seed % 5) * 3});
    const Times child = replayed(system);
    const Times own = replayed(system, here());
    CAPTURE(seed);
    CHECK(largest_difference(child, own) <= 1e-9 * child.result.makespan.value());
    CHECK(own.result.contended_flows == child.result.contended_flows);
    CHECK(largest_difference(own, replayed(system, all_here)) <= 1e-9 * child.result.makespan.value());
  }
}

}  // namespace

TEST_CASE("Shared out in this process, flows end when SimGrid ends them") { check_that_engines_agree(4 * kSeeds); }

TEST_CASE("Ten thousand random systems: flows end when SimGrid ends them", "[.][slow]") {
  check_that_engines_agree(10'000);
}

TEST_CASE("Replays in several threads at once give what one alone gives") {
  constexpr std::uint64_t kSystems = 8;
  std::vector<std::uint64_t> alone, together(kSystems);
  for (std::uint64_t seed = 0; seed < kSystems; ++seed)
    alone.push_back(replayed(random_system(seed, {}), here()).fingerprint);
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 0; seed < kSystems; ++seed)
    threads.emplace_back([&, seed] { together[seed] = replayed(random_system(seed, {}), here()).fingerprint; });
  for (std::thread& thread : threads) thread.join();
  CHECK(alone == together);
}
