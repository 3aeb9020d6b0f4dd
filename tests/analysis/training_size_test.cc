// Does `size` name the smallest cluster that trains in time, and say what is missing where none does?
#include <algorithm>

#include "analysis/studies/size/size_search.h"
#include "analysis/studies/size/training_size.h"
#include "scenarios/proto/plan_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kRun = "llama_3_1_8b_64_h100";

TEST_CASE("the smallest cluster in time, and the next one, each with its best plan", "[size]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(30 * 86400);
  const TrainingSize size = size_training(kRun, testing::environment(), {}, options);
  REQUIRE(!size.met.empty());
  const TrainingCluster& best = size.met.front();
  CHECK(best.days <= 30);
  CHECK(best.replayed);
  CHECK(best.gpu_hours == Approx(best.days * 24 * best.gpus));
  // The range of the run that `run` gives it, and odds of the deadline from the same.
  REQUIRE((best.days_range && best.odds && best.fits));
  CHECK(best.days_range->p5 < best.days);
  CHECK(best.days_range->p95 > best.days);
  CHECK(*best.odds > (best.days_range->p50 <= 30 ? 0.5 : 0));
  CHECK(*best.odds < (best.days_range->p95 <= 30 ? 1.01 : 0.95));
  for (const TrainingCluster& met : size.met)
    if (met.days < best.days) CHECK(*met.odds >= *best.odds);
  CHECK_THAT(to_text(size, options), ContainsSubstring("Odds: of being in time."));
  bool smaller = false;
  for (const TrainingCluster& tried : size.tried) {
    if (tried.gpus >= best.gpus) continue;
    smaller = true;
    CHECK(tried.days > 30);
  }
  CHECK(smaller);
  CHECK_THAT(to_text(size, options), ContainsSubstring("x hgx-h100"));
  CHECK_THAT(to_csv(size), ContainsSubstring("yes,hgx-h100,h100-sxm,"));
  CHECK(to_message(size, options).met_size() == static_cast<int>(size.met.size()));
  CHECK_THAT(to_html(size, options), ContainsSubstring("clusters were tried"));
}

TEST_CASE("between the sizes of the grid every one is tried, with ramp and interruptions", "[size]") {
  const FineSizes few = sizes_about({1, 2, 3, 4, 5, 6, 8, 10}, 6);
  CHECK(few.nodes == std::vector<int>{7, 8, 9, 10});
  CHECK(few.apart == 1);
  const FineSizes many = sizes_about({1024, 1280, 1536}, 1);
  CHECK(many.apart == 32);
  CHECK(many.nodes.front() == 1056);
  CHECK(many.nodes.back() == 1536);
  TrainingSizeOptions options;
  options.deadline = Seconds(20 * 86400);
  const TrainingSize size = size_training(kRun, testing::environment(), {}, options);
  REQUIRE(!size.met.empty());
  // 19.9 days on 7; 8 nodes, the next of the grid, take fewer days and dollars.
  CHECK(std::any_of(size.met.begin(), size.met.end(), [](const TrainingCluster& c) { return c.nodes == 7; }));
  CHECK(size.met.front().nodes == 8);
  CHECK_THAT(to_text(size, options), ContainsSubstring("Fewest GPUs: 7 x hgx-h100 (56)"));
  for (const TrainingCluster& cluster : size.met) CHECK(cluster.replayed);
}

TEST_CASE("who has what the nearest is short of gets it", "[size]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(20 * 86400);
  options.budget = Usd(60'000);
  const TrainingSize none = size_training(kRun, testing::environment(), {}, options);
  REQUIRE(none.met.empty());
  REQUIRE(none.not_met.front().replayed);
  options.budget = Usd(*none.not_met.front().usd + 1);
  CHECK_FALSE(size_training(kRun, testing::environment(), {}, options).met.empty());
}

TEST_CASE("a budget alone buys the fastest cluster; one that buys nothing says what is missing", "[size]") {
  TrainingSizeOptions options;
  options.budget = Usd(80'000);
  const TrainingSize size = size_training(kRun, testing::environment(), {}, options);
  REQUIRE(!size.met.empty());
  for (const TrainingCluster& cluster : size.met) CHECK(*cluster.usd <= 80'000);
  for (const TrainingCluster& tried : size.tried)
    if (tried.usd && *tried.usd <= 80'000) CHECK(tried.days >= size.met.front().days * 0.9);

  options.budget = Usd(1000);
  options.deadline = Seconds(86400.0 * 30);
  const TrainingSize none = size_training(kRun, testing::environment(), {}, options);
  CHECK(none.met.empty());
  REQUIRE(!none.not_met.empty());
  CHECK_THAT(to_string(unmet(none, options)), ContainsSubstring("more, or $"));
}

TEST_CASE("chips that a rule keeps from China are left out with the rule", "[size]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(60 * 86400.0);
  options.for_china = true;
  options.date = parse_date("2024-06-01");
  options.nodes = {"hgx-h100", "hgx-h20"};
  const TrainingSize size = size_training(kRun, testing::environment(), {}, options);
  REQUIRE(size.left_out.size() == 1);
  CHECK(size.left_out.front().node == "hgx-h100");
  CHECK_THAT(size.left_out.front().why, ContainsSubstring("times as much"));
  CHECK(size.left_out.front().times_over > 1);
  REQUIRE(!size.met.empty());
  CHECK(size.met.front().gpu == "h20");
}

TEST_CASE("where a fabric joins no more nodes the largest cluster of it is the nearest", "[size]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(600);
  const TrainingSize size = size_training(kRun, testing::environment(), {"cluster.fabric=rail-ft2"}, options);
  CHECK(size.met.empty());
  REQUIRE(size.not_met.size() == 1);
  REQUIRE(size.left_out.size() == 1);
  CHECK_THAT(size.left_out.front().why, ContainsSubstring("more than") && ContainsSubstring("leaf switches"));
  CHECK_THAT(to_string(unmet(size, options)), ContainsSubstring("the nearest is"));
}

TEST_CASE("where rules keep every chip, the nearest to them is named", "[size]") {
  TrainingSize none;
  none.left_out = {{"a", "rule x: TPP 9 against 4, 2.25 times as much", 2.25},
                   {"b", "rule x: TPP 5 against 4, 1.25 times as much", 1.25},
                   {"c", "never launched"}};
  TrainingSizeOptions options;
  options.deadline = Seconds(86400);
  CHECK_THAT(to_string(unmet(none, options)), ContainsSubstring("the nearest is b, rule x: TPP 5 against 4"));
}

TEST_CASE("what cannot be sized is refused", "[size]") {
  TrainingSizeOptions options;
  options.deadline = Seconds(86400);
  options.nodes = {"hgx-h1000"};
  CHECK_THROWS_WITH(size_training(kRun, testing::environment(), {}, options), ContainsSubstring("hgx-h100"));
  options.nodes.clear();
  CHECK_THROWS_WITH(size_training("h100_llama_3_1_8b_bf16_8", testing::environment(), {}, options),
                    ContainsSubstring("no tokens to train on"));
}

}  // namespace
}  // namespace flopcast
