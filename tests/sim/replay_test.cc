// Exact times on toy systems worked out by hand.
#include "sim/replay.h"

#include <algorithm>
#include <string>

#include "tests/catch.h"
#include "tests/sim/thrown.h"

using namespace flopcast;

namespace {

/// One rank, a few links of 1 GB/s unless said otherwise, operations with known ends.
struct Toy {
  Network network;
  GraphBuilder builder{{"work"}};

  LinkId link(double gigabytes_per_second = 1.0, bool shared = true) {
    return network.add_link(
        {"link" + std::to_string(network.link_count()), BytesPerSecond(gigabytes_per_second * 1e9), shared});
  }
  LaneId lane() { return builder.add_lane(RankId(0), "lane"); }
  /// A transfer of `gigabytes` over `route` that starts `at` seconds into the replay.
  OpId transfer(double at, RouteId route, double gigabytes, Seconds latency = Seconds(0)) {
    const LaneId own = lane();
    builder.compute(own, Seconds(at));
    const Flow flow{route, Bytes(gigabytes * 1e9)};
    return builder.transfer(own, latency, std::span(&flow, 1));
  }
};

struct Outcome {
  ReplayResult result;
  std::vector<double> start, end;
  double end_of(OpId op) const { return end[op.index()]; }
  double start_of(OpId op) const { return start[op.index()]; }
};

Approx exactly(double seconds) { return Approx(seconds).epsilon(1e-11).margin(2e-12); }

/// By one engine.
Outcome run_by(Solver solver, const Network& network, const OperationGraph& graph, ReplayOptions options) {
  options.solver = solver;
  SpanSink spans(graph);
  TimelineSink* const sinks[] = {&spans};
  Outcome outcome{replay(graph, network, sinks, options), {}, {}};
  for (std::size_t i = 0; i < graph.size(); ++i) {
    outcome.start.push_back(spans.start(OpId::at(i)).value());
    outcome.end.push_back(spans.end(OpId::at(i)).value());
  }
  return outcome;
}

/// By SimGrid, once both engines have agreed.
Outcome run(Toy&& toy, const ReplayOptions& options = {}) {
  const OperationGraph graph = std::move(toy.builder).build();
  Outcome outcome = run_by(Solver::simgrid_child, toy.network, graph, options);
  const Outcome own = run_by(Solver::in_process, toy.network, graph, options);
  CHECK(own.result.contended_flows == outcome.result.contended_flows);
  for (std::size_t i = 0; i < graph.size(); ++i) {
    CHECK(own.start[i] == exactly(outcome.start[i]));
    CHECK(own.end[i] == exactly(outcome.end[i]));
  }
  return outcome;
}

}  // namespace

TEST_CASE("An empty graph takes no time") {
  const Outcome outcome = run(Toy());
  CHECK(outcome.result.makespan == 0_s);
  CHECK(outcome.result.operations == 0);
}

TEST_CASE("The operations of a lane follow one another in the order in which they were added") {
  Toy toy;
  const LaneId lane = toy.lane();
  const OpId first = toy.builder.compute(lane, 2_s);
  const OpId second = toy.builder.compute(lane, 0_s);
  const OpId third = toy.builder.compute(lane, 3_s);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(first) == 2.0);
  CHECK(outcome.start_of(second) == 2.0);
  CHECK(outcome.end_of(second) == 2.0);
  CHECK(outcome.start_of(third) == 2.0);
  CHECK(outcome.result.makespan == 5_s);
}

TEST_CASE("A join ends with the last of its predecessors") {
  Toy toy;
  const OpId a = toy.builder.compute(toy.lane(), 1_s);
  const OpId b = toy.builder.compute(toy.lane(), 4_s);
  const OpId join = toy.builder.join();
  toy.builder.after(join, a);
  toy.builder.after(join, b);
  const OpId next = toy.builder.compute(toy.lane(), 1_s);
  toy.builder.after(next, join);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(join) == 4.0);
  CHECK(outcome.end_of(next) == 5.0);
}

TEST_CASE("A transfer pays its latency, then moves its bytes at the bottleneck's rate") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link(10), toy.link(2), toy.link(5)});
  const OpId op = toy.transfer(1.0, route, 4.0, 250_ms);
  for (bool solve_every_flow : {false, true}) {
    Toy copy = toy;
    const Outcome outcome = run(std::move(copy), {.solve_every_flow = solve_every_flow, .progress = {}});
    CHECK(outcome.start_of(op) == 1.0);
    CHECK(outcome.end_of(op) == exactly(1.0 + 0.25 + 2.0));
    CHECK(outcome.result.contended_flows == (solve_every_flow ? 1 : 0));
  }
}

TEST_CASE("Two flows halve a link") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  const OpId a = toy.transfer(0.0, route, 1.0);
  const OpId b = toy.transfer(0.0, route, 2.0);
  const Outcome outcome = run(std::move(toy));
  // Both at 0.5 GB/s until a ends at 2 s; b has 1 GB left and the link to itself.
  CHECK(outcome.end_of(a) == exactly(2.0));
  CHECK(outcome.end_of(b) == exactly(3.0));
  CHECK(outcome.result.contended_flows == 2);
  CHECK(outcome.result.transfers == 2);
}

TEST_CASE("A flow that gets company half-way is handed over with what is left of it") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  const OpId a = toy.transfer(0.0, route, 1.0);
  const OpId b = toy.transfer(0.75, route, 1.0);
  const OpId late = toy.transfer(10.0, route, 1.0);  // by then the link is free again
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(a) == exactly(1.25));  // 0.25 GB left at 0.5 GB/s
  CHECK(outcome.end_of(b) == exactly(2.0));   // 0.25 GB by then, 0.75 GB at the full rate
  CHECK(outcome.end_of(late) == exactly(11.0));
  CHECK(outcome.result.contended_flows == 2);
}

TEST_CASE("Max-min shares: what one flow cannot use goes to the others") {
  Toy toy;
  const LinkId narrow = toy.link(1.0), wide = toy.link(4.0);
  const OpId both = toy.transfer(0.0, toy.network.add_route({narrow, wide}), 1.0);
  const OpId on_narrow = toy.transfer(0.0, toy.network.add_route({narrow}), 0.25);
  const OpId on_wide = toy.transfer(0.0, toy.network.add_route({wide}), 7.0);
  const Outcome outcome = run(std::move(toy));
  // narrow: 0.5 and 0.5; wide: 0.5 and 3.5. At 0.5 s on_narrow is through; both has 0.75 GB left and gets 1 GB/s,
  // on_wide has 5.25 GB left and gets 3 GB/s. At 1.25 s both is through; on_wide has 3 GB left and gets 4 GB/s.
  CHECK(outcome.end_of(on_narrow) == exactly(0.5));
  CHECK(outcome.end_of(both) == exactly(1.25));
  CHECK(outcome.end_of(on_wide) == exactly(2.0));
}

TEST_CASE("A fat pipe caps each flow on its own and is never contended") {
  Toy toy;
  const LinkId cap = toy.link(1.0, false), shared = toy.link(10.0);
  const RouteId capped = toy.network.add_route({cap, shared}), pipe_only = toy.network.add_route({cap});
  const OpId a = toy.transfer(0.0, capped, 1.0);
  const OpId b = toy.transfer(0.0, capped, 1.0);
  const OpId free = toy.transfer(0.0, toy.network.add_route({shared}), 8.0);
  const OpId p = toy.transfer(0.0, pipe_only, 1.0);
  const OpId q = toy.transfer(0.0, pipe_only, 1.0);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(a) == exactly(1.0));
  CHECK(outcome.end_of(b) == exactly(1.0));
  CHECK(outcome.end_of(free) == exactly(1.0));  // the 8 GB/s that the capped two leave
  CHECK(outcome.end_of(p) == exactly(1.0));
  CHECK(outcome.end_of(q) == exactly(1.0));
  CHECK(outcome.result.contended_flows == 3);
}

TEST_CASE("Senders that are slower than their share leave the rest of a link to others") {
  // A link of 10 GB/s; paces of 1 and 4 GB/s, each of several flows on routes of their own, and flows without one.
  Toy toy;
  const LinkId link = toy.link(10.0), slow = toy.link(1.0, false), quick = toy.link(4.0, false);
  const LinkId own[] = {toy.link(100.0), toy.link(100.0), toy.link(100.0), toy.link(100.0)};
  const OpId first = toy.transfer(0.0, toy.network.add_route({own[0], link, slow}), 6.0);
  const OpId second = toy.transfer(0.0, toy.network.add_route({own[1], link, slow}), 6.0);
  const OpId third = toy.transfer(0.0, toy.network.add_route({own[2], link, quick}), 12.0);
  const OpId fourth = toy.transfer(0.0, toy.network.add_route({own[3], link}), 12.0);
  const Outcome outcome = run(std::move(toy));
  // 1, 1, 4 and 4 GB/s: 12 GB at 4 take 3 s. Then 3 GB are left of each slow one, which goes no faster alone.
  CHECK(outcome.end_of(third) == exactly(3.0));
  CHECK(outcome.end_of(fourth) == exactly(3.0));
  CHECK(outcome.end_of(first) == exactly(6.0));
  CHECK(outcome.end_of(second) == exactly(6.0));
}

TEST_CASE("Pace and link hold up the same flow in turn") {
  // 3 GB/s for two flows: the capped one (2 GB/s) gets 1.5 while the other is there, then its pace.
  Toy toy;
  const LinkId link = toy.link(3.0), cap = toy.link(2.0, false);
  const OpId capped = toy.transfer(0.0, toy.network.add_route({link, cap}), 5.0);
  const OpId free = toy.transfer(0.0, toy.network.add_route({link}), 3.0);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(free) == exactly(2.0));
  CHECK(outcome.end_of(capped) == exactly(2.0 + (5.0 - 3.0) / 2.0));
}

TEST_CASE("Whom a flow leaves alone keeps its rate, and who is held up further away does not") {
  // A chain: a on links 1 and 2, b on 2 and 3, c on 3. Link 2 has 4 GB/s, link 3 has 10. a and b get 2 each, c gets 8;
  // when a has ended, b gets 4 and c is left with 6.
  Toy toy;
  const LinkId one = toy.link(100.0), two = toy.link(4.0), three = toy.link(10.0);
  const OpId a = toy.transfer(0.0, toy.network.add_route({one, two}), 2.0);
  const OpId b = toy.transfer(0.0, toy.network.add_route({two, three}), 10.0);
  const OpId c = toy.transfer(0.0, toy.network.add_route({three}), 20.0);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(a) == exactly(1.0));
  CHECK(outcome.end_of(b) == exactly(1.0 + 8.0 / 4.0));
  CHECK(outcome.end_of(c) == exactly(1.0 + 12.0 / 6.0));
}

TEST_CASE("A transfer ends with the last of its flows; flows without bytes end at once") {
  Toy toy;
  const RouteId fast = toy.network.add_route({toy.link(4.0)}), slow = toy.network.add_route({toy.link(1.0)});
  const Flow flows[] = {{fast, 2_GB}, {slow, 3_GB}, {fast, 0_B}};
  const OpId several = toy.builder.transfer(toy.lane(), 1_s, flows);
  const OpId empty = toy.builder.transfer(toy.lane(), 2_s, std::span(flows).last(1));
  const OpId none = toy.builder.transfer(toy.lane(), 3_s, {});
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(several) == exactly(4.0));
  CHECK(outcome.end_of(empty) == 2.0);
  CHECK(outcome.end_of(none) == 3.0);
  CHECK(outcome.result.contended_flows == 0);
}

TEST_CASE("The flows of one transfer contend with each other") {
  Toy toy;
  const LinkId out = toy.link(), in = toy.link();
  const Flow flows[] = {{toy.network.add_route({out}), 1_GB}, {toy.network.add_route({out, in}), 1_GB}};
  const OpId op = toy.builder.transfer(toy.lane(), 0_s, flows);
  CHECK(run(std::move(toy)).end_of(op) == exactly(2.0));
}

TEST_CASE("A detached transfer waits for no lane") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  const Flow flow{route, 1_GB};
  toy.builder.compute(toy.lane(), 5_s);
  const OpId first = toy.builder.detached_transfer(RankId(3), 0_s, std::span(&flow, 1));
  const OpId second = toy.builder.detached_transfer(RankId(3), 0_s, std::span(&flow, 1));
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(first) == exactly(2.0));
  CHECK(outcome.end_of(second) == exactly(2.0));
}

TEST_CASE("A flow that starts as another ends does not meet it") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  // The one that starts later is added first, so that its start is handled before the other's end.
  const OpId later = toy.transfer(1.0, route, 1.0);
  const OpId earlier = toy.transfer(0.0, route, 1.0);
  // 0.1 + 0.2 is not 0.3 in binary: a gap of a rounding error is no meeting either.
  const OpId rounded = toy.transfer(2.0 + 0.1 + 0.2, route, 1.0);
  const OpId before = toy.transfer(2.0, route, 0.3);
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(earlier) == exactly(1.0));
  CHECK(outcome.end_of(later) == exactly(2.0));
  CHECK(outcome.end_of(before) == exactly(2.3));
  CHECK(outcome.end_of(rounded) == exactly(3.3));
  CHECK(outcome.result.contended_flows == 0);
}

TEST_CASE("The ideal backend ignores contention") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  const OpId a = toy.transfer(0.0, route, 1.0);
  const OpId b = toy.transfer(0.0, route, 2.0);
  const Outcome outcome = run(std::move(toy), {.sharing = Sharing::ideal, .progress = {}});
  CHECK(outcome.end_of(a) == exactly(1.0));
  CHECK(outcome.end_of(b) == exactly(2.0));
}

TEST_CASE("What contention delays delays what depends on it, and contention can come back") {
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  const OpId a = toy.transfer(0.0, route, 1.0);
  const OpId b = toy.transfer(0.0, route, 1.0);  // both end at 2 s
  const LaneId lane = toy.lane();
  const OpId compute = toy.builder.compute(lane, 1_s);
  toy.builder.after(compute, a);
  toy.builder.after(compute, b);
  const Flow flow{route, 1_GB};
  const OpId c = toy.builder.transfer(lane, 0_s, std::span(&flow, 1));  // from 3 s
  const OpId d = toy.transfer(3.5, route, 1.0);                         // meets c half-way
  const Outcome outcome = run(std::move(toy));
  CHECK(outcome.end_of(compute) == exactly(3.0));
  CHECK(outcome.end_of(c) == exactly(4.5));
  CHECK(outcome.end_of(d) == exactly(5.0));
  CHECK(outcome.result.contended_flows == 4);
}

TEST_CASE("Sinks hear of operations in the order of their ends, simultaneous ones by number") {
  struct Order final : TimelineSink {
    void finished(const OperationGraph&, const OpSpan& span) override {
      ops.push_back(span.op.index());
      ends.push_back(span.end.value());
    }
    std::vector<std::uint32_t> ops;
    std::vector<double> ends;
  } order;
  Toy toy;
  const RouteId route = toy.network.add_route({toy.link()});
  std::vector<Flow> flows{{route, 1_GB}};
  for (int i = 0; i < 8; ++i) toy.builder.detached_transfer(RankId(0), 0_s, flows);
  toy.builder.compute(toy.lane(), 8_s);
  const OperationGraph graph = std::move(toy.builder).build();
  TimelineSink* const sinks[] = {&order};
  replay(graph, toy.network, sinks);
  CHECK(std::is_sorted(order.ends.begin(), order.ends.end()));
  // Eight equal shares of one link end together at 8 s, give or take a rounding error.
  std::vector<std::uint32_t> transfers;
  for (std::uint32_t op : order.ops)
    if (op < 8) transfers.push_back(op);
  CHECK(std::is_sorted(transfers.begin(), transfers.end()));
  CHECK(order.ops.size() == 9);
}

TEST_CASE("Three different networks in one process") {
  for (int repeat = 0; repeat < 2; ++repeat)
    for (double rate : {1.0, 2.0, 4.0}) {
      Toy toy;
      for (int extra = 0; extra < static_cast<int>(rate); ++extra) toy.link();
      const RouteId route = toy.network.add_route({toy.link(rate)});
      const OpId a = toy.transfer(0.0, route, 1.0);
      const OpId b = toy.transfer(0.0, route, 3.0);
      const Outcome outcome = run(std::move(toy));
      CHECK(outcome.end_of(a) == exactly(2.0 / rate));
      CHECK(outcome.end_of(b) == exactly(4.0 / rate));
    }
}

TEST_CASE("A cycle is reported with the operations in it") {
  const auto stuck_graph = [](bool with_contention) {
    Toy toy;
    const RouteId route = toy.network.add_route({toy.link()});
    if (with_contention) {
      toy.transfer(0.0, route, 1.0);
      toy.transfer(0.0, route, 1.0);
    }
    const LaneId lane = toy.builder.add_lane(RankId(7), "compute stream");
    const OpId free = toy.builder.compute(lane, 1_s);
    const OpId first = toy.builder.compute(lane, 1_s, {0, 2, 5, 0});
    const OpId second = toy.builder.compute(toy.lane(), 1_s, {0, 3, 6, 0});
    const OpId behind = toy.builder.join();
    toy.builder.after(first, second);
    toy.builder.after(second, first);
    toy.builder.after(behind, second);
    const auto run_it = [&] { run(std::move(toy)); };
    try {
      run_it();
      FAIL("the cycle went unnoticed");
    } catch (const StuckError& error) {
      CHECK(error.stuck().size() == 2);
      CHECK(std::ranges::find(error.stuck(), first) != error.stuck().end());
      CHECK(std::ranges::find(error.stuck(), free) == error.stuck().end());
      for (const char* part : {"compute stream", "rank 7", "stage 2", "micro-batch 5", "work", "3 of "})
        CHECK(flopcast::test::contains(error.what(), part));
    }
  };
  SECTION("before any contention") { stuck_graph(false); }
  SECTION("found by the child process") { stuck_graph(true); }
}

TEST_CASE("Progress is reported, and stops the replay when it says so") {
  for (bool contended : {false, true}) {
    Toy toy;
    const RouteId route = toy.network.add_route({toy.link()});
    if (contended) {
      toy.transfer(0.0, route, 1.0);
      toy.transfer(0.0, route, 1.0);
    }
    const LaneId lane = toy.lane();
    for (int i = 0; i < 200'000; ++i) toy.builder.compute(lane, 1_s);
    const OperationGraph graph = std::move(toy.builder).build();
    int calls = 0;
    ReplayOptions options;
    options.progress = [&](std::uint64_t done, std::uint64_t all) {
      CHECK(done <= all);
      return ++calls < 2;
    };
    CHECK_THROWS_AS(replay(graph, toy.network, {}, options), Interrupted);
    CHECK(calls == 2);
    options.progress = [&](std::uint64_t, std::uint64_t) { return ++calls > 0; };
    CHECK(replay(graph, toy.network, {}, options).operations == graph.size());
    CHECK(calls >= 5);
  }
}
