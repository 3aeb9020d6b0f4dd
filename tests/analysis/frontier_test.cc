// Are the chips of a frontier allowed, unbeaten and as slow as what was taken from them?
#include "analysis/studies/policy/frontier.h"

#include "analysis/render/format.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::libraries;
using test::TemporaryFolder;

Frontier walked(const std::string& rule, const std::string& gpu = "hgx-h800", double headroom = 1) {
  const TemporaryFolder folder;
  const Scenario scenario =
      testing::resolved(folder.write("s.textproto", testing::kSparse), std::vector<std::string>{"cluster.node=" + gpu});
  static const RuleBook book = load_rule_book(libraries(), {});
  FrontierQuestion question;
  question.rules = {&book.at(rule)};
  question.headroom = headroom;
  CompareOptions options;
  options.workers = 2;
  return frontier(scenario, load_chip(libraries(), scenario.cluster.node.gpu.name), question, book, options);
}

TEST_CASE("every chip of the frontier is free, and none beats another in everything", "[policy]") {
  const RuleBook book = load_rule_book(libraries(), {});
  for (const char* rule : {"R2022_10", "R2023_10", "L2025_04"}) {
    const Frontier f = walked(rule, "hgx-h100");
    INFO(rule);
    REQUIRE_FALSE(f.chips.empty());
    CHECK_FALSE(f.base_allowed);
    for (const FrontierChip& chip : f.chips) {
      CHECK(classify(chip.figures, book.at(rule), book).controlled == false);
      CHECK(chip.fault.empty());
      CHECK(*chip.figures.tpp <= *f.base.figures.tpp);
      for (const FrontierChip& other : f.chips) {
        const ChipFigures &a = other.figures, &b = chip.figures;
        const bool beaten = *a.tpp > *b.tpp && *a.io >= *b.io && *a.memory_bandwidth >= *b.memory_bandwidth &&
                            *a.die_area_mm2 <= *b.die_area_mm2;
        CHECK_FALSE(beaten);
      }
    }
    CHECK(std::is_sorted(f.chips.begin(), f.chips.end(),
                         [](const FrontierChip& a, const FrontierChip& b) { return a.step < b.step; }));
  }
}

TEST_CASE("the rule of 2022 leaves a chip that is cut in its links alone: the H800", "[policy]") {
  const Frontier f = walked("R2022_10", "hgx-h100");
  REQUIRE(f.fastest);
  const ChipFigures& fastest = f.chips[*f.fastest].figures;
  CHECK(*fastest.tpp == *f.base.figures.tpp);
  CHECK(fastest.io->value() / 1e9 == Approx(599));
  CHECK(f.chips[*f.fastest].bound_by == std::vector<std::string>{"I/O >= 600 GB/s"});
  CHECK(f.chips[*f.fastest].slowdown < 1.1);
}

TEST_CASE("the rule of 2023 leaves a slow chip: the H20", "[policy]") {
  const Frontier f = walked("R2023_10", "hgx-h100");
  REQUIRE(f.fastest);
  const ChipFigures& fastest = f.chips[*f.fastest].figures;
  CHECK(*fastest.tpp == Approx(2400).epsilon(0.001));  // at the threshold only on a die that is large enough
  CHECK(fastest.io->value() == f.base.figures.io->value());
  CHECK(*fastest.density < 3.2);
  CHECK(f.chips[*f.fastest].slowdown > 3);
  CHECK(f.chips[*f.fastest].power < 0.7 * f.base.power);
}

TEST_CASE("a chip that is free already is its own frontier", "[policy]") {
  const Frontier f = walked("R2022_10");
  CHECK(f.base_allowed);
  REQUIRE(f.fastest);
  CHECK(f.chips[*f.fastest].slowdown == Approx(1));
}

TEST_CASE("a service has a frontier too", "[policy][serving]") {
  const auto csv = testing::flopcast(
      "policy frontier deepseek_r1_distill_llama_8b_one_gpu --rule R2023_10 --csv - --set "
      "serving.traffic.requests=8");
  CHECK(csv.code == 0);
  const auto text = testing::flopcast(
      "policy frontier deepseek_r1_distill_llama_8b_one_gpu --rule R2023_10 --set "
      "serving.traffic.requests=8");
  CHECK_THAT(text.out, ContainsSubstring("10^6 tokens") && ContainsSubstring("Fastest"));
  CHECK(testing::flopcast("policy frontier deepseek_service_day_published --rule R2023_10").code == 2);
}

TEST_CASE("frontier: the command, its width, and what it has to be told", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const auto text = testing::flopcast("policy frontier " + file + " --rule R2023_10");
  CHECK(text.code == 0);
  CHECK_THAT(text.out, ContainsSubstring("Fastest"));
  CHECK_THAT(text.out, ContainsSubstring("Assumed"));
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 100);
  CHECK_THAT(testing::flopcast("policy frontier " + file).err, ContainsSubstring("neither --rule nor --date"));
  CHECK_THAT(testing::flopcast("policy frontier " + file + " --date 2023-06-01 --csv -").out,
             ContainsSubstring("h800-sxm,"));
}

}  // namespace
}  // namespace flopcast
