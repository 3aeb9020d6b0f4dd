// Does EPLB place experts as published, and even out loads?
#include "workloads/collectives/eplb.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "workloads/collectives/collectives.h"

using namespace flopcast;

namespace {

double largest(const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); }

std::vector<double> skewed_loads(int experts, double spread) {
  RandomStream random(11);
  std::vector<double> load;
  for (int i = 0; i < experts; ++i) load.push_back(std::exp(spread * random.normal()));
  return load;
}

}  // namespace

TEST_CASE("the example of the EPLB README is placed as printed there") {
  const std::vector<double> first{90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86};
  const std::vector<double> second{20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27};
  CHECK(place_experts({first, 16, 4, 2, 8}) == std::vector<int>{5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1});
  CHECK(place_experts({second, 16, 4, 2, 8}) == std::vector<int>{7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1});
}

TEST_CASE("every expert is placed, and every GPU holds as many") {
  const auto load = skewed_loads(256, 0.8);
  const int nodes = GENERATE(1, 4, 3);  // 3 does not divide 8 groups: global
  const int gpus = nodes * 8;
  const int replicas = (256 / gpus + 2) * gpus;
  const auto placement = place_experts({load, replicas, 8, nodes, gpus});
  REQUIRE(placement.size() == static_cast<std::size_t>(replicas));
  for (int e = 0; e < 256; ++e) CHECK(std::count(placement.begin(), placement.end(), e) >= 1);
}

TEST_CASE("hierarchical placement keeps a group's experts within one node") {
  const auto load = skewed_loads(256, 0.8);
  const auto placement = place_experts({load, 288, 8, 4, 32});
  std::vector<int> node_of_group(8, -1);
  for (std::size_t i = 0; i < placement.size(); ++i) {
    int& node = node_of_group[static_cast<std::size_t>(placement[i] / 32)];
    if (node < 0) node = static_cast<int>(i / 72);
    CHECK(node == static_cast<int>(i / 72));
  }
}

TEST_CASE("redundant experts even out loads that contiguous placement leaves uneven") {
  const auto load = skewed_loads(256, 0.8);
  const double contiguous = largest(rank_loads(load, 32));
  const double packed = largest(eplb_rank_loads(load, 0, 8, 32));
  const double redundant = largest(eplb_rank_loads(load, 32, 8, 32));
  CHECK(packed < contiguous);
  CHECK(redundant < packed);
  const auto loads = eplb_rank_loads(load, 32, 8, 32);
  CHECK(std::accumulate(loads.begin(), loads.end(), 0.0) == Approx(32.0));
}

TEST_CASE("a single hot expert is copied until its copies weigh no more than the rest") {
  std::vector<double> load(64, 1.0);
  load[5] = 9.0;
  const auto placement = place_experts({load, 72, 1, 1, 8});
  CHECK(std::count(placement.begin(), placement.end(), 5) == 9);
}

TEST_CASE("experts that do not divide over the GPUs: the first GPUs hold one more") {
  const std::vector<double> alike(256, 1.0);
  std::vector<int> in_order(256);
  std::iota(in_order.begin(), in_order.end(), 0);
  const auto loads = placed_loads(alike, in_order, 72);  // 40 GPUs of 4 experts, 32 of 3
  REQUIRE(loads.size() == 72);
  CHECK(loads.front() == Approx(4 / (256.0 / 72)));
  CHECK(loads[39] == loads.front());
  CHECK(loads[40] == Approx(3 / (256.0 / 72)));
  CHECK(std::accumulate(loads.begin(), loads.end(), 0.0) == Approx(72.0));
  // More GPUs than experts: the last ones hold none.
  const auto few = placed_loads(std::vector<double>(3, 1.0), std::vector<int>{0, 1, 2}, 5);
  CHECK(few == std::vector<double>{5.0 / 3, 5.0 / 3, 5.0 / 3, 0, 0});
}
