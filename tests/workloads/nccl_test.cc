// Does NCCL's choice go where NCCL's goes, and do the times and flows of what it chose obey their laws?
#include "workloads/collectives/nccl.h"

#include <cmath>
#include <string>
#include <vector>

#include "hwmodels/fabric/fabric_graph.h"
#include "hwmodels/fabric/topology.h"
#include "scenarios/read/calibrations/calibration_file.h"
#include "sim/replay.h"
#include "tests/catch.h"
#include "tests/libraries.h"
#include "tests/paths.h"
#include "workloads/collectives/link_fit.h"

using namespace flopcast;

namespace {

using test::libraries;

ClusterSpec cluster_of(const std::string& node, int nodes) {
  ClusterSpec cluster;
  cluster.node = libraries().node(node);
  cluster.fabric = libraries().fabric("rail-ft2");
  cluster.nodes = nodes;
  return cluster;
}

const LinkCalibration& links() {
  static const LinkCalibration calibration =
      read_link_calibration(flopcast::testing::source_dir() + "/hwmodels/data/link_calibration.textproto");
  return calibration;
}

constexpr NcclOp kTuned[] = {NcclOp::all_reduce, NcclOp::all_gather, NcclOp::reduce_scatter, NcclOp::broadcast};
constexpr NcclOp kAll[] = {NcclOp::all_reduce, NcclOp::all_gather, NcclOp::reduce_scatter,
                           NcclOp::broadcast,  NcclOp::all_to_all, NcclOp::send_recv};
constexpr NcclAlgorithm kAlgorithms[] = {NcclAlgorithm::ring,      NcclAlgorithm::tree, NcclAlgorithm::nvls,
                                         NcclAlgorithm::nvls_tree, NcclAlgorithm::pat,  NcclAlgorithm::pairs};
constexpr NcclProtocol kProtocols[] = {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple};

NcclGroup group_for(NcclOp op, int nodes, int local) {
  if (op == NcclOp::send_recv) return nodes > 1 ? even_group(2, 1) : even_group(1, 2);
  return even_group(nodes, local);
}

/// Calls `check(op, algorithm, protocol, group, cluster)` for all that NCCL offers on some shapes.
template <class Check>
void for_every_offer(const Check& check) {
  for (const auto& [nodes, local] : {std::pair{1, 2}, {1, 4}, {1, 8}, {2, 8}, {16, 8}, {16, 2}, {64, 1}}) {
    const ClusterSpec cluster = cluster_of("hgx-h100", nodes);
    for (const NcclOp op : kAll)
      for (const NcclAlgorithm algorithm : kAlgorithms)
        for (const NcclProtocol protocol : kProtocols) {
          const NcclGroup group = group_for(op, nodes, local);
          if (nccl_offers(op, algorithm, protocol, group, cluster.node)) check(op, algorithm, protocol, group, cluster);
        }
  }
}

/// NCCL's own choice on the cluster's links, and its time.
NcclTime least_estimate(NcclOp op, const NcclGroup& group, Bytes bytes, const ClusterSpec& cluster) {
  if (op == NcclOp::all_to_all || op == NcclOp::send_recv) return choose_nccl(op, group, bytes, cluster, links());
  NcclAlgorithm algorithm = NcclAlgorithm::ring;
  NcclProtocol protocol = NcclProtocol::simple;
  for (const NcclAlgorithm a : kAlgorithms)
    for (const NcclProtocol p : kProtocols)
      if (nccl_offers(op, a, p, group, cluster.node) &&
          nccl_estimate(op, a, p, group, bytes, cluster) <
              nccl_estimate(op, algorithm, protocol, group, bytes, cluster)) {
        algorithm = a;
        protocol = p;
      }
  return nccl_time(op, algorithm, protocol, group, bytes, cluster, links());
}

}  // namespace

TEST_CASE("more bytes never take less time with one algorithm and protocol") {
  for_every_offer([](NcclOp op, NcclAlgorithm algorithm, NcclProtocol protocol, const NcclGroup& group,
                     const ClusterSpec& cluster) {
    Seconds before;
    for (double bytes = 64; bytes < 20e9; bytes *= 1.5) {
      const Seconds time = nccl_time(op, algorithm, protocol, group, Bytes(bytes), cluster, links()).total();
      INFO(name(op) << " " << name(algorithm) << " " << name(protocol) << " " << bytes << " B over " << group.nodes
                    << " x " << group.ranks_per_node);
      REQUIRE(time.value() >= before.value() * (1 - 1e-12));
      before = time;
    }
  });
}

TEST_CASE("NCCL takes what its own model expects to be fastest") {
  for (const NcclOp op : kTuned)
    for (const int nodes : {1, 2, 16, 128})
      for (const int local : {1, 2, 8})
        for (double bytes = 1024; bytes < 4e9; bytes *= 8) {
          if (nodes * local < 2) continue;
          const ClusterSpec cluster = cluster_of("hgx-h100", nodes);
          const NcclGroup group = even_group(nodes, local);
          const NcclTime chosen = choose_nccl(op, group, Bytes(bytes), cluster, links());
          const Seconds expected = nccl_estimate(op, chosen.algorithm, chosen.protocol, group, Bytes(bytes), cluster);
          for (const NcclAlgorithm a : kAlgorithms)
            for (const NcclProtocol p : kProtocols)
              if (nccl_offers(op, a, p, group, cluster.node))
                CHECK(expected <= nccl_estimate(op, a, p, group, Bytes(bytes), cluster));
        }
}

TEST_CASE("a faster NVLink never makes a collective slower, and a measured one is priced as NCCL chooses there") {
  for (const char* board : {"hgx-a100", "hgx-h100", "hgx-b200"})
    for (const auto& [nodes, local] : {std::pair{1, 2}, {1, 4}, {1, 8}, {2, 8}, {16, 8}, {16, 2}})
      for (const NcclOp op : kAll) {
        ClusterSpec cluster = cluster_of(board, nodes);
        const BytesPerSecond measured = nccl_measured_rate(cluster.node.gpu);
        CHECK(measured == node_link_bandwidth(cluster.node));
        const NcclGroup group = group_for(op, nodes, local);
        for (double bytes = 1e3; bytes < 3e9; bytes *= 4) {
          cluster.node.nvlink_bandwidth = measured;
          const NcclTime own = least_estimate(op, group, Bytes(bytes), cluster);
          Seconds before(INFINITY);
          // Kinks are narrow: on both sides of a rate.
          for (double scale = 1.0 / 16; scale < 9; scale *= std::pow(2, 1.0 / 4))
            for (const double by : {scale * 0.999, std::abs(scale - 1) < 1e-9 ? 1.0 : scale, scale * 1.001}) {
              cluster.node.nvlink_bandwidth = measured * by;
              const NcclTime time = choose_nccl(op, group, Bytes(bytes), cluster, links());
              const bool slower = time.total().value() > before.value() * (1 + 1e-9);
              const bool moved = by == 1 && (time.total() != own.total() || time.algorithm != own.algorithm);
              if (slower || moved)
                FAIL(board << " " << name(op) << " " << bytes << " B over " << nodes << " x " << local << ", NVLink by "
                           << by << ": " << time.total().value() << " after " << before.value() << " s");
              before = time.total();
            }
        }
      }
}

TEST_CASE("what a plugin says of its network makes every hop longer, and large messages hardly") {
  ClusterSpec efa = cluster_of("hgx-b200", 4);
  efa.fabric = libraries().fabric("efa");
  const ClusterSpec infiniband = cluster_of("hgx-b200", 4);
  const NcclGroup group = even_group(4, 8, Seconds(3.7e-6));
  const auto time = [&](const ClusterSpec& cluster, double bytes) {
    return choose_nccl(NcclOp::all_reduce, group, Bytes(bytes), cluster, links()).total();
  };
  // Two trees of four nodes: two hops up and two down, of 35 us more each.
  CHECK(time(efa, 8192) - time(infiniband, 8192) >= Seconds(4 * 35e-6));
  CHECK(time(efa, 1 << 20) > 2 * time(infiniband, 1 << 20));
  CHECK(time(efa, 8.0 * (1 << 30)) < 1.02 * time(infiniband, 8.0 * (1 << 30)));
  efa.fabric.plugin_latency = Seconds(0);
  CHECK(time(efa, 1 << 20) == time(infiniband, 1 << 20));
}

TEST_CASE("NVLink SHARP reaches what NCCL's tuner counts on, by generation") {
  const auto bus = [](const char* board) {
    const ClusterSpec cluster = cluster_of(board, 1);
    const NcclTime time = nccl_time(NcclOp::all_reduce, NcclAlgorithm::nvls, NcclProtocol::simple, even_group(1, 8),
                                    Bytes(8e9), cluster, links());
    return Bytes(8e9) / time.nvlink / node_link_bandwidth(cluster.node);
  };
  CHECK(bus("hgx-b200") / bus("hgx-h100") == Approx(0.74 / 0.85));
  CHECK(bus("hgx-h200") == Approx(bus("hgx-h100")));
}

TEST_CASE("two GPUs that share a NIC have half of it each") {
  ClusterSpec own = cluster_of("hgx-a100", 4), shared = own;
  shared.node.nics_per_gpu = 0.5;
  shared.node.nic_bandwidth = 2 * own.node.nic_bandwidth;
  shared.fabric.port_bandwidth = 2 * own.fabric.port_bandwidth;
  CHECK(endpoint_bandwidth(shared) == endpoint_bandwidth(own));
  CHECK(FabricGraph(shared).switches() <= FabricGraph(own).switches());
  const auto time = [](const ClusterSpec& cluster) {
    return choose_nccl(NcclOp::all_gather, even_group(4, 8), Bytes(1e9), cluster, links()).total();
  };
  CHECK(time(shared) == time(own));
  shared.node.nic_bandwidth = own.node.nic_bandwidth;
  shared.fabric.port_bandwidth = own.fabric.port_bandwidth;
  CHECK(time(shared) / time(own) > 1.8);  // launches and NVLink take what they took
}

TEST_CASE("faster NICs never make a collective slower") {
  for (const char* board : {"hgx-a100", "hgx-h100", "hgx-b200"})
    for (const auto& [nodes, local] : {std::pair{2, 8}, {4, 8}, {16, 8}, {16, 2}, {8, 1}})
      for (const NcclOp op : kAll) {
        ClusterSpec cluster = cluster_of(board, nodes);
        const BytesPerSecond own = endpoint_bandwidth(cluster), nic = cluster.node.nic_bandwidth;
        const NcclGroup group = group_for(op, nodes, local);
        for (double bytes = 1e3; bytes < 3e9; bytes *= 6) {
          Seconds before(INFINITY);
          for (double rate = 3e9; rate < 200e9; rate *= 1.09) {
            cluster.node.nic_bandwidth = nic * (rate / own.value());
            const NcclTime time = choose_nccl(op, group, Bytes(bytes), cluster, links());
            INFO(board << " " << name(op) << " " << bytes << " B over " << nodes << " x " << local << ", NICs of "
                       << rate << " B/s: " << name(time.algorithm) << " " << name(time.protocol));
            // Between the NICs of A100 and those of boards after it NCCL takes what it takes: both were measured.
            const bool between = rate > 25e9 && rate < 50e9 && std::string(board) != "hgx-a100";
            if (!between) REQUIRE(time.total().value() <= before.value() * (1 + 1e-6));
            before = between ? Seconds(INFINITY) : time.total();
          }
        }
      }
}

TEST_CASE("on the way from one NVLink rate to another NCCL's choice is the least of its estimates everywhere") {
  for (const auto& [nodes, local] : {std::pair{1, 2}, {1, 8}, {2, 8}, {16, 8}, {16, 1}})
    for (const NcclOp op : kTuned)
      for (double bytes = 1e3; bytes < 3e9; bytes *= 5)
        for (const double to : {0.05, 8.0}) {
          ClusterSpec cluster = cluster_of("hgx-h100", nodes);
          const BytesPerSecond measured = nccl_measured_rate(cluster.node.gpu);
          const NcclGroup group = even_group(nodes, local);
          BytesPerSecond from = measured;
          for (const NcclChoice& choice : nccl_choices(op, group, Bytes(bytes), cluster, measured, measured * to)) {
            cluster.node.nvlink_bandwidth = BytesPerSecond(std::sqrt(from.value() * choice.until.value()));
            const Seconds taken = nccl_estimate(op, choice.algorithm, choice.protocol, group, Bytes(bytes), cluster);
            const NcclTime least = least_estimate(op, group, Bytes(bytes), cluster);
            const Seconds expected = nccl_estimate(op, least.algorithm, least.protocol, group, Bytes(bytes), cluster);
            REQUIRE(taken.value() <= expected.value() * (1 + 1e-9));
            from = choice.until;
          }
          CHECK(from == measured * to);
        }
}

TEST_CASE("only nodes whose switches reduce run all-reduce in them") {
  const NcclGroup node = even_group(1, 8);
  const auto algorithm = [&](const char* name) {
    return choose_nccl(NcclOp::all_reduce, node, 256_MiB, cluster_of(name, 1), links()).algorithm;
  };
  CHECK(algorithm("hgx-h100") == NcclAlgorithm::nvls);
  CHECK(algorithm("hgx-h200") == NcclAlgorithm::nvls);
  CHECK(algorithm("hgx-h800") == NcclAlgorithm::nvls);
  CHECK(algorithm("hgx-a100") != NcclAlgorithm::nvls);
  CHECK(algorithm("h100-pcie-server") != NcclAlgorithm::nvls);
  for (const NcclOp op : {NcclOp::all_gather, NcclOp::reduce_scatter})
    CHECK(choose_nccl(op, node, 256_MiB, cluster_of("hgx-h100", 1), links()).algorithm == NcclAlgorithm::ring);
}

TEST_CASE("rings of more than two in a node keep up four fifths of NVLink") {
  // NVIDIA/nccl issue 1048: 232.5 GB/s in a node of A100.
  const auto bus = [](const ClusterSpec& cluster, NcclOp op) {
    const NcclGroup group = even_group(1, 8);
    const Bytes bytes(4.0 * (1 << 30));
    const double ranks = group.ranks, turns = op == NcclOp::all_reduce ? 2 : 1;
    return turns * (ranks - 1) / ranks * (bytes / choose_nccl(op, group, bytes, cluster, links()).total()).value() /
           1e9;
  };
  const ClusterSpec one = cluster_of("hgx-a100", 1);
  CHECK(bus(one, NcclOp::all_reduce) == Approx(232.5).epsilon(0.04));
  // NVIDIA/nccl-tests issue 309, without NVLink SHARP.
  ClusterSpec hopper = cluster_of("hgx-h100", 1);
  hopper.node.in_switch_reduction = false;
  CHECK(bus(hopper, NcclOp::all_reduce) == Approx(368.8).epsilon(0.05));
  CHECK(bus(hopper, NcclOp::all_gather) <= 0.79 * 450);
}

TEST_CASE("small messages go by LL, large ones by Simple, and one rank per node by aggregated trees") {
  const ClusterSpec cluster = cluster_of("hgx-h100", 128);
  const auto gather = [&](int nodes, int local, Bytes bytes) {
    return choose_nccl(NcclOp::all_gather, even_group(nodes, local), bytes, cluster, links());
  };
  CHECK(gather(1, 8, 64_MB).protocol == NcclProtocol::simple);
  CHECK(gather(1, 8, Bytes(65536)).protocol == NcclProtocol::ll);
  CHECK(gather(128, 1, 16_MB).algorithm == NcclAlgorithm::pat);
  CHECK(gather(128, 8, 16_MB).algorithm == NcclAlgorithm::ring);
}

TEST_CASE("a replay alone on healthy ports takes the closed form's time") {
  for (const auto& [nodes, stride] : {std::pair{1, 1}, {2, 1}, {4, 1}, {4, 4}, {8, 8}}) {
    Topology topology(cluster_of("hgx-h100", nodes));
    std::vector<RankId> ranks;  // every stride-th GPU: 8, 2 or 1 of each node
    for (int r = 0; r < nodes * 8; r += stride) ranks.push_back(RankId::at(r));
    const NcclGroup group = group_of(topology, ranks);
    CHECK(group.ranks_per_node == 8 / stride);
    for (const NcclOp op :
         {NcclOp::all_reduce, NcclOp::all_gather, NcclOp::reduce_scatter, NcclOp::broadcast, NcclOp::all_to_all})
      for (const Bytes bytes : {Bytes(65536), 8_MB, 512_MB}) {
        const NcclTime time = choose_nccl(op, group, bytes, topology.cluster(), links());
        const std::vector<CollectivePhase> phases{lower_nccl(topology, op, ranks, bytes, time)};
        GraphBuilder graph({"nccl"});
        std::vector<LaneId> lanes;
        for (const RankId rank : ranks) lanes.push_back(graph.add_lane(rank, "comm"));
        append_collective(graph, lanes, phases);
        const ReplayResult result = replay(std::move(graph).build(), topology.network(), {}, {});
        INFO(name(op) << " by " << name(time.algorithm) << " " << name(time.protocol) << ", " << bytes.value() << " B, "
                      << nodes << " nodes, every " << stride);
        CHECK(result.makespan.value() == Approx(time.total().value()).epsilon(0.002));
      }
  }
}

TEST_CASE("a data-parallel group with one rank per node uses that rank's NIC alone") {
  Topology topology(cluster_of("hgx-h100", 4));
  std::vector<RankId> third;  // GPU 3 of every node
  for (int node = 0; node < 4; ++node) third.push_back(RankId::at(node * 8 + 3));
  const NcclTime time =
      choose_nccl(NcclOp::reduce_scatter, group_of(topology, third), 1_GB, topology.cluster(), links());
  CHECK(time.nvlink_bytes == Bytes(0));
  CHECK(time.nic_bytes.value() == Approx(0.75e9));
  // Eight such groups, one per GPU index, do not meet: together they take as long as one.
  GraphBuilder graph({"nccl"});
  for (int index = 0; index < 8; ++index) {
    std::vector<RankId> group;
    std::vector<LaneId> lanes;
    for (int node = 0; node < 4; ++node) {
      group.push_back(RankId::at(node * 8 + index));
      lanes.push_back(graph.add_lane(group.back(), "comm"));
    }
    const std::vector<CollectivePhase> phases{lower_nccl(topology, NcclOp::reduce_scatter, group, 1_GB, time)};
    append_collective(graph, lanes, phases);
  }
  const ReplayResult result = replay(std::move(graph).build(), topology.network(), {}, {});
  CHECK(result.makespan.value() == Approx(time.total().value()).epsilon(1e-6));
}

TEST_CASE("a node that states half the efficiency of those that were measured takes twice as long on its links") {
  ClusterSpec half = cluster_of("hgx-h100", 2);
  const ClusterSpec whole = half;
  CHECK(whole.node.nvlink_efficiency == kMeasuredNvlinkEfficiency);
  CHECK(whole.node.nic_efficiency == kMeasuredNicEfficiency);
  half.node.nvlink_efficiency /= 2;
  half.node.nic_efficiency /= 2;
  const NcclGroup group = even_group(2, 8);
  const auto time = [&](const ClusterSpec& c) {
    return nccl_time(NcclOp::all_reduce, NcclAlgorithm::ring, NcclProtocol::simple, group, 1_GB, c, links());
  };
  CHECK(time(half).nvlink.value() == Approx(2 * time(whole).nvlink.value()));
  CHECK(time(half).nic.value() == Approx(2 * time(whole).nic.value()));
}

TEST_CASE("on a Hopper node of eight, NVLink SHARP comes in from five GPUs on, as ml-engineering's all-reduces show") {
  // Bus bandwidths on an H200 node: 5 GPUs 414, 6 436, 7 460 GB/s, more than a ring may reach (stas00/ml-engineering).
  const ClusterSpec cluster = cluster_of("hgx-h200", 1);
  for (int gpus = 3; gpus <= 8; ++gpus) {
    INFO(gpus << " GPUs");
    const NcclTime time = choose_nccl(NcclOp::all_reduce, even_group(1, gpus), Bytes(4e9), cluster, links());
    CHECK((time.algorithm == NcclAlgorithm::nvls) == (gpus >= 5));
  }
}

TEST_CASE("trees leave a site at their topmost levels alone, rings as often as they cross") {
  ClusterSpec cluster = cluster_of("hgx-h100", 8);
  cluster.fabric.sites = 2;
  cluster.fabric.site_bandwidth = 100_GBps;
  cluster.fabric.site_latency = 5_ms;
  Topology topology(cluster);
  std::vector<RankId> ranks;
  for (int i = 0; i < cluster.gpus(); ++i) ranks.push_back(RankId::at(static_cast<std::size_t>(i)));
  const NcclGroup far = group_of(topology, ranks);
  CHECK(far.sites == 2);
  CHECK(far.crossings == 2);
  NcclGroup near = far;
  near.site_hop = Seconds(0);
  const auto longer = [&](NcclOp op, NcclAlgorithm algorithm) {
    const auto fixed = [&](const NcclGroup& group) {
      return nccl_time(op, algorithm, NcclProtocol::simple, group, 1_GB, cluster, links()).fixed.value();
    };
    return fixed(far) - fixed(near);
  };
  CHECK(longer(NcclOp::all_reduce, NcclAlgorithm::tree) == Approx(2 * 5e-3));
  CHECK(longer(NcclOp::all_reduce, NcclAlgorithm::ring) == Approx(4 * 5e-3));
  CHECK(longer(NcclOp::all_gather, NcclAlgorithm::ring) == Approx(2 * 5e-3));
  CHECK(longer(NcclOp::broadcast, NcclAlgorithm::ring) == Approx(5e-3));
  CHECK(far.hop < 1_ms);
}

TEST_CASE("twice the link rates halve what is not fixed") {
  ClusterSpec slow = cluster_of("hgx-h100", 2), fast = slow;
  fast.node.nvlink_bandwidth *= 2;
  fast.node.nic_bandwidth *= 2;
  fast.fabric.port_bandwidth *= 2;
  const NcclGroup group = even_group(2, 8);
  for (const NcclAlgorithm a : {NcclAlgorithm::ring, NcclAlgorithm::tree, NcclAlgorithm::nvls_tree}) {
    const auto time = [&](const ClusterSpec& c) {
      return nccl_time(NcclOp::all_reduce, a, NcclProtocol::simple, group, 1_GB, c, links());
    };
    CHECK(time(fast).nvlink.value() == Approx(time(slow).nvlink.value() / 2));
    CHECK(time(fast).nic.value() == Approx(time(slow).nic.value() / 2));
  }
}

TEST_CASE("serving engines' all-reduce goes in one shot while that is faster, and beats NCCL when small") {
  const ClusterSpec cluster = cluster_of("hgx-h100", 1);
  const NcclGroup group = even_group(1, 8);
  CHECK(direct_all_reduce(group, Bytes(16384), cluster, links()).algorithm == NcclAlgorithm::one_shot);
  CHECK(direct_all_reduce(group, 8_MB, cluster, links()).algorithm == NcclAlgorithm::two_shot);
  CHECK(direct_all_reduce(group, Bytes(65536), cluster, links()).total() <
        choose_nccl(NcclOp::all_reduce, group, Bytes(65536), cluster, links()).total());
}
