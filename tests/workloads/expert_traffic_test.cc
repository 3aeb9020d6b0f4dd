// Does the traffic of node-limited routing follow from the choice of groups and experts?
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "sim/base/random.h"
#include "sim/replay.h"
#include "tests/catch.h"
#include "workloads/collectives/collectives.h"
#include "workloads/collectives/expert_collective.h"

using namespace flopcast;

namespace {

RoutingRequest v3_routing(int ranks) {
  return {.ranks = ranks,
          .ranks_per_node = 8,
          .experts = 256,
          .experts_per_token = 8,
          .groups = 8,
          .groups_per_token = 4,
          .tokens_per_rank = 4096,
          .bytes_per_token = Bytes(7392),
          .rank_load = {}};
}

/// The first `count` of a seeded shuffle of 0 .. n-1.
std::vector<int> draw(RandomStream& random, int n, int count) {
  std::vector<int> items(static_cast<std::size_t>(n));
  std::iota(items.begin(), items.end(), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    std::swap(items[i], items[i + static_cast<std::size_t>(random.uniform() * static_cast<double>(items.size() - i))]);
  items.resize(static_cast<std::size_t>(count));
  return items;
}

struct Reached {
  double nodes = 0, ranks = 0;
};

Reached monte_carlo(const RoutingRequest& r, int tokens) {
  RandomStream random(7);
  const int group_size = r.experts / r.groups;
  Reached mean;
  for (int t = 0; t < tokens; ++t) {
    std::vector<int> pool;
    for (const int group : draw(random, r.groups, r.groups_per_token))
      for (int e = 0; e < group_size; ++e) pool.push_back(group * group_size + e);
    std::set<int> nodes, ranks;
    for (const int pick : draw(random, static_cast<int>(pool.size()), r.experts_per_token)) {
      const int rank = pool[static_cast<std::size_t>(pick)] * r.ranks / r.experts;
      ranks.insert(rank);
      nodes.insert(rank / r.ranks_per_node);
    }
    mean.nodes += static_cast<double>(nodes.size()) / tokens;
    mean.ranks += static_cast<double>(ranks.size()) / tokens;
  }
  return mean;
}

Bytes total(const std::vector<ExpertTraffic>& traffic, Bytes ExpertTraffic::*field) {
  Bytes sum;
  for (const ExpertTraffic& t : traffic) sum += t.*field;
  return sum;
}

TEST_CASE("no rank gets more than every token once", "[collectives]") {
  // Two of eight experts per token: four times the mean at most.
  CHECK(most_of_mean(8, 2) == 4);
  const std::vector<double> cut = cut_loads({100, 1, 1, 1, 1, 1, 1, 2}, 4);
  CHECK(std::accumulate(cut.begin(), cut.end(), 0.0) == Approx(108));
  CHECK(cut[0] == Approx(4 * 108.0 / 8));
  CHECK(cut[7] == Approx(2 * cut[1]));  // what is cut goes to the others in proportion
  // What the first cut lifts over the bound is cut too; all tokens to two experts is as much as there can be.
  const std::vector<double> twice = cut_loads({100, 30, 1, 1, 1, 1, 1, 1}, 4);
  CHECK(*std::max_element(twice.begin(), twice.end()) == Approx(4 * 136.0 / 8));
  const std::vector<double> alone = cut_loads({1, 0, 0, 0, 0, 0, 0, 0}, 4);
  CHECK(alone[0] == Approx(0.5));
  CHECK(alone[1] == Approx(0.5 / 7));
  const std::vector<double> even{3, 1, 2, 2};
  CHECK(cut_loads(even, 2) == even);
}
}  // namespace

TEST_CASE("expected nodes and ranks agree with drawing tokens") {
  RoutingRequest r = v3_routing(64);
  SECTION("DeepSeek-V3 on 8 nodes") {}
  SECTION("on 4 nodes, two groups each") { r = v3_routing(32); }
  SECTION("on 16 nodes, two to a group") { r = v3_routing(128); }
  SECTION("no groups") { r.groups = r.groups_per_token = 1; }
  SECTION("groups that nodes cut across") {
    r = {.ranks = 40,
         .ranks_per_node = 8,
         .experts = 160,
         .experts_per_token = 6,
         .groups = 8,
         .groups_per_token = 3,
         .tokens_per_rank = 1,
         .bytes_per_token = Bytes(1),
         .rank_load = {}};
  }
  const Reached seen = monte_carlo(r, 40000);
  CHECK(expected_nodes(r) == Approx(seen.nodes).epsilon(0.005));
  CHECK(expected_ranks(r) == Approx(seen.ranks).epsilon(0.005));
}

TEST_CASE("DeepSeek-V3's tokens reach 3.6 of at most 4 nodes") {
  // 8 groups of 32 experts, one per node, 4 kept: 4 (1 - C(96,8)/C(128,8)).
  double missed = 1.0;
  for (int i = 0; i < 8; ++i) missed *= (96.0 - i) / (128.0 - i);
  CHECK(expected_nodes(v3_routing(64)) == Approx(4 * (1 - missed)));
  CHECK(expected_nodes(v3_routing(64)) == Approx(3.63).epsilon(0.01));
}

TEST_CASE("what is sent is received, balanced or not") {
  RoutingRequest r = v3_routing(64);
  if (GENERATE(false, true))
    for (int i = 0; i < 64; ++i) r.rank_load.push_back(0.5 + i / 40.0);
  const auto traffic = expert_traffic(r);
  CHECK(total(traffic, &ExpertTraffic::nic_out).value() == Approx(total(traffic, &ExpertTraffic::nic_in).value()));
  CHECK(total(traffic, &ExpertTraffic::nvlink_out).value() ==
        Approx(total(traffic, &ExpertTraffic::nvlink_in).value()));
}

TEST_CASE("balanced traffic: remote nodes over the NIC, other GPUs of the node over NVLink") {
  const RoutingRequest r = v3_routing(64);
  const ExpertTraffic t = expert_traffic(r)[17];
  const double sent = 4096.0 * 7392;
  CHECK(t.nic_out.value() == Approx(sent * expected_nodes(r) * 7 / 8));
  CHECK(t.nic_in.value() == Approx(t.nic_out.value()));
  CHECK(t.nvlink_in.value() == Approx(sent * expected_ranks(r) * 7 / 8));
  const ExpertTraffic alone = expert_traffic(v3_routing(8))[0];
  CHECK(alone.nic_out.value() == 0.0);
  CHECK(alone.nvlink_out.value() == Approx(sent * expected_ranks(v3_routing(8)) * 7 / 8));
}

TEST_CASE("a hot rank draws more over NVLink, its node more over the NICs, and no token is sent twice") {
  RoutingRequest r = v3_routing(64);
  const auto even = expert_traffic(r);
  r.rank_load.assign(64, 1.0);
  r.rank_load[3] = 3.0;
  const auto hot = expert_traffic(r);
  CHECK(hot[3].nvlink_in > even[3].nvlink_in * 2.0);
  CHECK(hot[4].nic_in > even[4].nic_in);
  CHECK(hot[60].nic_in < even[60].nic_in);
  r.rank_load[3] = 1e6;  // everything goes there
  for (const ExpertTraffic& t : expert_traffic(r)) CHECK(t.nvlink_in.value() <= 8 * 4096.0 * 7392 * 7 * (1 + 1e-12));
}

TEST_CASE("loads of experts add up to loads of ranks with mean one") {
  const std::vector<double> experts{4, 0, 1, 1, 1, 1, 2, 2};
  const auto load = rank_loads(experts, 4);
  CHECK(load[0] == Approx(4 / 3.0));
  CHECK(load[1] == Approx(2 / 3.0));
  CHECK(std::accumulate(load.begin(), load.end(), 0.0) == Approx(4.0));
}

TEST_CASE("replayed dispatch and combine take the closed-form time, alone and overlapped") {
  ClusterSpec c;
  c.node.gpus = 8;
  c.node.nvlink_bandwidth = 200_GBps;
  c.node.nvlink_efficiency = 0.8;
  c.node.nic_bandwidth = 50_GBps;
  c.node.nic_efficiency = 0.97;
  c.nodes = GENERATE(1, 2, 8);
  c.fabric.kind = FabricKind::multi_plane;
  c.fabric.port_bandwidth = 50_GBps;
  LinkCalibration links;
  links.nic_efficiency.value = 0.95;
  links.nvlink_efficiency.value = 0.7;
  links.expert_sm_GBps.value = 16;
  links.dispatch_overlap_slowdown.value = 1.8;
  links.combine_overlap_slowdown.value = 1.4;
  links.notify_per_doubling_us.value = 30;
  const int sms = GENERATE(4, 20);
  const bool overlapped = GENERATE(false, true);

  Topology t(c);
  std::vector<RankId> ranks;
  for (int i = 0; i < c.gpus(); ++i) ranks.push_back(RankId::at(i));
  const auto traffic = expert_traffic(v3_routing(c.gpus()));
  for (const ExpertOp op : {ExpertOp::dispatch, ExpertOp::combine}) {
    const auto phase = expert_collective(t, links, {ranks, traffic, op, overlapped, sms});
    GraphBuilder graph;
    std::vector<LaneId> lanes;
    for (const RankId rank : ranks) lanes.push_back(graph.add_lane(rank, "communication"));
    append_collective(graph, lanes, std::span(&phase, 1));
    const double alone =
        expert_time({50_GBps, 200_GBps, c.nodes, op, overlapped, sms}, traffic[0], links).total().value();
    CHECK(replay(std::move(graph).build(), t.network(), {}).makespan.value() == Approx(alone).epsilon(1e-9));
  }
}
