// Do flows that come and go share links as SimGrid shares them?
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

}  // namespace

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
    replay(graph, c.network, sinks);

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
