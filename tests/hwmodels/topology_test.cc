// Is the fabric the one described, do routes cross the right links, and does it fit a large cluster?
#include "hwmodels/fabric/topology.h"

#include <string>
#include <vector>

#include "hwmodels/fabric/fabric_graph.h"
#include "sim/base/diagnostic.h"
#include "tests/catch.h"

using namespace flopcast;

namespace {

ClusterSpec cluster_of(FabricKind kind, int nodes, int gpus = 8, double oversubscription = 1.0) {
  ClusterSpec c;
  c.node.gpus = gpus;
  c.node.gpu.pcie_bandwidth = 64_GBps;
  c.node.nvlink_bandwidth = 200_GBps;
  c.node.nvlink_latency = 1_us;
  c.node.nic_bandwidth = 50_GBps;
  c.node.nic_efficiency = c.node.nvlink_efficiency = 1;
  c.nodes = nodes;
  c.fabric.name = "test-fabric";
  c.fabric.kind = kind;
  c.fabric.switch_ports = 64;
  c.fabric.port_bandwidth = 50_GBps;
  c.fabric.oversubscription = oversubscription;
  c.fabric.same_leaf_latency = 2_us;
  c.fabric.cross_leaf_latency = 3_us;
  return c;
}

std::vector<std::string> names(const Topology& t, RouteId route) {
  std::vector<std::string> result;
  for (const LinkId link : t.network().route(route)) result.push_back(t.network().link(link).name);
  return result;
}

}  // namespace

TEST_CASE("switches and cables of the fabrics are those of arXiv 2505.09343 table 3") {
  SECTION("two-layer fat tree, 2,048 endpoints") {
    const Topology t(cluster_of(FabricKind::rail_fat_tree_2, 256));
    CHECK(t.switches() == 96);
    CHECK(t.switch_links() == 2048);
  }
  SECTION("eight planes, 16,384 endpoints") {
    const Topology t(cluster_of(FabricKind::multi_plane, 2048));
    CHECK(t.switches() == 768);
    CHECK(t.switch_links() == 16384);
  }
  SECTION("three-layer fat tree, 65,536 endpoints") {
    const FabricGraph fabric(cluster_of(FabricKind::rail_fat_tree_3, 8192));
    CHECK(fabric.switches() == 5120);
    CHECK(fabric.switch_links() == 131072);
    CHECK(fabric.pods() == 64);
  }
}

TEST_CASE("trees of any number of layers are fat trees: (2 L - 1) (p / 2)^(L - 1) switches of p ports") {
  for (const int ports : {4, 8, 16}) {
    for (const int layers : {2, 3, 4}) {
      int endpoints = ports;
      for (int layer = 2; layer <= layers; ++layer) endpoints *= ports / 2;
      if (endpoints < 32 || endpoints % 8 != 0) continue;
      ClusterSpec c = cluster_of(FabricKind::rail_fat_tree_3, endpoints / 8);
      c.fabric.switch_ports = ports;
      c.fabric.layers = layers;
      const FabricGraph fabric(c);
      CAPTURE(ports, layers);
      CHECK(fabric.layers() == layers);
      CHECK(fabric.switches() == (2 * layers - 1) * endpoints / ports);
      CHECK(fabric.switch_links() == (layers - 1) * endpoints);
      // A rail is an eighth of the tree's leaves, so ends of a rail meet below the top, and rails over it.
      CHECK(fabric.climb(0, fabric.leaves() - 1) == layers - 1);
      CHECK(fabric.climb(0, 1) == 1);
      CHECK(fabric.climb(0, 0) == 0);
      c.nodes += 1;
      CHECK_THROWS_AS(FabricGraph(c), InputError);
    }
  }
}

TEST_CASE("planes and racks take as many layers as their size needs; 131,072 GPUs and more") {
  const FabricGraph planes(cluster_of(FabricKind::multi_plane, 16384));
  CHECK(planes.layers() == 3);
  CHECK(planes.switches() == 8 * 5 * 16384 / 64);  // eight three-layer trees
  CHECK_FALSE(planes.climb(planes.leaf_of(RankId(0)), planes.leaf_of(RankId(1))).has_value());
  CHECK(planes.climb(planes.leaf_of(RankId(0)), planes.leaf_of(RankId(8 * 16383))) == 2);
  CHECK(FabricGraph(cluster_of(FabricKind::multi_plane, 131072)).layers() == 4);  // a million GPUs
  CHECK(FabricGraph(cluster_of(FabricKind::nvlink_rack, 1821, 72)).layers() == 4);
  ClusterSpec wide = cluster_of(FabricKind::rail_fat_tree_3, 16384);
  CHECK_THROWS_AS(FabricGraph(wide), InputError);
  wide.fabric.switch_ports = 128;
  CHECK(FabricGraph(wide).layers() == 3);
  wide.fabric.kind = FabricKind::rail_fat_tree_2;
  wide.fabric.switch_ports = 512;
  CHECK(FabricGraph(wide).layers() == 2);
  const Topology t(cluster_of(FabricKind::multi_plane, 16384));
  CHECK(t.network().link_count() == 0);  // nobody has asked for any
}

TEST_CASE("a fabric that cannot hold the cluster is refused, with what would hold it") {
  CHECK_THROWS_AS(Topology(cluster_of(FabricKind::multi_rail, 257)), InputError);
  CHECK_NOTHROW(Topology(cluster_of(FabricKind::multi_plane, 257)));
  CHECK_NOTHROW(Topology(cluster_of(FabricKind::multi_plane, 2049)));
  ClusterSpec taller = cluster_of(FabricKind::multi_rail, 257);
  taller.fabric.layers = 3;
  CHECK_NOTHROW(Topology(taller));
  try {
    const Topology refused(cluster_of(FabricKind::multi_rail, 257));
  } catch (const InputError& error) {
    CHECK(error.diagnostics().front().remedy.find("layers: 3") != std::string::npos);
  }
}

TEST_CASE("routes cross the ports of both ends, and NVLink to the right plane") {
  Topology rails(cluster_of(FabricKind::multi_rail, 64));
  CHECK(names(rails, rails.route(RankId(0), RankId(7))) ==
        std::vector<std::string>{"gpu0 nvlink out", "gpu7 nvlink in"});
  CHECK(names(rails, rails.route(RankId(0), RankId(9))) == std::vector<std::string>{"gpu0 nic out", "gpu9 nic in"});
  CHECK(rails.same_leaf(RankId(0), RankId(8)));
  CHECK_FALSE(rails.same_leaf(RankId(0), RankId(9)));

  Topology planes(cluster_of(FabricKind::multi_plane, 64));
  CHECK(names(planes, planes.route(RankId(0), RankId(9))) ==
        std::vector<std::string>{"gpu0 nvlink out", "gpu1 nvlink in", "gpu1 nic out", "gpu9 nic in"});
  CHECK(planes.cross_plane(RankId(0), RankId(9)));
  CHECK_FALSE(planes.cross_plane(RankId(0), RankId(8)));
  CHECK(planes.route(RankId(0), RankId(9)) == planes.route(RankId(0), RankId(9)));  // interned
}

TEST_CASE("latency grows with the layers a message climbs") {
  const Topology planes(cluster_of(FabricKind::multi_plane, 64));
  CHECK(planes.latency(RankId(0), RankId(1)).value() == Approx(1e-6));
  CHECK(planes.latency(RankId(0), RankId(8)).value() == Approx(2e-6));       // same leaf
  CHECK(planes.latency(RankId(0), RankId(8 * 63)).value() == Approx(3e-6));  // the plane's other leaf
  CHECK(planes.latency(RankId(0), RankId(9)).value() == Approx(3e-6));       // NVLink, then the leaf
  const Topology tree(cluster_of(FabricKind::rail_fat_tree_3, 512));
  CHECK(tree.latency(RankId(0), RankId(8 * 511)).value() == Approx(3e-6));  // rail 0 is half a pod
  CHECK(tree.latency(RankId(0), RankId(3)).value() == Approx(1e-6));
  CHECK(tree.latency(RankId(0), RankId(8 + 7)).value() == Approx(4e-6));  // over the core
}

TEST_CASE("an oversubscribed leaf shares its uplinks among its endpoints") {
  Topology t(cluster_of(FabricKind::multi_rail, 64, 8, 2.0));
  REQUIRE(t.blocking());
  const RouteId spine = t.nic_port(RankId(0), Topology::Side::egress, true);
  const auto links = t.network().route(spine);
  REQUIRE(links.size() == 2);
  // 64 nodes at 42 ports down per leaf: two leaves of 32 endpoints a rail.
  CHECK(t.network().link(links[1]).bandwidth.value() == Approx(32 * 50e9 / 2));
  CHECK(t.network().route(t.nic_port(RankId(0), Topology::Side::both, false)).size() == 2);
  CHECK_FALSE(Topology(cluster_of(FabricKind::multi_rail, 64)).blocking());
}

TEST_CASE("slow parts and efficiencies scale the links they name") {
  ClusterSpec c = cluster_of(FabricKind::single_switch, 4);
  c.node.nic_efficiency = 0.9;
  c.slow_parts = {{SlowPart::Kind::nic, 3, 0.5}, {SlowPart::Kind::nvlink, 5, 0.25}, {SlowPart::Kind::gpu, 7, 0.1}};
  Topology t(c);
  const auto rate = [&](RouteId route) { return t.network().bottleneck(route).value(); };
  using Side = Topology::Side;
  CHECK(rate(t.nic_port(RankId(2), Side::both, false)) == Approx(45e9));
  CHECK(rate(t.nic_port(RankId(3), Side::egress, false)) == Approx(22.5e9));
  CHECK(rate(t.nvlink_port(RankId(5), Side::ingress)) == Approx(50e9));
  CHECK(rate(t.nvlink_port(RankId(7), Side::both)) == Approx(200e9));
}

TEST_CASE("a cap bounds a flow and leaves the links to others") {
  Topology t(cluster_of(FabricKind::single_switch, 2));
  const RouteId plain = t.nic_port(RankId(0), Topology::Side::both, false);
  CHECK(t.capped(plain, 60_GBps) == plain);
  const RouteId capped = t.capped(plain, 20_GBps);
  CHECK(capped == t.capped(plain, 20_GBps));
  CHECK(t.network().bottleneck(capped).value() == Approx(20e9));
  CHECK_FALSE(t.network().link(t.network().route(capped).back()).shared);
}

TEST_CASE("racks keep their GPUs in one NVLink domain and meet over NICs") {
  Topology t(cluster_of(FabricKind::nvlink_rack, 4, 72));
  CHECK(t.same_node(RankId(0), RankId(71)));
  CHECK(names(t, t.route(RankId(0), RankId(71)))[0] == "gpu0 nvlink out");
  CHECK(names(t, t.route(RankId(0), RankId(72)))[0] == "gpu0 nic out");
}

TEST_CASE("sites have trees of their own, joined by links that all of a site's GPUs share") {
  for (const FabricKind kind : {FabricKind::multi_plane, FabricKind::single_switch, FabricKind::rail_fat_tree_3}) {
    ClusterSpec c = cluster_of(kind, 65);
    c.fabric.sites = 2;
    c.fabric.site_bandwidth = 10_GBps;
    c.fabric.site_latency = 500_us;
    Topology t(c);
    const RankId here(0), near(8), there(8 * 33);  // nodes 0 to 32 are the first site
    CHECK(t.site(RankId(8 * 32 + 7)) == 0);
    CHECK(t.site(there) == 1);
    CHECK(t.same_site(here, near));
    CHECK_FALSE(t.same_site(here, there));
    CHECK(names(t, t.route(here, there)) ==
          std::vector<std::string>{"gpu0 nic out", "site0 links out", "site1 links in", "gpu264 nic in"});
    CHECK(names(t, t.route(here, near)) == std::vector<std::string>{"gpu0 nic out", "gpu8 nic in"});
    CHECK(t.network().bottleneck(t.route(here, there)).value() == Approx(10e9));
    CHECK((t.latency(here, there) - t.latency(here, near)).value() >= 500e-6);
    CHECK(t.cross_plane(here, RankId(there.index() + 1)) == (kind == FabricKind::multi_plane));
    CHECK(names(t, t.site_port(here, Topology::Side::ingress)) ==
          std::vector<std::string>{"site0 links in", "gpu0 nic in"});
  }
}
