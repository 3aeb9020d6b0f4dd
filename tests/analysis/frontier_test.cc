// Are the chips of a frontier allowed, unbeaten and as slow as what was taken from them?
#include "analysis/studies/policy/frontier.h"

#include "analysis/render/text/format.h"
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
  return frontier(scenario, load_chip(libraries(), scenario.cluster.node.gpu.name), question, book,
                  ChipCosts::load(libraries()), {}, options);
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

/// Deterministic draws in (0, 1).
double dots_drawn(std::uint64_t& state) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return (static_cast<double>(state >> 11) + 0.5) / 9007199254740992.0;
}

TEST_CASE("no allowed chip is better than all of the frontier", "[policy][property]") {
  const RuleBook book = load_rule_book(libraries(), {});
  const ChipFigures gpu = load_chip(libraries(), "h100-sxm");
  for (const std::vector<std::string>& ids :
       {std::vector<std::string>{"R2022_10"}, {"R2023_10"}, {"L2025_04"}, {"R2023_10", "L2025_04"}, {"S232_2026_01"}}) {
    FrontierQuestion question;
    question.headroom = 1.5;
    for (const std::string& id : ids) question.rules.push_back(&book.at(id));
    const FreeDesigns found = free_designs(gpu, question, book);
    std::uint64_t state = 20251126;
    int free = 0;
    for (int draw = 0; draw < 10000; ++draw) {
      const double rate = *gpu.tpp * 1.5 * dots_drawn(state);
      const double least = rate / *gpu.density;
      const ChipDesign d{rate, least + (question.largest_area_mm2 - least) * dots_drawn(state),
                         gpu.io->value() / 1e9 * 1.5 * dots_drawn(state),
                         gpu.memory_bandwidth->value() / 1e9 * 1.5 * dots_drawn(state)};
      if (d.area > question.largest_area_mm2 || !is_free(figures_of(d, gpu), question, book)) continue;
      ++free;
      // An edge between memory and I/O is sampled: there a point lies within a step in I/O.
      const bool beaten = std::any_of(found.unbeaten.begin(), found.unbeaten.end(), [&](const ChipDesign& other) {
        return other.tpp >= d.tpp * (1 - 3e-4) && other.memory >= d.memory * (1 - 3e-4) &&
               other.io >= d.io - gpu.io->value() / 1e9 * 1.5 / 16;
      });
      INFO(ids.front() << " " << d.tpp << " TPP on " << d.area << " mm2, " << d.io << " and " << d.memory << " GB/s");
      REQUIRE(beaten);
    }
    CHECK(free > 50);
  }
}

TEST_CASE("a rule that asks about another one first has that one's bounds as corners", "[policy]") {
  const RuleBook book = load_rule_book(libraries(), {});
  const ChipFigures gpu = load_chip(libraries(), "h100-sxm");
  for (const char* id : {"R2026_01_CASE", "R2025_01_DIFF"}) {
    FrontierQuestion question;
    question.rules = {&book.at(id)};
    double most = 0;
    for (const ChipDesign& d : free_designs(gpu, question, book).unbeaten) most = std::max(most, d.tpp);
    INFO(id);
    CHECK(most >= 2745);
  }
  const Frontier f = walked("R2026_01_CASE", "hgx-h100");
  CHECK(f.chips[*f.fastest].bound_by == std::vector<std::string>{"PD >= 1.6"});
}

TEST_CASE("no design is larger than --largest-area, be it less than the chip's own die", "[policy]") {
  const RuleBook book = load_rule_book(libraries(), {});
  const ChipFigures gpu = load_chip(libraries(), "h100-sxm");
  for (const double area : {100.0, 400.0, 1000.0}) {
    FrontierQuestion question;
    question.rules = {&book.at("R2023_10")};
    question.largest_area_mm2 = area;
    const FreeDesigns found = free_designs(gpu, question, book);
    REQUIRE_FALSE(found.unbeaten.empty());
    for (const ChipDesign& d : found.unbeaten) {
      CHECK(d.area <= area * (1 + 1e-9));
      CHECK(d.tpp <= *gpu.density * d.area * (1 + 1e-9));
    }
  }
}

TEST_CASE("more freedom never makes the cheapest design dearer", "[policy]") {
  double last = 1e300;
  for (const double headroom : {0.5, 0.7, 1.0, 1.3, 2.0, 4.0}) {
    const Frontier f = walked("R2023_10", "hgx-h100", headroom);
    INFO(headroom);
    REQUIRE(f.cheapest);
    CHECK(f.chips[*f.cheapest].cost_by_parts() <= last * 1.002);
    last = f.chips[*f.cheapest].cost_by_parts();
  }
}

TEST_CASE("a large die stays below a bound on density: the rule of 2023 on two fields of a scanner", "[policy]") {
  const RuleBook book = load_rule_book(libraries(), {});
  const ChipFigures gpu = load_chip(libraries(), "h800-sxm");
  for (const auto& [area, tpp] : {std::pair{1716.0, 2745.0}, {2900.0, 4639.0}}) {
    FrontierQuestion question;
    question.rules = {&book.at("R2023_10")};
    question.largest_area_mm2 = area;
    double most = 0;
    for (const ChipDesign& d : free_designs(gpu, question, book).unbeaten) most = std::max(most, d.tpp);
    CHECK(most >= tpp);
    CHECK(most < 1.6 * area);
  }
}

TEST_CASE("a small die is not cheap for its memory, its package and its server", "[policy]") {
  const ChipCosts costs = ChipCosts::load(libraries());
  const ChipBuild h100 = costs.build({814, 80_GB, true, Watts(700)});
  CHECK(h100.total() == Approx(3320).epsilon(0.01));
  CHECK(h100.dies == Approx(300));
  const ChipToBuild small{82, 80_GB, true, Watts(383)}, large{814, 80_GB, true, Watts(700)};
  const double ratio =
      costs.usd_per_hour(small, FabricKind::rail_fat_tree_2) / costs.usd_per_hour(large, FabricKind::rail_fat_tree_2);
  CHECK(ratio > 0.7);
  CHECK(ratio < 1);
  CHECK(costs.build({1716, 80_GB, true, Watts(700)}).dies > 2 * h100.dies);  // two dies of a full field
}

TEST_CASE("an outcome that no rule in question has is refused with the nearest", "[policy]") {
  const auto run = testing::flopcast(
      "policy frontier deepseek_v3_2048_h800 --date 2025-06-01 --allow '3A090.b (NAC eligibl)' --allow x");
  CHECK(run.code == 2);
  CHECK_THAT(run.err, ContainsSubstring("did you mean \"3A090.b (NAC eligible)\"") && ContainsSubstring("\"x\""));
}

TEST_CASE("the rule of 2022 leaves a chip that is cut in its links alone: the H800", "[policy]") {
  const Frontier f = walked("R2022_10", "hgx-h100");
  REQUIRE(f.fastest);
  const ChipFigures& fastest = f.chips[*f.fastest].figures;
  CHECK(*fastest.tpp == *f.base.figures.tpp);
  CHECK(fastest.io->value() / 1e9 == Approx(600).epsilon(2e-4));
  CHECK(f.chips[*f.fastest].bound_by == std::vector<std::string>{"I/O >= 600 GB/s"});
  CHECK(f.chips[*f.fastest].slowdown < 1.1);
}

TEST_CASE("the rule of 2023 leaves a slow chip: the H20", "[policy]") {
  const Frontier f = walked("R2023_10", "hgx-h100");
  REQUIRE(f.fastest);
  const ChipFigures& fastest = f.chips[*f.fastest].figures;
  CHECK(*fastest.tpp == Approx(1.6 * 1716).epsilon(0.001));  // at the bound on density, on the largest die
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

TEST_CASE("a service whose requests come at a rate still tells fast chips from slow ones", "[policy][serving]") {
  static const RuleBook book = load_rule_book(libraries(), {});
  Scenario scenario =
      testing::resolved("llama_3_1_70b_serving_8_h100", std::vector<std::string>{"serving.traffic.requests=200"});
  FrontierQuestion question;
  question.rules = {&book.at("R2022_10")};
  CompareOptions options;
  options.workers = 2;
  const Frontier f =
      frontier(scenario, load_chip(libraries(), "h100-sxm"), question, book, ChipCosts::load(libraries()), {}, options);
  REQUIRE(f.fastest);
  double slowest = 0;
  for (const FrontierChip& chip : f.chips) slowest = std::max(slowest, chip.slowdown);
  CHECK(slowest > 1.2 * f.chips[*f.fastest].slowdown);
  CHECK(*f.chips[*f.fastest].figures.memory_bandwidth == *f.base.figures.memory_bandwidth);
  CHECK_THAT(f.assumptions.back(), ContainsSubstring("asked in turn"));
}

TEST_CASE("users who wait for long prompts count among those who ask in turn", "[policy][serving]") {
  static const RuleBook book = load_rule_book(libraries(), {});
  const auto users = [&](const std::string& output) {
    const std::vector<std::string> sets = {"serving.traffic.requests=100", "serving.traffic.stream[0].input.mean=8000",
                                           "serving.traffic.stream[0].requests_per_second=2",
                                           "serving.traffic.stream[0].output.mean=" + output};
    FrontierQuestion question;
    question.rules = {&book.at("R2022_10")};
    CompareOptions options;
    options.workers = 2;
    const Frontier f =
        frontier(testing::resolved("llama_3_1_70b_serving_8_h100", sets), load_chip(libraries(), "h100-sxm"), question,
                 book, ChipCosts::load(libraries()), {}, options);
    const std::string& said = f.assumptions.back();
    return std::stoi(said.substr(said.find("in turn by ") + 11));
  };
  // Two requests a second with a second of prompt each: answers of two tokens keep a tenth of a user waiting.
  CHECK(users("2") >= 2);
  CHECK(users("300") > users("2") + 5);
}

TEST_CASE("a rule that names a chip does not name what is made in its place", "[policy]") {
  const Frontier f = walked("L2022_08", "hgx-h100");
  REQUIRE(f.fastest);
  CHECK_FALSE(f.base_allowed);
  const ChipFigures& fastest = f.chips[*f.fastest].figures;
  CHECK((*fastest.tpp < 4992 || fastest.io->value() < 600e9));
}

TEST_CASE("a design may have as much of each figure as a chip that is sold", "[policy]") {
  const RuleBook book = load_rule_book(libraries(), {});
  FrontierQuestion question;
  question.rules = {&book.at("R2023_10")};
  const ChipFigures gpu = load_chip(libraries(), "h800-sxm");
  const auto most_memory = [&] {
    double most = 0;
    for (const ChipDesign& d : free_designs(gpu, question, book).unbeaten) most = std::max(most, d.memory);
    return most;
  };
  CHECK(most_memory() == Approx(3350));
  question.sold = {load_chip(libraries(), "h20")};
  CHECK(most_memory() == Approx(4000));
  CHECK(most_of(gpu, question).io == Approx(load_chip(libraries(), "h20").io->value() / 1e9));
}

TEST_CASE("frontier: the command, its width, and what it has to be told", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const auto text = testing::flopcast("policy frontier " + file + " --rule R2023_10");
  CHECK(text.code == 0);
  CHECK_THAT(text.out, ContainsSubstring("Fastest design") && ContainsSubstring("Of the allowed chips that exist"));
  CHECK_THAT(text.out, ContainsSubstring("Assumed"));
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 100);
  CHECK_THAT(testing::flopcast("policy frontier " + file).err, ContainsSubstring("neither --rule nor --date"));
  CHECK_THAT(testing::flopcast("policy frontier " + file + " --date 2023-06-01 --csv -").out,
             ContainsSubstring("h800-sxm,"));
}

}  // namespace
}  // namespace flopcast
