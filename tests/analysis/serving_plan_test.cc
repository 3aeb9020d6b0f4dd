// Does `plan` of a service find the deployment that serves most per GPU, and what it cannot use?
#include "analysis/studies/plan/serving_plan.h"

#include "analysis/studies/size/serving_size.h"
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

const std::string kName = "llama_3_1_70b_serving_8_h100";
const std::vector<std::string> kFew{"serving.traffic.requests=200"};

ServingPlanOptions open_to(std::vector<std::string> what, const std::string& promise) {
  ServingPlanOptions options;
  options.open = std::move(what);
  if (!promise.empty()) options.promise = parse_promise(promise);
  options.workers = 2;
  return options;
}

TEST_CASE("plan of a service ranks every deployment, its own among them", "[plan]") {
  const ServingPlanStudy study =
      plan_serving(kName, testing::environment(), kFew, open_to({"tensor"}, "ttft=2s,tpot=50ms"));
  REQUIRE(study.plans.size() == 3);  // TP 2, 4, 8: one H100 does not hold 70B
  for (std::size_t i = 1; i < study.plans.size(); ++i)
    CHECK(study.plans[i - 1].requests_per_gpu() >= study.plans[i].requests_per_gpu());
  for (const PlannedUnit& plan : study.plans) {
    CHECK(plan.at_most.requests_per_s > 0);
    CHECK(plan.copies == 8 / plan.unit.gpus());
  }
  REQUIRE(study.own);
  CHECK(study.own->answers.tensor == 4);
  REQUIRE(study.left_out.size() == 1);
  CHECK_THAT(study.left_out.front().why, ContainsSubstring("of weights and workspace per GPU"));
  CHECK_THAT(to_text(study), ContainsSubstring("own deployment"));
  CHECK_THAT(to_csv(study), ContainsSubstring("TP4,"));
  CHECK(to_message(study).plans_size() == 3);
  CHECK_THAT(to_html(study), ContainsSubstring("TP4 serves most per GPU") && ContainsSubstring("Left out (1)"));
}

TEST_CASE("a stricter promise serves fewer; prompts and answers apart are tried", "[plan]") {
  const auto best = [](const std::string& promise) {
    const ServingPlanStudy study = plan_serving(kName, testing::environment(), kFew, open_to({"all"}, promise));
    bool apart = false;
    for (const PlannedUnit& plan : study.plans) apart |= plan.unit.prompts.has_value();
    CHECK(apart);
    return study.plans.front().requests_per_gpu();
  };
  CHECK(best("ttft=1s,tpot=40ms") <= best("ttft=4s,tpot=100ms"));
  // What compares is what a request costs on all GPUs: who serves more per GPU serves them cheaper, split or not.
  const ServingPlanStudy study =
      plan_serving(kName, testing::environment(), kFew, open_to({"all"}, "ttft=4s,tpot=100ms"));
  const double price = study.base.price.gpu.value();
  REQUIRE(price > 0);
  for (std::size_t i = 0; i < study.plans.size(); ++i) {
    const PlannedUnit& plan = study.plans[i];
    CHECK(study.usd_per_1000_requests(plan) == Approx(1000 * price / plan.requests_per_gpu()));
    if (i > 0) CHECK(study.usd_per_1000_requests(study.plans[i - 1]) <= study.usd_per_1000_requests(plan) * (1 + 1e-9));
  }
}

TEST_CASE("the best deployment written out is a scenario that keeps the promise", "[plan]") {
  const ServingPlanStudy study =
      plan_serving(kName, testing::environment(), kFew, open_to({"all"}, "ttft=2s,tpot=50ms"));
  const std::string text = scenario_text(study, study.plans.front(), testing::environment());
  const Report report = run(resolve_text(text, "best.textproto", testing::environment()), testing::environment());
  bool measured = false;
  for (const Metric& metric : metrics(report)) {
    if (metric.name != "serving.slo_attainment") continue;
    measured = true;
    CHECK(metric.number().value_or(0) >= 0.9);
  }
  CHECK(measured);
}

TEST_CASE("what is written serves the traffic on the fewest GPUs, and its title says so", "[plan]") {
  const ServingPlanStudy study =
      plan_serving(kName, testing::environment(), kFew, open_to({"all"}, "ttft=2s,tpot=50ms"));
  const PlannedUnit& least = study.for_traffic();
  const int gpus = *study.copies_for_traffic(least) * least.unit.gpus();
  for (const PlannedUnit& plan : study.plans) {
    if (*study.copies_for_traffic(plan) <= plan.copies)
      CHECK(gpus <= *study.copies_for_traffic(plan) * plan.unit.gpus());
  }
  const Scenario written =
      resolve_text(scenario_text(study, least, testing::environment()), "best.textproto", testing::environment())
          .value();
  int used = 0;
  for (const PoolSpec& pool : written.serving->pools) used += pool.replicas * pool.engine.plan.gpus();
  CHECK(used == gpus);
  CHECK_THAT(written.title, ContainsSubstring("planned anew: ") && ContainsSubstring(unit_text(least.unit)));
}

TEST_CASE("a promise names each limit once", "[plan]") {
  CHECK_THROWS_WITH(parse_promise("ttft=2s,ttft=3s"), ContainsSubstring("ttft twice"));
}

TEST_CASE("what cannot be asked of a service's plan is refused", "[plan]") {
  const auto refusal = [](const ServingPlanOptions& options) {
    try {
      plan_serving(kName, testing::environment(), kFew, options);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal(open_to({"tensr"}, "")), ContainsSubstring("did you mean \"tensor\""));
  CHECK_THAT(refusal(open_to({"tensor"}, "ttft=1us")), ContainsSubstring("which no deployment keeps"));
  ServingPlanOptions nothing = open_to({}, "ttft=2s");
  nothing.keep = {"all"};
  CHECK_THAT(refusal(nothing), ContainsSubstring("nothing open"));
}

}  // namespace
}  // namespace flopcast
