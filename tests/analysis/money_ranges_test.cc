// Are ranges of money about what they are about, and is what says nothing said?
#include <cmath>

#include "analysis/money/study/cost_study.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::one_line;

CostReport priced(const std::vector<std::string>& sets, PriceModel model, double rent_quantile = 0.5) {
  const EnvironmentData& data = testing::environment().data();
  const Scenario scenario = testing::resolved("deepseek_v3_programme", sets);
  CostQuestion question;
  question.models = {model};
  question.draws = 2000;
  question.rent_quantile = rent_quantile;
  return cost_study(scenario, *given_work(scenario), data.prices(), testing::power_of(scenario), data.usual_spreads(),
                    question);
}

TEST_CASE("a range holds its point, whatever is set", "[money][property]") {
  for (const PriceModel model : {PriceModel::stated, PriceModel::rental, PriceModel::owned, PriceModel::amortised}) {
    for (const char* set :
         {"date=2024-12-26", "price.gpu=4 USD/h", "price.gpu=0.5 USD/h", "price.gpu=3.3 USD/h",
          "price.owned.server=100000 USD", "price.owned.power_share=0.2", "price.owned.network=100 USD",
          "price.amortised.progress=0.4", "price.amortised.network_share=0.6", "price.amortised.power_share=0.1",
          "price.site.electricity_usd_per_kwh=0.5", "programme.experiments=9", "programme.experiments=0",
          "programme.idle=0.6", "programme.staff.people=900", "programme.staff.usd_per_year=1000000"}) {
      INFO(name_of(model) << " " << set);
      const CostReport report = priced({set}, model);
      const ModelCost& cost = report.models.front();
      const auto holds = [&](Outcome outcome, double point) {
        const ResultSpread& s = cost.uncertainty.of(outcome);
        CHECK(s.p5 <= point * (1 + 1e-9));
        CHECK(point <= s.p95 * (1 + 1e-9));
      };
      holds(Outcome::usd_per_gpu_hour, cost.gpu_hour.usd());
      holds(Outcome::run_usd, cost.run.usd());
      holds(Outcome::programme_usd, cost.programme.usd());
      CHECK(cost.uncertainty.point == Approx(cost.programme.usd()));
    }
  }
}

TEST_CASE("a moved spread, an unlike median, a correlation and a spread that say nothing are said", "[money]") {
  CHECK_THAT(one_line(testing::flopcast("cost deepseek_v3_programme --set 'price.gpu=4 USD/h'").out),
             ContainsSubstring("stated.price: the spread from") && ContainsSubstring("was moved with it"));
  CHECK_THAT(one_line(testing::flopcast("cost deepseek_v3_programme").out),
             ContainsSubstring("as the median of the draws") && ContainsSubstring("programme.experiments"));
  const std::string sets =
      " --set uncertainty.correlated[0].input[0]=stated.price --set uncertainty.correlated[0].input[1]=owned.server"
      " --set uncertainty.correlated[0].rank=0.5";
  CHECK_THAT(one_line(testing::flopcast("cost deepseek_v3_programme" + sets).out),
             ContainsSubstring("says nothing, since owned.server is not spread"));
  CHECK_THAT(one_line(testing::flopcast("cost deepseek_v3_programme --price-model owned").out),
             ContainsSubstring("owned: the spread of stated.price changes nothing"));
}

TEST_CASE("rents: by provider, by quantile, and never one price without a range", "[money]") {
  const CostReport one = priced({"date=2025-03-10"}, PriceModel::rental);
  const ResultSpread& hour = one.models.front().uncertainty.of(Outcome::usd_per_gpu_hour);
  CHECK(hour.p5 < 0.9 * 3.42);
  CHECK(hour.p95 > 1.1 * 3.42);
  CHECK_THAT(one.models.front().prices.front().source, ContainsSubstring("CR8DL 2025-03-03 3.42"));
  const PriceBook& book = testing::environment().data().prices();
  const Date day = *parse_date("2025-03-20");
  const RentQuote cheap = book.rent("h100-sxm", {"on demand", ""}, day, 0),
                  middle = book.rent("h100-sxm", {"on demand", ""}, day),
                  dear = book.rent("h100-sxm", {"on demand", ""}, day, 1);
  CHECK(cheap.usd_per_hour == cheap.observed.front());
  CHECK(dear.usd_per_hour == dear.observed.back());
  CHECK(cheap.usd_per_hour < middle.usd_per_hour);
  CHECK(middle.usd_per_hour < dear.usd_per_hour);
  CHECK(middle.low_factor < 1);
  CHECK(middle.high_factor > 1);
  const RentQuote lambda = book.rent("h100-sxm", {"on demand", "Lambda Labs"}, day);
  CHECK(lambda.observed.size() == 1);
}

TEST_CASE("carbon by grid and year", "[money]") {
  const Libraries& all = test::libraries();
  CHECK(grid_carbon(all, "China", 2025).kg_per_kwh == Approx(0.582));
  CHECK(grid_carbon(all, "France", 1995).year == 1990);
  CHECK_THAT(testing::flopcast("cost deepseek_v3_programme --grid Chin").err, ContainsSubstring("China"));
  const std::string text = one_line(testing::flopcast("cost deepseek_v3_programme --grid China").out);
  CHECK_THAT(text, ContainsSubstring("CO2e for the run") && ContainsSubstring("0.582 kg CO2e per kWh"));
  // What is replayed without a PUE has the usual one, at which its electricity is priced, as what is given has.
  const auto kwh = [](const std::string& more) {
    const std::string out = one_line(testing::flopcast("cost llama_3_1_8b_64_h100 --grid China --draws 0 " + more).out);
    const std::size_t at = out.find(" kWh per GPU-hour");
    REQUIRE(at != std::string::npos);
    return std::stod(out.substr(out.rfind(' ', at - 1) + 1));
  };
  CHECK(kwh("") == Approx(1.25 * kwh("--set price.pue=1")).epsilon(0.01));
  CHECK(kwh("--set price.pue=2") == Approx(2 * kwh("--set price.pue=1")).epsilon(0.01));
  CHECK_THAT(one_line(testing::flopcast("cost deepseek_service_day_published --grid France").out),
             ContainsSubstring("CO2e per million output tokens"));
}

}  // namespace
}  // namespace flopcast
