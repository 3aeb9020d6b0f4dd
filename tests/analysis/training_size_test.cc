// Does `size` name the smallest cluster that trains in time, and say what is missing where none does?
#include <algorithm>

#include "analysis/face/environment_data.h"
#include "analysis/studies/plan/plan_study.h"
#include "analysis/studies/size/size_search.h"
#include "analysis/studies/size/training_size.h"
#include "flopcast/errors.h"
#include "flopcast/metrics.h"
#include "flopcast/report.h"
#include "flopcast/run.h"
#include "flopcast/scenario.h"
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
  for (const TrainingCluster& tried : size.tried)
    if (tried.gpus < best.gpus) CHECK(tried.days > 30);
  REQUIRE(size.looked_at.size() == 1);
  CHECK(size.looked_at.front().nodes.front() < best.nodes);
  CHECK_THAT(to_text(size, options), ContainsSubstring("Looked at of hgx-h100: "));
  CHECK(to_message(size, options).looked_at(0).nodes_size() == std::ssize(size.looked_at.front().nodes));
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
  // 20.0 days on 7, which the grid has not; 8 nodes, the next of the grid, take fewer days and a little more money.
  CHECK(size.met.front().nodes == 7);
  CHECK(std::any_of(size.met.begin(), size.met.end(), [](const TrainingCluster& c) { return c.nodes == 8; }));
  CHECK_THAT(to_text(size, options), ContainsSubstring("Looked at of hgx-h100: 2 to 8, "));
  for (const TrainingCluster& cluster : size.met) CHECK(cluster.replayed);
}

/// Days of a run with the plan that `plan` finds for it on so many nodes, ramp and interruptions included; none:
/// nothing fits.
std::optional<double> days_as_planned(int nodes, std::vector<std::string> sets) {
  sets.push_back("cluster.nodes=" + std::to_string(nodes));
  PlanOptions options;
  options.open.open = {"all"};
  try {
    const PlanStudy study = plan_study(kRun, testing::environment(), sets, options);
    const std::string text = scenario_text(study, study.plans.front().screened.choice, testing::environment());
    const Report report = run(resolve_text(text, "planned.textproto", testing::environment()), testing::environment());
    for (const Metric& metric : metrics(report))
      if (metric.name == "projection.days") return metric.number();
  } catch (const InputError&) {
  }
  return std::nullopt;
}

// A batch of 96 and a model of 46 layers divide badly into most sizes: the sizes that do are neighbours of none that a
// grid has.
TEST_CASE("no smaller cluster keeps the deadline with the plan that `plan` finds for it", "[size][slow]") {
  const std::vector<std::string> badly{"training.batch.sequences=96", "model_override.layers=46"};
  for (const auto& [days, sets] : {std::pair{20.0, std::vector<std::string>{}}, std::pair{24.0, badly}}) {
    TrainingSizeOptions options;
    options.deadline = Seconds(days * 86400);
    const TrainingSize size = size_training(kRun, testing::environment(), sets, options);
    REQUIRE(!size.met.empty());
    const auto fewest = std::min_element(size.met.begin(), size.met.end(),
                                         [](const auto& a, const auto& b) { return a.nodes < b.nodes; });
    INFO(to_text(size, options));
    CHECK(days_as_planned(fewest->nodes, sets).value_or(1e9) <= days);
    for (int nodes = 1; nodes < fewest->nodes; ++nodes) CHECK(days_as_planned(nodes, sets).value_or(1e9) > days);
    // Nor is a larger one, up to twice as large, cheaper than the one that stands first.
    CHECK(size.met.front().gpu_hours <= fewest->gpu_hours);
  }
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

TEST_CASE("chips without a node of their own are looked at in one that is made for them", "[size]") {
  const Libraries& libraries = testing::environment().data().libraries();
  const std::vector<std::string> alone = chips_without_node(libraries);
  CHECK(std::find(alone.begin(), alone.end(), "l20") != alone.end());
  CHECK(std::find(alone.begin(), alone.end(), "h20") == alone.end());
  const MadeNode made = made_node("l20", libraries);
  CHECK(made.name == "server of 8 l20");
  CHECK_THAT(made.what, ContainsSubstring("are assumed, joined by PCIe of 32 GB/s per direction"));
  // What joins a 910C to others is not published: it is left out with that.
  CHECK(made_node("ascend-910c", libraries).sets.empty());
  TrainingSizeOptions options;
  options.deadline = Seconds(200 * 86400.0);
  options.for_china = true;
  options.date = parse_date("2025-06-01");
  options.most_gpus = 32;
  const TrainingSize size = size_training(kRun, testing::environment(), {}, options);
  const auto has = [](const std::vector<TrainingCluster>& clusters) {
    return std::any_of(clusters.begin(), clusters.end(), [](const TrainingCluster& c) { return c.gpu == "l20"; });
  };
  CHECK((has(size.met) || has(size.not_met)));
  CHECK(std::any_of(size.made.begin(), size.made.end(),
                    [](const NodeMadeUp& node) { return node.node == "server of 8 l20"; }));
  // Every chip of the library is looked at or left out with a reason.
  for (const std::string& gpu : libraries.names(LibraryKind::gpus)) {
    const auto named = [&](const auto& list) {
      return std::any_of(list.begin(), list.end(), [&](const auto& entry) {
        return entry.node == gpu || entry.node == "server of 8 " + gpu ||
               (std::find(alone.begin(), alone.end(), gpu) == alone.end());
      });
    };
    INFO(gpu);
    CHECK((named(size.left_out) || named(size.made)));
  }
  const auto h20 = std::find_if(size.left_out.begin(), size.left_out.end(),
                                [](const ChipLeftOut& chip) { return chip.node == "hgx-h20"; });
  REQUIRE(h20 != size.left_out.end());
  REQUIRE(h20->free_until);
  CHECK(*h20->free_until < *options.date);
  CHECK(*h20->free_until > *parse_date("2025-01-01"));
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
  none.left_out.front().free_until = parse_date("2024-03-01");
  CHECK_THAT(to_string(unmet(none, options)), ContainsSubstring("another rule: b (rule x: TPP 5 against 4") &&
                                                  ContainsSubstring("an earlier --date: a was free until 2024-03-01"));
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
