// What does the busiest GPU get when a router spreads few or many rows over experts?
#include <cmath>

#include "tests/catch.h"
#include "workloads/serving/experts/expert_rows.h"
#include "workloads/serving/pricing/engine.h"

using namespace flopcast;

TEST_CASE("few rows fall unevenly by chance: 8 picks over 8 GPUs leave the busiest 2.6", "[serving][experts]") {
  // Drawn by hand: the mean of the largest of 8 counts of 8 balls is 2.62; Poisson numbers are a little wider.
  CHECK(busiest_rows(1, 8, 1) == Approx(2.62).epsilon(0.06));
  CHECK(busiest_rows(1, 1, 1) == 1);
  CHECK(busiest_rows(0, 8, 1) == 0);
}

TEST_CASE("the busiest GPU nears the mean with many rows, and its long-run load where it has one",
          "[serving][experts]") {
  double share = 8;
  for (const double mean : {1.0, 4.0, 16.0, 64.0, 256.0, 480.0, 520.0, 4096.0, 65536.0}) {
    const double now = busiest_rows(mean, 8, 1) / mean;
    CHECK(now > 1);
    CHECK(now < share);
    share = now;
  }
  CHECK(share < 1.01);
  CHECK(busiest_rows(1e6, 32, 1.5) == Approx(1.5e6));
  CHECK(busiest_rows(4, 32, 1.5) > busiest_rows(4, 32, 1));
  CHECK(busiest_rows(499, 16, 1) == Approx(busiest_rows(501, 16, 1)).epsilon(0.02));
}

TEST_CASE("a skewed router touches fewer experts at small batches and all of them at large ones",
          "[serving][experts]") {
  CHECK(experts_touched(256, 8, 0) == Approx(256 * (1 - std::pow(1 - 1 / 256.0, 8))));
  CHECK(experts_touched(128, 128, 1) < experts_touched(128, 128, 0));
  CHECK(experts_touched(128, 1, 1) == Approx(1).epsilon(0.01));
  CHECK(experts_touched(128, 1e6, 1) == Approx(128).epsilon(0.001));
  CHECK(experts_touched(1, 3, 1) == 1);
}

TEST_CASE("loads that fall as a power of the rank have the variation that is asked for", "[serving][experts]") {
  CHECK(rank_power(128, 0) == 0);
  CHECK(rank_power(1, 1) == 0);
  // 1 / rank over 128 experts: the sum is 5.433, that of squares 1.637.
  CHECK(rank_power(128, std::sqrt(128 * 1.637 / (5.433 * 5.433) - 1)) == Approx(1).epsilon(0.01));
  CHECK(rank_power(128, 1) > rank_power(128, 0.5));
}

TEST_CASE("how tokens get to experts follows from the plan unless it is said", "[serving][experts]") {
  EngineConfig engine;
  engine.plan = {8, 1, 1, 8};
  CHECK(transport_of(engine) == ExpertTransport::replicated);
  CHECK_FALSE(sends_to_experts(engine));
  engine.two_micro_batches = true;
  CHECK(sends_to_experts(engine));
  engine.plan = {1, 8, 1, 8};
  engine.two_micro_batches = false;
  CHECK(sends_to_experts(engine));
  engine.expert_transport = ExpertTransport::all_gather;
  CHECK(transport_of(engine) == ExpertTransport::all_gather);
  CHECK(engine.plan.expert_slices() == 1);
  engine.plan = {8, 1, 1, 2};
  CHECK(transport_of(engine) == ExpertTransport::replicated);  // one group has nothing to gather
  CHECK(engine.plan.expert_slices() == 4);
}
