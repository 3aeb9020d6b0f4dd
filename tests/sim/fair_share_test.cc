// Do flows that come and go share links as SimGrid shares them?
#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "sim/base/random.h"
#include "sim/fair_share.h"
#include "sim/graph.h"
#include "sim/replay.h"
#include "tests/catch.h"

using namespace flopcast;

namespace {

struct Case {
  Network network;
  std::vector<RouteId> routes;
};

/// Ports of eight hosts, two of them behind a narrow link: routes from port to port.
Case ports() {
  Case c;
  std::vector<LinkId> out, in;
  for (int i = 0; i < 8; ++i) {
    out.push_back(c.network.add_link({"out", BytesPerSecond(100 + 10 * i)}));
    in.push_back(c.network.add_link({"in", BytesPerSecond(150 - 5 * i)}));
  }
  const LinkId narrow = c.network.add_link({"narrow", BytesPerSecond(90)});
  const LinkId cap = c.network.add_link({"cap", BytesPerSecond(60), false});
  for (std::size_t a = 0; a < 8; ++a)
    for (std::size_t b = 0; b < 8; ++b) {
      if (a == b) continue;
      std::vector<LinkId> links = {out[a], in[b]};
      if (a < 2) links.push_back(narrow);
      if (b == 7) links.push_back(cap);
      c.routes.push_back(c.network.add_route(links));
    }
  return c;
}

/// Max-min fair rates of flows with caps of their own, found anew from nothing: all rates rise alike until a link is
/// full or a cap is reached.
class FilledAnew {
 public:
  struct Flow {
    std::vector<LinkId> links;
    double left = 0, rate = 0, since = 0;
    bool active = false;
  };
  explicit FilledAnew(const Network& network) : network_(network), taken_(network.link_count()) {}

  void start(double now, std::vector<LinkId> links, double bytes) {
    move_to(now);
    flows.push_back({std::move(links), bytes, 0, now, true});
    fill();
  }
  void end(double now, std::size_t flow) {
    move_to(now);
    flows[flow].active = false;
    fill();
  }
  void set_background(double now, LinkId link, double taken) {
    move_to(now);
    taken_[link.index()] = taken;
    fill();
  }
  double end_of(std::size_t flow) const { return flows[flow].since + flows[flow].left / flows[flow].rate; }
  std::size_t next() const {
    std::size_t first = flows.size();
    for (std::size_t f = 0; f < flows.size(); ++f)
      if (flows[f].active && (first == flows.size() || end_of(f) < end_of(first))) first = f;
    return first;
  }
  std::vector<Flow> flows;

 private:
  void move_to(double now) {
    for (Flow& flow : flows) {
      flow.left -= flow.rate * (now - flow.since);
      flow.since = now;
    }
  }
  void fill() {
    std::vector<std::size_t> open;
    for (std::size_t f = 0; f < flows.size(); ++f)
      if (flows[f].active) open.push_back(f);
    for (const std::size_t f : open) flows[f].rate = 0;
    while (!open.empty()) {
      double step = 1e300;
      std::vector<double> room(network_.link_count());
      std::vector<int> on(network_.link_count());
      for (std::size_t l = 0; l < room.size(); ++l)
        room[l] = network_.link(LinkId::at(l)).bandwidth.value() - taken_[l];
      for (const Flow& flow : flows)
        for (const LinkId link : flow.links)
          if (flow.active && network_.link(link).shared) room[link.index()] -= flow.rate;
      for (const std::size_t f : open)
        for (const LinkId link : flows[f].links) ++on[link.index()];
      const auto step_on = [&](std::size_t f, LinkId link) {
        if (network_.link(link).shared) return room[link.index()] / on[link.index()];
        return network_.link(link).bandwidth.value() - flows[f].rate;
      };
      for (const std::size_t f : open)
        for (const LinkId link : flows[f].links) step = std::min(step, step_on(f, link));
      std::vector<std::size_t> rest;
      for (const std::size_t f : open) {
        bool held = false;
        for (const LinkId link : flows[f].links) held |= step_on(f, link) <= step * (1 + 1e-12) + 1e-12;
        if (!held) rest.push_back(f);
      }
      for (const std::size_t f : open) flows[f].rate += step;
      open = std::move(rest);
    }
  }
  const Network& network_;
  std::vector<double> taken_;
};

}  // namespace

TEST_CASE("flows on random networks get the rates of filling from nothing", "[fair_share]") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    RandomStream random(seed);
    const auto below = [&](std::size_t n) {
      return static_cast<std::size_t>(random.uniform() * static_cast<double>(n));
    };
    Network network;
    // Few links or many, alike or not; a quarter of the seeds has equal bandwidths, so that levels tie.
    const std::size_t links = 2 + seed % 11;
    for (std::size_t i = 0; i < links; ++i)
      network.add_link({"l", BytesPerSecond(seed % 4 == 0 ? 60 : 20 + 100 * random.uniform()), random.uniform() < 0.8});
    FairShare fabric(network);
    FilledAnew reference(network);
    std::map<FairShare::Flow, std::size_t> which;
    std::vector<FairShare::Flow> flow_of;
    double now = 0;
    CAPTURE(seed);
    const auto drain = [&](double until) {
      for (std::size_t next = reference.next(); next < reference.flows.size(); next = reference.next()) {
        const double end = reference.end_of(next);
        if (end > until) return;
        REQUIRE(fabric.next_end().value() == Approx(end).epsilon(1e-9));
        // Which of two that end together is named first does not matter.
        const double told = fabric.next_end().value();
        for (const FairShare::Flow flow : fabric.ended_by(Seconds(told))) {
          REQUIRE(reference.end_of(which.at(flow)) == Approx(end).epsilon(1e-9));
          reference.end(std::max(end, told), which.at(flow));
        }
      }
    };
    for (int event = 0; event < 30; ++event) {
      if (random.uniform() < 0.8) now += random.exponential() * 0.4;
      drain(now);
      const double draw = random.uniform();
      if (draw < 0.1) {
        const LinkId link = LinkId::at(below(links));
        if (!network.link(link).shared) continue;
        const double taken = 0.8 * random.uniform() * network.link(link).bandwidth.value();
        fabric.set_background(Seconds(now), link, BytesPerSecond(taken));
        reference.set_background(now, link, taken);
      } else if (draw < 0.2 && reference.next() < reference.flows.size()) {
        const std::size_t gone = reference.next();
        fabric.cancel(Seconds(now), flow_of[gone]);
        reference.end(now, gone);
      } else {
        std::vector<LinkId> route;
        for (std::size_t hops = 1 + below(4); hops > 0; --hops) {
          const LinkId link = LinkId::at(below(links));
          if (std::find(route.begin(), route.end(), link) == route.end()) route.push_back(link);
        }
        const double bytes = 20 + 300 * random.uniform();
        const FairShare::Flow flow = fabric.start(Seconds(now), route, Bytes(bytes));
        which[flow] = reference.flows.size();
        flow_of.push_back(flow);
        reference.start(now, route, bytes);
      }
    }
    drain(1e9);
    CHECK(fabric.next_end() == Seconds(std::numeric_limits<double>::infinity()));
  }
}

TEST_CASE("a lone flow takes bytes over its bottleneck", "[fair_share]") {
  Case c = ports();
  FairShare fabric(c.network);
  fabric.start(Seconds(2), c.routes[0], Bytes(180));
  CHECK(fabric.next_end().value() == Approx(2 + 180 / 90.0));
  CHECK(fabric.ended_by(Seconds(10)).size() == 1);
  CHECK(fabric.shared() == 0);
}

TEST_CASE("flows that meet end when SimGrid ends them", "[fair_share]") {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    Case c = ports();
    RandomStream random(seed);
    struct Start {
      double at;
      RouteId route;
      double bytes;
    };
    std::vector<Start> starts;
    double now = 0;
    for (int i = 0; i < 60; ++i) {
      now += random.exponential() * 0.4;
      starts.push_back({now,
                        c.routes[static_cast<std::size_t>(random.uniform() * static_cast<double>(c.routes.size()))],
                        20 + 300 * random.uniform()});
    }
    GraphBuilder builder;
    for (const Start& s : starts) {
      const Flow flow{s.route, Bytes(s.bytes)};
      builder.detached_transfer(RankId(0), Seconds(s.at), std::span(&flow, 1));
    }
    const OperationGraph graph = std::move(builder).build();
    SpanSink spans(graph);
    TimelineSink* sinks[] = {&spans};
    replay(graph, c.network, sinks, {.solver = Solver::simgrid_child, .progress = {}});

    FairShare fabric(c.network);
    std::map<FairShare::Flow, std::size_t> which;
    std::vector<double> ends(starts.size());
    const auto drain = [&](double until) {
      while (fabric.next_end().value() <= until) {
        const double end = fabric.next_end().value();
        for (const FairShare::Flow flow : fabric.ended_by(Seconds(end))) ends[which[flow]] = end;
      }
    };
    for (std::size_t i = 0; i < starts.size(); ++i) {
      drain(starts[i].at);
      which[fabric.start(Seconds(starts[i].at), starts[i].route, Bytes(starts[i].bytes))] = i;
    }
    drain(1e9);
    CHECK(fabric.shared() > 10);
    double bytes = 0;
    for (std::size_t i = 0; i < starts.size(); ++i) {
      CHECK(ends[i] == Approx(spans.end(OpId::at(i)).value()).epsilon(1e-5));  // as precise as SimGrid is
      bytes += starts[i].bytes;
    }
    CHECK(fabric.delivered().value() == Approx(bytes));
  }
}

TEST_CASE("a flow that is cancelled leaves its bandwidth to the others", "[fair_share]") {
  Case c = ports();
  FairShare fabric(c.network);
  const auto first = fabric.start(Seconds(0), c.routes[0], Bytes(900));
  fabric.start(Seconds(0), c.routes[1], Bytes(90));
  fabric.cancel(Seconds(1), first);
  CHECK(fabric.next_end().value() == Approx(1 + 45 / 90.0));
}

TEST_CASE("what others take of a link is not shared among flows", "[fair_share]") {
  Network network;
  const LinkId link = network.add_link({"link", BytesPerSecond(100)});
  const RouteId route = network.add_route({link});
  FairShare fabric(network);
  fabric.set_background(Seconds(0), link, BytesPerSecond(20));
  fabric.start(Seconds(0), route, Bytes(400));
  fabric.start(Seconds(0), route, Bytes(400));                  // 40 per second each
  fabric.set_background(Seconds(5), link, BytesPerSecond(60));  // 200 left of each, at 20 per second
  CHECK(fabric.next_end().value() == Approx(15));
  CHECK(fabric.ended_by(Seconds(15.1)).size() == 2);
  CHECK(fabric.delivered().value() == Approx(800));
}
