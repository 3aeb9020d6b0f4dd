// Does a fleet's ledger add up, and does it refuse to pay an hour twice?
#include "analysis/money/fleet/fleet.h"

#include <google/protobuf/util/json_util.h>

#include "analysis/render/text/format.h"
#include "scenarios/proto/fleet_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::TemporaryFolder;
using O = FleetOutcome;

/// 100 H800 for a year of 365 days, and 80 H100 rented.
constexpr const char* kSmallFleet = R"(title: "small"
begins: "2023-01-01" ends: "2024-01-01" cny_per_usd: 7
purchase {
  name: "own" gpu: "h800-sxm" bought: "2023-01-01" count { likely: 100 } price { likely: 210000 currency: "CNY" }
  network { likely: 5000 } tariff: 0.1 revenue_share: 0.15 life_years: 5 source: "assumed"
}
rental {
  name: "cloud" gpu: "h100-sxm" day: "2023-06-01" gpu_hours { likely: 10000 } usd_per_hour { low: 2 likely: 2 high: 3 }
  source: "assumed"
}
use { name: "run" on: "own" kind: "final run" gpu_hours { likely: 300000 } source: "assumed" }
use { name: "tests" on: "cloud" kind: "experiments" gpu_hours { likely: 10000 } source: "assumed" }
site { electricity { likely: 0.1 } pue { likely: 1.2 } power_share: 0.5 server_watts: 300 operations: 0.01 }
staff { people { likely: 10 } per_year { likely: 100000 } }
other { name: "licences" cost { likely: 50000 } source: "assumed" }
)";

Fleet loaded_fleet(const std::string& text, const std::vector<std::string>& sets = {}) {
  const TemporaryFolder folder;
  return load_fleet(folder.write("f.textproto", text), sets, test::libraries(), testing::environment().data().prices());
}

std::string refused(const std::string& from, const std::string& to) {
  std::string text = kSmallFleet;
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  try {
    loaded_fleet(text);
  } catch (const InputError& error) {
    std::string all;
    for (const Diagnostic& d : error.diagnostics()) all += to_string(d) + "\n";
    return all;
  }
  return "nothing refused";
}

TEST_CASE("a ledger by hand: capital, power, staff, shares", "[money][fleet]") {
  const FleetResult r = fleet_ledger(loaded_fleet(kSmallFleet), {});
  const double paid = 30000 * 1.1 + 5000;
  CHECK(r.of(O::capital_usd).value == Approx(100 * paid));
  CHECK(r.of(O::tariff_usd).value == Approx(100 * 3000));
  CHECK(r.lots[0].passed_on.value == Approx(100 * 30000 * 0.15));
  const double kw = 0.7 + 0.3, hours = 365 * 24;
  CHECK(r.of(O::electricity_usd).value == Approx(100 * kw * 0.5 * 1.2 * 0.1 * hours));
  CHECK(r.of(O::operations_usd).value == Approx(100 * paid * 0.01 * 365 / 365.25));
  CHECK(r.of(O::staff_usd).value == Approx(10 * 100000 * 365 / 365.25));
  CHECK(r.of(O::rent_usd).value == Approx(20000));
  CHECK(r.of(O::gpu_hours).value == Approx(100 * hours + 10000));
  CHECK(r.of(O::run_share).value == Approx(300000 / (100 * hours + 10000)));
  CHECK(r.of(O::spent_usd).value ==
        Approx(r.of(O::capital_usd).value + r.of(O::electricity_usd).value + r.of(O::operations_usd).value +
               r.of(O::staff_usd).value + r.of(O::rent_usd).value + 50000));
  CHECK(r.of(O::written_off_usd).value == Approx(100 * paid * 365 / 365.25 / 5));
  CHECK(r.uses[0].usd.value ==
        Approx(300000 * (paid / 5 / (24 * 365.25) + kw * 0.5 * 1.2 * 0.1 + paid * 0.01 / (24 * 365.25))));
  // Only the rent is uncertain.
  CHECK(r.of(O::capital_usd).p5 == Approx(r.of(O::capital_usd).p95));
  CHECK(r.of(O::rent_usd).p5 > 20000);
  CHECK(r.of(O::rent_usd).p95 < 30000);
}

TEST_CASE("what counts a run, a server or a tariff twice is refused with what would be right", "[money][fleet]") {
  CHECK_THAT(refused(R"(name: "tests" on: "cloud")", R"(name: "run" on: "cloud")"),
             ContainsSubstring("one run's hours paid twice") && ContainsSubstring("a run once"));
  // The same hours on the same days under another name.
  const std::string dated =
      R"(gpu_hours { likely: 300000 } from: "2023-02-01" until: "2023-09-01" source: "assumed" })";
  CHECK_THAT(refused(R"(gpu_hours { likely: 300000 } source: "assumed" })",
                     dated + R"( use { name: "run again" on: "own" kind: "final run" )" + dated),
             ContainsSubstring("has the same hours on the same days"));
  CHECK_THAT(refused("gpu_hours { likely: 300000 }", "gpu_hours { likely: 900000 }"),
             ContainsSubstring("9e+05 GPU-hours used on own") && ContainsSubstring("at most the 8.76e+05"));
  CHECK_THAT(
      refused(R"(use { name: "tests" on: "cloud" kind: "experiments" gpu_hours { likely: 10000 } source: "assumed" })",
              ""),
      ContainsSubstring("of which uses take 0") && ContainsSubstring("is not rented as well"));
  CHECK_THAT(refused("network { likely: 5000 }", "pays: \"cluster\" network { likely: 5000 }"),
             ContainsSubstring("counted twice"));
  CHECK_THAT(refused("network { likely: 5000 }", "server { likely: 5000 }"), ContainsSubstring("counted twice"));
  CHECK_THAT(refused("name: \"licences\"", "name: \"run\""),
             ContainsSubstring("whose hours are used on \"own\" already"));
  CHECK_THAT(refused("gpu_hours { likely: 300000 }",
                     "from: \"2023-01-01\" until: \"2023-01-31\" gpu_hours { likely: 300000 }"),
             ContainsSubstring("at most 7.2e+04"));
}

TEST_CASE("bad figures of a fleet", "[money][fleet]") {
  CHECK_THAT(refused("life_years: 5", "life_years: -1"), ContainsSubstring("life_years"));
  CHECK_THAT(refused("tariff: 0.1", "tariff: 25"), ContainsSubstring("tariff"));
  CHECK_THAT(refused("currency: \"CNY\"", "currency: \"EUR\""), ContainsSubstring("CNY"));
  CHECK_THAT(refused("cny_per_usd: 7", ""), ContainsSubstring("yuan without a rate"));
  CHECK_THAT(refused("price { likely: 210000 currency: \"CNY\" }", ""), ContainsSubstring("nothing, and 2023-01-01"));
  CHECK_THAT(refused("low: 2 likely: 2 high: 3", "low: 3 likely: 2 high: 3"), ContainsSubstring("low <= likely"));
  CHECK_THAT(refused("ends: \"2024-01-01\"", "ends: \"2022-01-01\""), ContainsSubstring("a day after"));
  CHECK_THAT(refused("on: \"cloud\"", "on: \"clod\""), ContainsSubstring("cloud"));
  CHECK_THAT(testing::flopcast("fleet deepsek_fleet").err, ContainsSubstring("deepseek_fleet"));
  CHECK(testing::flopcast("fleet deepseek_fleet --set 'purchase[2].life_years=0'").code == 2);
}

TEST_CASE("DeepSeek's fleet: the point lies in every range, and each published figure has a verdict",
          "[money][fleet]") {
  const testing::Outcome outcome = testing::flopcast("fleet deepseek_fleet");
  CHECK(outcome.code == 0);
  std::istringstream lines(outcome.out);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(display_width(line) <= 80);
  }
  report::FleetReport report;
  REQUIRE(google::protobuf::util::JsonStringToMessage(testing::flopcast("fleet deepseek_fleet --json -").out, &report)
              .ok());
  for (const report::FleetFigure& f : report.figures()) {
    INFO(f.name());
    CHECK(f.p5() <= f.value() * (1 + 1e-9));
    CHECK(f.value() <= f.p95() * (1 + 1e-9));
  }
  CHECK(report.estimates_size() >= 6);
  for (const report::FleetEstimate& e : report.estimates()) CHECK_FALSE(e.verdict().empty());
  CHECK_THAT(testing::flopcast("fleet deepseek_fleet --csv -").out, ContainsSubstring("spent_usd"));
}

}  // namespace
}  // namespace flopcast
