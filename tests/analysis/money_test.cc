// Does a run, a programme and a service cost what the arithmetic of their published figures says, and do
// prices follow the date?
#include <cmath>
#include <fstream>
#include <sstream>

#include "analysis/money/study/cost_output.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/money/sums/published_costs.h"
#include "tests/analysis/environment.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

const PriceBook& book() {
  static const PriceBook kBook = PriceBook::load(test::libraries());
  return kBook;
}

CostReport study(const std::string& name, std::vector<std::string> sets = {}, CostQuestion question = {}) {
  const Scenario scenario = testing::resolved(name, sets);
  return cost_study(scenario, *given_work(scenario), book(), testing::power_of(scenario),
                    load_usual_spreads(test::libraries()), question);
}

Date day(const char* text) { return *parse_date(text); }

template <class Ask>
std::string refusal_of(Ask ask) {
  try {
    ask();
  } catch (const InputError& error) {
    return to_string(error.diagnostics().front());
  }
  return "nothing refused";
}

TEST_CASE("published arithmetic comes out exactly", "[money]") {
  CHECK(study("deepseek_v3_programme").models[0].run.usd() == Approx(5.576e6).epsilon(1e-12));
  const CostReport r1 = study("deepseek_r1_published");
  CHECK(r1.work.gpu_hours() == 147000);
  CHECK(r1.models[0].run.usd() == Approx(294000).epsilon(1e-12));

  const CostReport service = study("deepseek_service_day_published");
  const ServiceCost& s = *service.models[0].service;
  CHECK(s.usd_per_day == Approx(87072).epsilon(1e-12));
  CHECK(s.revenue_per_day == Approx(562027).epsilon(2e-4));  // published; its token counts are rounded
  CHECK(std::floor(100 * s.margin) == 545);
  // The tokens' costs carry the whole cost.
  const ServiceWork& w = *service.work.service;
  const double carried = s.usd_per_million_input * (w.input_tokens - w.cached_tokens) / 1e6 +
                         s.usd_per_million_cached * w.cached_tokens / 1e6 +
                         s.usd_per_million_output * w.output_tokens / 1e6;
  CHECK(carried == Approx(s.usd_per_day));
}

TEST_CASE("amortised cost of published runs lies within 15 % of the published estimates", "[money]") {
  int beside = 0;
  for (const PublishedCost& cost : published_costs(test::libraries())) {
    INFO(cost.run << ": " << cost.predicted_usd << " beside " << cost.published_usd);
    // LLaMA's report states 23 % more GPU-hours than the estimate implies: a known miss.
    if (cost.run == "LLaMA 65B") {
      CHECK(cost.error() == Approx(0.23).margin(0.01));
      continue;
    }
    CHECK(std::abs(cost.error()) < 0.15);
    ++beside;
  }
  CHECK(beside >= 14);
}

TEST_CASE("an owned GPU-hour is an annuity, power and space", "[money]") {
  MoneyInputs in;
  in.owned_server_usd = 30000;
  in.owned_network_usd = 4000;
  in.owned_life_years = 4;
  in.site_rated_kw = 1.275;
  in.owned_power_share = 0.8;
  in.site_pue = 1.25;
  in.site_electricity_usd_per_kwh = 0.08;
  in.site_colocation_usd_per_kw_month = 150;
  in.owned_operations = 0.02;
  const double plain = (34000.0 / 4 + 34000 * 0.02 + 1.275 * 150 * 12) / kHoursPerYear + 1.275 * 0.8 * 1.25 * 0.08;
  CHECK(gpu_hour(PriceModel::owned, in).usd() == Approx(plain));
  // With interest, the payments' present value is the price; with a residual, the price less its present
  // value.
  in.owned_interest = 0.1;
  in.owned_residual = 0.2;
  in.owned_operations = in.site_rated_kw = 0;
  double present = 0;
  for (int year = 1; year <= 4; ++year)
    present += gpu_hour(PriceModel::owned, in).usd() * kHoursPerYear / std::pow(1.1, year);
  CHECK(present == Approx(34000 - 0.2 * 34000 / std::pow(1.1, 4)));
}

TEST_CASE("an amortised server's losses add up to what it was worth", "[money]") {
  MoneyInputs in;
  in.amortised_server_usd = 40000;
  in.amortised_progress = 0.14;
  in.amortised_network_share = 0.19;
  double lost = 0;
  constexpr double kStep = 0.01;
  for (double age = kStep / 2; age < 5; age += kStep) {
    in.amortised_age_years = age;
    lost += gpu_hour(PriceModel::amortised, in).usd() * kStep * kHoursPerYear;
  }
  CHECK(lost == Approx(40000 / 0.81 * (1 - std::pow(10, -0.7))).epsilon(1e-4));
}

TEST_CASE("idle time is paid beside all other hours of a programme", "[money]") {
  MoneyInputs in;
  in.run_gpu_hours = 1000;
  in.programme_experiments = 1;
  in.programme_failed_runs = 0.5;
  in.programme_predecessor_gpu_hours = 500;
  in.programme_idle = 0.25;
  in.programme_data_usd = 70;
  in.stated_usd_per_hour = 2;
  CHECK(programme(gpu_hour(PriceModel::stated, in), in).usd() == Approx(3000 / 0.75 * 2 + 70));
}

TEST_CASE("cost per token and total cost move apart where demand is elastic", "[money]") {
  const CostReport report = study("deepseek_service_day_published", {"market.elasticity=2"});
  const DemandPoint& half = report.demand_follows_cost[1];
  CHECK(half.price == 0.5);
  CHECK(half.tokens == Approx(4));
  CHECK(half.usd_per_day == Approx(2 * 87072));  // each token at half the cost, four times as many
  CHECK(report.demand_price_only[1].usd_per_day == Approx(4 * 87072));
  const CostReport stiff = study("deepseek_service_day_published", {"market.elasticity=0.5"});
  CHECK(stiff.demand_follows_cost[1].usd_per_day == Approx(87072 / std::sqrt(2)));
}

TEST_CASE("prices hold on their days only; the nearest day is offered", "[money]") {
  CHECK(book().tokens("DeepSeek", "R1", day("2025-01-20")).output == 2.19);
  CHECK(book().tokens("DeepSeek", "R1", day("2025-09-04")).output == 2.19);
  CHECK_THAT(refusal_of([] { book().tokens("DeepSeek", "R1", day("2025-01-19")); }),
             ContainsSubstring("did you mean \"2025-01-20\""));
  CHECK_THAT(refusal_of([] { book().tokens("DeepSeek", "R1", day("2025-09-05")); }),
             ContainsSubstring("did you mean \"2025-09-04\""));
  CHECK_THAT(refusal_of([] { book().tokens("DeepSeek", "R3", day("2025-09-05")); }), ContainsSubstring("DeepSeek R1"));

  CHECK(book().server("h100-sxm", day("2023-04-30")).usd == 44489.88);
  CHECK(book().server("h100-sxm", day("2023-05-01")).usd == 33750);
  CHECK_THAT(refusal_of([] { book().server("h100-sxm", day("2022-01-01")); }), ContainsSubstring("2022-09-29"));
  CHECK_THAT(refusal_of([] { book().server("h101-sxm", day("2024-01-01")); }),
             ContainsSubstring("did you mean \"h100-sxm\""));
  CHECK(book().server("h100-pcie", day("2025-06-01")).usd == Approx(24500 * 1.64));

  CHECK(book().rent("h800-sxm", {"accounting rate", ""}, day("2024-12-26")).usd_per_hour == 2);
  CHECK_THAT(refusal_of([] {
               book().rent("h800-sxm", {"on demand", ""}, day("2024-08-01"));
             }),
             ContainsSubstring("2024-08-24"));
  CHECK_THAT(refusal_of([] {
               book().rent("h800-sxm", {"on demand", ""}, day("2026-11-01"));
             }),
             ContainsSubstring("2025-03-03"));
  CHECK(book().rent("h100-sxm", {"1-year", "SemiAnalysis 1-year contract index"}, day("2026-04-01")).usd_per_hour ==
        2.35);
}

TEST_CASE("a scenario without a day cannot be priced by dated prices", "[money]") {
  CostQuestion owned;
  owned.models = {PriceModel::owned};
  CHECK_THAT(refusal_of([&] { study("deepseek_r1_published", {"date="}, owned); }), ContainsSubstring("--date"));
  // Several models: those that the day lacks are left out, and said so.
  CostQuestion two;
  two.models = {PriceModel::stated, PriceModel::rental};
  const CostReport report = study("deepseek_r1_published", {"date=2023-06-01"}, two);
  CHECK(report.models.size() == 1);
  REQUIRE(report.notes.size() == 1);
  CHECK_THAT(report.notes[0], ContainsSubstring("rental: left out"));
}

TEST_CASE("the price model of a scenario sets what its run costs", "[money]") {
  const Scenario owned = testing::resolved("deepseek_r1_published", std::vector<std::string>{"price.model=owned"});
  CostQuestion question;
  question.models = {PriceModel::owned};
  CHECK(owned.price.gpu.value() * 3600 ==
        Approx(study("deepseek_r1_published", {}, question).models[0].gpu_hour.usd()));
}

TEST_CASE("draws: the same for any number of workers, others for another seed", "[money]") {
  CostQuestion one, four;
  one.models = four.models = {PriceModel::stated, PriceModel::owned, PriceModel::amortised};
  four.workers = 4;
  CHECK(to_csv(study("deepseek_v3_programme", {}, one)) == to_csv(study("deepseek_v3_programme", {}, four)));
  CHECK(to_csv(study("deepseek_v3_programme", {}, one)) !=
        to_csv(study("deepseek_v3_programme", {"uncertainty.seed=2"}, one)));
}

/// The published run of R1 with more said.
std::string r1_with(const std::string& more, const test::TemporaryFolder& folder) {
  std::ifstream library(flopcast::testing::source_dir() + "/scenarios/library/deepseek_r1_published.textproto");
  std::ostringstream text;
  text << library.rdbuf() << more;
  return folder.write("r1.textproto", text.str());
}

TEST_CASE("correlated inputs widen or narrow their product", "[money]") {
  const test::TemporaryFolder folder;
  const auto spread = [&](const char* rank) {
    const std::string file =
        r1_with(std::string("uncertainty { uncertain { input: \"stated.price\" log_normal { p5: 1 p95: 4 } }"
                            " uncertain { input: \"run.gpu_hours\" relative: true log_normal { p5: 0.5 p95: 2 } }"
                            " correlated { input: \"run.gpu_hours\" input: \"stated.price\" rank: ") +
                    rank + " } }",
                folder);
    const ResultSpread run = study(file).models[0].uncertainty.of(Outcome::run_usd);
    return std::log(run.p95 / run.p5);
  };
  // Logarithms add: two of the same spread s give s sqrt(2 + 2 rho), rho = 2 sin(pi rank / 6).
  const double one = std::log(4);
  for (const auto& [text, rank] : {std::pair("0", 0.0), {"0.8", 0.8}, {"-0.8", -0.8}})
    CHECK(spread(text) == Approx(one * std::sqrt(2 + 2 * normal_correlation(rank))).epsilon(0.04));
}

TEST_CASE("a result of draws has the spread that its inputs give it", "[money]") {
  // Price alone uncertain, log-normal: the run's cost is log-normal with the same quantiles.
  const test::TemporaryFolder folder;
  const CostReport report = study(r1_with(
      "uncertainty { draws: 40000 uncertain { input: \"stated.price\" log_normal { p5: 1 p95: 4 } } }", folder));
  const ResultSpread& run = report.models[0].uncertainty.of(Outcome::run_usd);
  CHECK(run.p5 == Approx(147000 * 1).epsilon(0.02));
  CHECK(run.p50 == Approx(147000 * 2).epsilon(0.02));
  CHECK(run.p95 == Approx(147000 * 4).epsilon(0.02));
  REQUIRE(report.models[0].uncertainty.tornado.size() == 1);
  const TornadoRow& row = report.models[0].uncertainty.tornado[0];
  CHECK(row.at_low == Approx(147000).epsilon(1e-9));
  CHECK(row.at_high == Approx(4 * 147000).epsilon(1e-9));
  CHECK(row.rank_correlation == Approx(1));
}

}  // namespace
}  // namespace flopcast
