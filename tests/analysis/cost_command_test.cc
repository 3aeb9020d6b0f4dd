// Does `flopcast cost` answer in forms that people and programs can read, and refuse what it cannot price?
#include <google/protobuf/util/json_util.h>

#include <filesystem>

#include "analysis/money/study/cost_output.h"
#include "analysis/render/chart/chart.h"
#include "analysis/render/text/format.h"
#include "scenarios/proto/cost_report.pb.h"
#include "scenarios/proto/report.pb.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::Outcome;

TEST_CASE("cost: text of every kind of scenario fits 80 columns", "[money]") {
  for (const char* arguments :
       {"deepseek_v3_programme --price-model all", "deepseek_service_day_published --price-model all",
        "deepseek_r1_published", "--inputs", "deepseek_v3_serving_h800 --date 2025-02-27 --price-model all"}) {
    INFO(arguments);
    const Outcome outcome = testing::flopcast(std::string("cost ") + arguments);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK(display_width(line) <= 80);
    }
  }
}

TEST_CASE("a replayed service costs what `run` says, and its margin follows dated prices", "[money][serving]") {
  const std::string market = " --set date=2025-02-27 --set market.vendor=DeepSeek --set market.model=R1";
  report::CostReport cost;
  REQUIRE(google::protobuf::util::JsonStringToMessage(
              testing::flopcast("cost deepseek_v3_serving_h800 --json -" + market).out, &cost)
              .ok());
  report::Report run;
  REQUIRE(google::protobuf::util::JsonStringToMessage(
              testing::flopcast("run deepseek_v3_serving_h800 --json -" + market).out, &run)
              .ok());
  CHECK(cost.cost().usd_per_day() == Approx(run.cost().usd_per_day()));
  CHECK(cost.cost().usd_per_million_input_tokens() == Approx(run.cost().usd_per_million_input_tokens()));
  CHECK(cost.cost().usd_per_million_output_tokens() == Approx(run.cost().usd_per_million_output_tokens()));
  CHECK(cost.cost().margin() == Approx(run.cost().margin()));
  CHECK(cost.cost().margin() == Approx(cost.cost().revenue_usd_per_day() / cost.cost().usd_per_day() - 1));
  CHECK(cost.cost().usd_per_day() == Approx(128 * 24 * 2).epsilon(0.001));
  // The parts add up to the day.
  CHECK(cost.cost().usd_per_million_input_tokens() * cost.tokens_per_day().input() / 1e6 +
            cost.cost().usd_per_million_output_tokens() * cost.tokens_per_day().output() / 1e6 ==
        Approx(cost.cost().usd_per_day()));
  // Cheaper tokens: fewer dollars a token and more in all.
  REQUIRE(cost.demand_follows_cost_size() == 4);
  CHECK(cost.demand_follows_cost(3).usd_per_day() > cost.demand_follows_cost(0).usd_per_day());
  CHECK_THAT(testing::flopcast("cost deepseek_v3_serving_h800 --set market.vendor=DeepSeek --set market.model=R1").err,
             ContainsSubstring("date"));
}

TEST_CASE("cost: a promise decides the deployment, and cached tokens cost what they leave to do", "[money][serving]") {
  const Outcome broken = testing::flopcast("cost deepseek_v3_serving_h800 --slo ttft=1ms");
  CHECK(broken.code == 2);
  CHECK_THAT(broken.err, ContainsSubstring("which no deployment on the cluster keeps"));
  report::CostReport kept;
  REQUIRE(google::protobuf::util::JsonStringToMessage(
              testing::flopcast("cost deepseek_v3_serving_h800 --slo ttft=10s,tpot=100ms --json -").out, &kept)
              .ok());
  CHECK(kept.gpus() <= 128);
  CHECK(testing::flopcast("cost deepseek_v3_2048_h800 --slo ttft=1s").code == 2);
  report::CostReport cached;
  REQUIRE(
      google::protobuf::util::JsonStringToMessage(
          testing::flopcast("cost deepseek_v3_prefill_ep32 --set serving.traffic.requests=5K --json -").out, &cached)
          .ok());
  CHECK(cached.cost().usd_per_million_cached_tokens() > 0);
  CHECK(cached.cost().usd_per_million_cached_tokens() < 0.5 * cached.cost().usd_per_million_input_tokens());
}

TEST_CASE("a site that states no PUE gets a usual one where energy is priced, and says so", "[money]") {
  const Outcome usual = testing::flopcast("cost deepseek_v3_2048_h800 --date 2024-12-26 --price-model owned --draws 0");
  CHECK_THAT(testing::one_line(usual.out), ContainsSubstring("1.25") && ContainsSubstring("not stated"));
  const Outcome stated = testing::flopcast(
      "cost deepseek_v3_2048_h800 --date 2024-12-26 --price-model owned --draws 0 --set price.pue=1.1");
  CHECK_THAT(testing::one_line(stated.out), !ContainsSubstring("not stated"));
}

TEST_CASE("cost: JSON, CSV and page say the same", "[money]") {
  const Outcome json = testing::flopcast("cost deepseek_v3_programme --price-model all --json -");
  report::CostReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json.out, &message).ok());
  REQUIRE(message.models_size() == 4);
  CHECK(message.models(0).model() == "stated");
  CHECK(message.models(0).final_run_usd() == Approx(5.576e6));
  double sum = 0;
  for (const auto& part : message.models(0).programme_parts()) sum += part.usd();
  CHECK(sum == Approx(message.models(0).programme_usd()));
  CHECK(message.models(0).uncertainty().tornado_size() == 5);
  const Outcome csv = testing::flopcast("cost deepseek_v3_programme --csv -");
  CHECK_THAT(csv.out, ContainsSubstring("deepseek_v3_programme,stated,final_run,stated price,5576000,"));

  const test::TemporaryFolder folder;
  const std::string page = folder.path() + "/cost.html";
  CHECK(testing::flopcast("cost deepseek_v3_programme --price-model all --html " + page).code == 0);
  const std::string html = testing::contents(page);
  CHECK_THAT(html, ContainsSubstring("$5.576 M"));
  CHECK_THAT(html, ContainsSubstring(" the most</"));          // the finding of the chart of sensitivities
  CHECK_THAT(html, ContainsSubstring("The programme costs"));  // and of what it is made of
  // Readable without a network.
  for (const char* outside : {"src=", "href=", "@import", "url("}) CHECK(html.find(outside) == std::string::npos);
}

TEST_CASE("cost: a replayed run is priced phase by phase", "[money]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("dense.textproto", testing::kDense);
  const Outcome outcome = testing::flopcast(
      "cost " + file +
      " --date 2024-06-01 --price-model all --set 'resilience.failure_rate=1e-3 per GPU-hour' --json -");
  report::CostReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(outcome.out, &message).ok());
  REQUIRE(message.phases_size() == 1);
  CHECK_FALSE(message.phases(0).given());
  CHECK(message.models(0).final_run_usd() == Approx(2 * message.gpu_hours()));
  CHECK(message.models_size() == 4);
  // What is random about a predicted run is when it fails.
  REQUIRE(message.models(0).uncertainty().tornado_size() == 1);
  CHECK(message.models(0).uncertainty().tornado(0).input() == "run.gpu_hours");
}

TEST_CASE("cost says how old the newest rent is where rents are old", "[money]") {
  const auto rented = [](const std::string& day) {
    return testing::one_line(testing::flopcast("cost deepseek_r1_published --price-model rental --date " + day).out);
  };
  CHECK_THAT(rented("2025-03-20"), !ContainsSubstring("days older than"));
  CHECK_THAT(rented("2025-08-01"), ContainsSubstring("days older than 2025-08-01: rents fall"));
}

TEST_CASE("cost: what cannot be priced is refused, and nothing is written", "[money]") {
  const test::TemporaryFolder folder;
  const auto refused = [&](const std::string& arguments, const char* what) {
    INFO(arguments);
    const std::string json = folder.path() + "/out.json";
    const Outcome outcome = testing::flopcast("cost " + arguments + " --json " + json);
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, ContainsSubstring(what));
    CHECK_FALSE(std::filesystem::exists(json));
  };
  refused("deepseek_r1_published --price-model rental --date 2023-06-01", "2024-08-24");
  refused("deepseek_r1_published --price-model amortised --date 2023-01-01", "2023-03-21");
  refused("deepseek_r1_published --date 2025-13-01", "a day such as");
  refused("deepseek_service_day_published --date 2026-01-01", "2025-09-04");
  refused("deepseek_service_day_published --set given_service.cached_tokens=700B", "at most the input tokens");
  refused("deepseek_service_day_published --set market.model=R2", "R1");
  refused("all_to_all_1024", "nothing to price");
  refused("", "a scenario");
  const std::string r1 =
      testing::contents(flopcast::testing::source_dir() + "/scenarios/library/deepseek_r1_published.textproto");
  const auto refused_spread = [&](const std::string& spread, const char* what) {
    refused(folder.write("spread.textproto", r1 + "uncertainty { " + spread + " }"), what);
  };
  refused_spread("uncertain { input: \"stated.prize\" uniform { low: 1 high: 2 } }", "did you mean \"stated.price\"");
  refused_spread("uncertain { input: \"stated.price\" uniform { low: 2 high: 1 } }", "bounds out of order");
  refused_spread("uncertain { input: \"stated.price\" normal { mean: 2 sd: 1 } }", "log_normal");
  refused_spread("uncertain { input: \"stated.price\" }", "no distributions");
  refused_spread("correlated { input: \"stated.price\" rank: 0.5 }", "two different inputs");
  refused(folder.write("both.textproto",
                       r1 + "given_service { nodes: 1 input_tokens: \"1\" output_tokens: \"1\" prefill_share: 0.5 }"),
          "beside something to run");
  refused(folder.write("half.textproto", r1 + "programme { data { name: \"texts\" } }"), "neither gpu_hours nor cost");
}

TEST_CASE("run: a scenario with nothing to replay is priced", "[money]") {
  const Outcome outcome = testing::flopcast("run deepseek_r1_published");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("$294,000"));
}

TEST_CASE("pictures keep to their frame and escape names", "[money]") {
  WaterfallChart chart;
  chart.steps = {{"a <b> & \"c\"", 10, true}, {"more", 2, false}, {"less", -3, false}, {"end", 9, true}};
  chart.text = money_text;
  const Drawing drawing = drawing_of(chart);
  CHECK_THAT(drawing.svg, ContainsSubstring("a &lt;b&gt; &amp; &quot;c&quot;"));
  CHECK_THAT(drawing.svg, ContainsSubstring("class=\"t-bad\""));
  CHECK_THAT(drawing.svg, ContainsSubstring("class=\"t-good\""));
  CHECK(drawing.table.rows == std::vector<std::vector<std::string>>{{"a <b> & \"c\"", "", "$10.00"},
                                                                    {"more", "+$2.00", "$12.00"},
                                                                    {"less", "−$3.00", "$9.00"},
                                                                    {"end", "", "$9.00"}});
  FrontierChart frontier;
  frontier.x_text = frontier.y_text = money_text;
  CHECK(drawing_of(frontier).svg.empty());
  frontier.points = {{"one", 1, 1, true, {}}};
  CHECK(drawing_of(frontier).svg.find("nan") == std::string::npos);
}

}  // namespace
}  // namespace flopcast
