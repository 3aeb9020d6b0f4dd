// Does the policy command answer what an analyst asks, in forms that people and programs can read?
#include <google/protobuf/util/json_util.h>

#include "analysis/render/text/format.h"
#include "analysis/studies/policy/policy.h"
#include "scenarios/proto/policy_report.pb.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/libraries.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::Outcome;

void check_width(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(display_width(line) <= 80);
  }
}

TEST_CASE("classify: text of one chip, of all, of one rule, of a day", "[policy]") {
  for (const char* arguments :
       {"h800-sxm hbm3", "", "--rule R2023_10", "--date 2025-06-01", "mi308x --rule R2023_10"}) {
    INFO(arguments);
    const Outcome outcome = testing::flopcast(std::string("policy classify ") + arguments);
    CHECK(outcome.code == 0);
    CHECK(outcome.err.empty());
    check_width(outcome.out);
  }
  check_width(testing::flopcast("policy rules").out);
  CHECK_THAT(testing::flopcast("policy classify h800-sxm").out,
             ContainsSubstring("licence for China needed: from 2023-10-23"));
  CHECK_THAT(testing::flopcast("policy classify mi308x --rule R2023_10").out,
             ContainsSubstring("cannot compute (TPP, PD"));
}

TEST_CASE("classify: digits, days, makers", "[policy]") {
  CHECK_THAT(testing::flopcast("policy classify --tpp 2399.9 --pd 2 --io 500 --dram 1000 --rule R2023_10").out,
             ContainsSubstring("TPP 2,399.9") && ContainsSubstring("not controlled (just)"));
  CHECK_THAT(testing::flopcast("policy classify --tpp 1e308 --pd 2 --io 500 --dram 1000 --rule R2023_10").out,
             ContainsSubstring("TPP 1e+308"));
  const std::string h20 = testing::flopcast("policy classify h20 --date 2025-09-01").out;
  CHECK_THAT(testing::one_line(h20), ContainsSubstring("presumed 3A090.a; not of an approved designer such as NVIDIA"));
  CHECK_THAT(h20, ContainsSubstring("licence for 15 % of revenue") && ContainsSubstring("both directions"));
  CHECK_THAT(testing::flopcast("policy classify h20 --date 2026-12-24").out,
             ContainsSubstring("last read on 2026-11-21"));
  CHECK_THAT(h20, !ContainsSubstring("last read"));
  CHECK_THAT(testing::flopcast("policy classify ascend-910b2").out,
             ContainsSubstring("licence for China needed: no US export"));
  CHECK_THAT(testing::flopcast("policy classify tpu-v5p").out, ContainsSubstring("not sold, only rented"));
}

TEST_CASE("a figure has the digits that tell it from a bound", "[policy]") {
  const std::vector<double> bounds{2400, 4800};
  CHECK(figure_number(2399.9, bounds) == "2,399.9");
  CHECK(figure_number(2399.97, bounds) == "2,399.97");
  CHECK(figure_number(2400, bounds) == "2,400");
  CHECK(figure_number(2400.0000000000005, bounds) == "2,400");
  CHECK(figure_number(2500.4, bounds) == "2,500");
  CHECK(figure_number(1.59996, std::vector<double>{1.6}) == "1.59996");
  CHECK(figure_number(1e308, bounds) == "1e+308");
}

TEST_CASE("classify: JSON and CSV say the same", "[policy]") {
  const Outcome json = testing::flopcast("policy classify h20 --rule L2025_04 --json -");
  report::PolicyReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json.out, &message).ok());
  REQUIRE(message.chips_size() == 1);
  const report::RuleVerdict& verdict = message.chips(0).rules(0);
  CHECK(verdict.outcome() == "licence (DRAM >= 1400)");
  CHECK(verdict.controlled() == "yes");
  CHECK(verdict.from() == "2025-04-09");
  CHECK(verdict.terms(0).margin_percent() == Approx(100 * (4000.0 / 1400 - 1)));
  CHECK(verdict.nearest(0).figure() == "I/O");
  const Outcome csv = testing::flopcast("policy classify h20 --rule L2025_04 --csv -");
  CHECK_THAT(csv.out, ContainsSubstring("h20,L2025_04,licence (DRAM >= 1400),yes,"));
}

TEST_CASE("classify: a day without rules, or without this rule, is an error with the nearest day", "[policy]") {
  const Outcome early = testing::flopcast("policy classify h20 --date 2021-01-01");
  CHECK(early.code == 2);
  CHECK_THAT(early.err, ContainsSubstring("2022-08-26"));
  const Outcome late = testing::flopcast("policy classify h20 --date 2024-01-01 --rule R2022_10");
  CHECK(late.code == 2);
  CHECK_THAT(late.err, ContainsSubstring("2023-11-16"));
  CHECK_THAT(testing::flopcast("policy classify h20 --rule BILLS").err, ContainsSubstring("no formula"));
  CHECK_THAT(testing::flopcast("policy classify h20 --date 2024-31-01").err, ContainsSubstring("a day such as"));
  CHECK_THAT(testing::flopcast("policy classify h21").err, ContainsSubstring("did you mean \"h20\"?"));
}

TEST_CASE("classify: a chip by nothing but its figures", "[policy]") {
  const auto outcome = [](const std::string& figures) {
    return testing::flopcast("policy classify " + figures + " --csv -").out;
  };
  CHECK_THAT(outcome("--rule R2023_10 --tpp 4799.9 --pd 5.92"), ContainsSubstring(",3A090.a,yes"));
  CHECK_THAT(outcome("--rule R2023_10 --tpp 4799.9 --pd 100 --not-datacenter"),
             ContainsSubstring(",not controlled,no"));
  CHECK_THAT(outcome("--rule L2025_04 --io 300.1 --dram 1399.9"), ContainsSubstring(",licence (sum >= 1700),yes"));
  CHECK_THAT(outcome("--rule S232_2026_01 --tpp 17500 --dram 4800"), ContainsSubstring(",outside bands,no"));
  const auto says = [](const std::string& arguments) { return testing::flopcast("policy classify " + arguments); };
  CHECK_THAT(says("--pd 5").out, ContainsSubstring("licence for China needed: cannot compute from 2022-08-26"));
  CHECK_THAT(testing::one_line(says("--tpp 6000 --rule R2022_10").out),
             ContainsSubstring("needed: from 2023-10-23; cannot compute 2022-08-26 to 2023-10-23"));
  for (const char* arguments :
       {"h20 --tpp 5000", "h20 --not-datacenter", "--not-datacenter", "--tpp -1", "--tpp 4,800"}) {
    INFO(arguments);
    const Outcome refused = says(arguments);
    CHECK(refused.code == 2);
    CHECK(refused.err.size() < 400);
  }
  CHECK_THAT(says("h20 --tpp 5000").err, ContainsSubstring("--tpp") && ContainsSubstring("--set"));
}

TEST_CASE("a free chip is measured by what keeps it off", "[policy]") {
  const RuleBook book = load_rule_book(test::libraries(), {});
  // Over the bound of computing, below that of links: the links it is that keep the A800 off.
  const auto off = classify(load_chip(test::libraries(), "a800-sxm"), book.at("R2022_10"), book).decisive();
  REQUIRE(off);
  CHECK(off->threshold.figure == ChipFigure::io_bandwidth);
  CHECK(off->share() == Approx(-0.227).epsilon(0.01));
}

TEST_CASE("a margin of hundreds of digits is written short", "[policy]") {
  const auto said = testing::flopcast("policy classify --tpp 1e308");
  CHECK(said.code == 0);
  check_width(said.out);
  CHECK_THAT(said.out, ContainsSubstring("e+304 %") || ContainsSubstring("e+306 %"));
}

}  // namespace
}  // namespace flopcast
