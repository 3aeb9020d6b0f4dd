// Do collectives take the time of their closed forms, share ports as they must, and agree with flows per
// pair?
#include "workloads/collectives/collectives.h"

#include <numeric>

#include "sim/replay.h"
#include "tests/catch.h"

using namespace flopcast;

namespace {

/// One GPU per node on 50 GB/s ports and one switch, no latency: what the closed forms describe.
ClusterSpec flat(int ranks) {
  ClusterSpec c;
  c.node.gpus = 1;
  c.node.gpu.pcie_bandwidth = 64_GBps;
  c.node.nic_bandwidth = 50_GBps;
  c.node.nic_efficiency = c.node.nvlink_efficiency = 1;  // as closed forms have it
  c.nodes = ranks;
  c.fabric.kind = FabricKind::single_switch;
  c.fabric.port_bandwidth = 50_GBps;
  return c;
}

ClusterSpec nodes_of_8(int nodes, FabricKind kind = FabricKind::multi_rail, double oversubscription = 1.0) {
  ClusterSpec c = flat(nodes);
  c.node.gpus = 8;
  c.node.nvlink_bandwidth = 200_GBps;
  c.fabric.kind = kind;
  c.fabric.oversubscription = oversubscription;
  return c;
}

std::vector<RankId> first_ranks(int n) {
  std::vector<RankId> ranks;
  for (int i = 0; i < n; ++i) ranks.push_back(RankId::at(i));
  return ranks;
}

Seconds replayed_time(Topology& t, const OperationGraph& graph) { return replay(graph, t.network(), {}).makespan; }

Seconds time_of(const ClusterSpec& cluster, std::string_view name, Bytes bytes, int ranks, int copies = 1) {
  Topology t(cluster);
  return replayed_time(t, make_collective_graph(t, *find_collective(name), bytes, ranks, copies, nullptr));
}

Seconds time_of(Topology& t, const CollectivePhase& phase) {
  GraphBuilder graph;
  std::vector<LaneId> lanes;
  for (std::size_t i = 0; i < phase.size(); ++i) lanes.push_back(graph.add_lane(RankId::at(i), "network"));
  append_collective(graph, lanes, std::span(&phase, 1));
  return replayed_time(t, std::move(graph).build());
}

/// All-to-all with one flow per pair instead of one per port: exact under any load, and slow.
CollectivePhase all_to_all_by_pairs(Topology& topology, const CollectiveRequest& request,
                                    std::span<const double> load) {
  const auto ranks = request.ranks;
  const Bytes share = request.bytes / static_cast<double>(ranks.size());
  CollectivePhase phase(ranks.size());
  for (std::size_t from = 0; from < ranks.size(); ++from)
    for (std::size_t to = 0; to < ranks.size(); ++to)
      if (from != to)
        phase[from].flows.push_back({topology.route(ranks[from], ranks[to]), share * (load.empty() ? 1.0 : load[to])});
  return phase;
}

/// Bytes that a phase puts on egress links of one kind, by the end of their names.
double bytes_on(const Topology& t, const CollectivePhase& phase, std::string_view link_suffix) {
  double bytes = 0;
  for (const PortTransfer& transfer : phase)
    for (const Flow& flow : transfer.flows)
      for (const LinkId link : t.network().route(flow.route))
        if (t.network().link(link).name.ends_with(link_suffix)) bytes += flow.bytes.value();
  return bytes;
}

}  // namespace

TEST_CASE("64 MiB on one switch takes the closed form, at 64 to 1,024 ranks") {
  const int ranks = GENERATE(64, 256, 1024);
  for (const CollectiveRow& row : collectives()) {
    INFO(row.name << " over " << ranks);
    const double expected = row.closed_form_time(ranks, 64_MiB, 50_GBps).value();
    CHECK(time_of(flat(ranks), row.name, 64_MiB, ranks).value() == Approx(expected).epsilon(0.02));
  }
}

TEST_CASE("two collectives on the same ports take twice as long") {
  for (const char* name : {"ring_all_reduce", "all_to_all"}) {
    const double one = time_of(flat(64), name, 64_MiB, 64).value();
    CHECK(time_of(flat(64), name, 64_MiB, 64, 2).value() == Approx(2 * one).epsilon(1e-9));
  }
}

TEST_CASE("a ring over nodes uses every NIC: S/g leaves each, the rest stays on NVLink") {
  Topology t(nodes_of_8(4));
  const auto ranks = first_ranks(32);
  const auto phases = find_collective("ring_all_gather")->lower(t, {ranks, 320_MB, nullptr});
  REQUIRE(phases.size() == 1);
  const double through = 320e6 * 31 / 32;
  CHECK(bytes_on(t, phases[0], "nic out") == Approx(32 * through / 8));
  CHECK(bytes_on(t, phases[0], "nvlink out") == Approx(32 * through * 7 / 8));
  // Eight NICs of 50 GB/s outrun the 200 GB/s of NVLink that feeds them: NVLink decides.
  CHECK(time_of(t, phases[0]).value() == Approx(through * 7 / 8 / 200e9));
}

TEST_CASE("within a node collectives stay on NVLink") {
  for (const CollectiveRow& row : collectives()) {
    Topology t(nodes_of_8(2));
    const auto ranks = first_ranks(8);
    for (const CollectivePhase& phase : row.lower(t, {ranks, 64_MiB, nullptr}))
      CHECK(bytes_on(t, phase, "nic out") == 0.0);
  }
}

TEST_CASE("the two-level all-reduce is the sum of its three phases") {
  const double s = 64 * 1048576.0;
  const double within = 7.0 / 8 * s / 200e9, between = 2 * (15.0 / 16) * s / 8 / 50e9;
  CHECK(time_of(nodes_of_8(16), "hierarchical_all_reduce", 64_MiB, 128).value() ==
        Approx(2 * within + between).epsilon(1e-9));
}

TEST_CASE("bytes sent are bytes received") {
  for (const CollectiveRow& row : collectives())
    for (const FabricKind kind : {FabricKind::multi_rail, FabricKind::multi_plane}) {
      Topology t(nodes_of_8(8, kind));
      const auto ranks = first_ranks(64);
      for (const CollectivePhase& phase : row.lower(t, {ranks, 64_MiB, nullptr})) {
        INFO(row.name);
        CHECK(bytes_on(t, phase, "nic out") == Approx(bytes_on(t, phase, "nic in")));
        CHECK(bytes_on(t, phase, "nvlink out") == Approx(bytes_on(t, phase, "nvlink in")));
      }
    }
}

TEST_CASE("per port equals per pair: the same time when balanced, and under skew the hottest port decides") {
  const int ranks = GENERATE(16, 32, 64);
  const double skew = GENERATE(0.0, 0.5, 3.0);
  std::vector<double> load(static_cast<std::size_t>(ranks), 1.0);
  for (std::size_t i = 0; i < load.size(); ++i) load[i] += skew * (i % 5 == 0 ? 1.0 : -0.2);
  const double mean = std::accumulate(load.begin(), load.end(), 0.0) / ranks;
  for (double& l : load) l = std::max(l / mean, 0.0);

  SECTION("one GPU per node") {
    Topology t(flat(ranks));
    const auto group = first_ranks(ranks);
    const CollectiveRequest request{group, 64_MiB, nullptr};
    const double pairs = time_of(t, all_to_all_by_pairs(t, request, load)).value();
    CHECK(time_of(t, all_to_all_by_ports(t, request, load)).value() == Approx(pairs).epsilon(0.03));
  }
  SECTION("nodes of eight on rails") {
    Topology t(nodes_of_8(ranks / 8));
    const auto group = first_ranks(ranks);
    const CollectiveRequest request{group, 64_MiB, nullptr};
    const double pairs = time_of(t, all_to_all_by_pairs(t, request, load)).value();
    CHECK(time_of(t, all_to_all_by_ports(t, request, load)).value() == Approx(pairs).epsilon(0.03));
  }
}

TEST_CASE("separate planes forward over NVLink what goes to another GPU index, as pairs do") {
  Topology t(nodes_of_8(4, FabricKind::multi_plane));
  const auto group = first_ranks(32);
  const CollectiveRequest request{group, 64_MiB, nullptr};
  const CollectivePhase ports = all_to_all_by_ports(t, request, {}), pairs = all_to_all_by_pairs(t, request, {});
  for (const char* links : {"nic out", "nic in", "nvlink out", "nvlink in"})
    CHECK(bytes_on(t, ports, links) == Approx(bytes_on(t, pairs, links)));
  CHECK(time_of(t, ports).value() == Approx(time_of(t, pairs).value()).epsilon(0.02));
}

TEST_CASE("oversubscribed leaves slow an all-to-all that crosses them, and only that") {
  // 64 nodes: two leaves of 32 a rail; nearly all of an all-to-all crosses the spine.
  const double free = time_of(nodes_of_8(64), "all_to_all", 64_MiB, 512).value();
  const double shared = time_of(nodes_of_8(64, FabricKind::multi_rail, 2.0), "all_to_all", 64_MiB, 512).value();
  CHECK(shared > 1.8 * free);
  CHECK(shared < 2.0 * free);
  // Within one leaf the ring never leaves it.
  CHECK(time_of(nodes_of_8(8, FabricKind::multi_rail, 2.0), "ring_all_reduce", 64_MiB, 64) ==
        time_of(nodes_of_8(8), "ring_all_reduce", 64_MiB, 64));
}

TEST_CASE("what crosses sites shares their thin links") {
  ClusterSpec c = nodes_of_8(8);
  c.fabric.sites = 2;
  c.fabric.site_bandwidth = 5_GBps;
  // Each of eight rings passes from site to site once each way.
  CHECK(time_of(c, "ring_all_reduce", 64_MiB, 64).value() == Approx(2 * 63.0 / 64 * 67108864 / 5e9));
  // Half of what 32 ranks send goes to the other site.
  CHECK(time_of(c, "all_to_all", 64_MiB, 64).value() == Approx(32 * 0.5 * 67108864 / 5e9));
  // A group within one site never meets them.
  CHECK(time_of(c, "ring_all_reduce", 64_MiB, 32) == time_of(nodes_of_8(4), "ring_all_reduce", 64_MiB, 32));
  c.fabric.site_bandwidth = 100000_GBps;
  CHECK(time_of(c, "ring_all_reduce", 64_MiB, 64).value() ==
        Approx(time_of(nodes_of_8(8), "ring_all_reduce", 64_MiB, 64).value()));
}

TEST_CASE("the way between sites is paid as often as a collective takes it") {
  ClusterSpec c = nodes_of_8(8);
  c.fabric.sites = 2;
  c.fabric.site_bandwidth = 100000_GBps;
  const auto longer = [&](const char* collective, int ranks) {
    ClusterSpec far = c;
    far.fabric.site_latency = 5_ms;
    return (time_of(far, collective, 64_MiB, ranks) - time_of(c, collective, 64_MiB, ranks)).value();
  };
  // There and back, once for each time around.
  CHECK(longer("ring_all_gather", 64) == Approx(2 * 5e-3).epsilon(1e-6));
  CHECK(longer("ring_all_reduce", 64) == Approx(2 * 2 * 5e-3).epsilon(1e-6));
  CHECK(longer("ring_all_reduce", 32) == Approx(0).margin(1e-9));
}

TEST_CASE("a slow NIC holds up its ring") {
  ClusterSpec c = nodes_of_8(4);
  c.slow_parts = {{SlowPart::Kind::nic, 5, 0.1}};
  CHECK(time_of(c, "ring_all_reduce", 64_MiB, 32).value() == Approx(2 * 31.0 / 32 * 67108864 / 8 / 5e9));
}

TEST_CASE("step latencies add up along the ring") {
  ClusterSpec c = nodes_of_8(4);
  c.node.nvlink_latency = 1_us;
  c.fabric.same_leaf_latency = c.fabric.cross_leaf_latency = 3_us;
  Topology t(c);
  const auto ranks = first_ranks(32);
  const auto phases = find_collective("ring_all_reduce")->lower(t, {ranks, 64_MiB, nullptr});
  CHECK(phases[0][0].latency.value() == Approx(2 * (27 * 1e-6 + 4 * 3e-6)));  // 31 steps, 4 of them between nodes
}
