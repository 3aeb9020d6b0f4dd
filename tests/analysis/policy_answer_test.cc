// Does `flopcast policy answer` put the work on the chips that a rule leaves, planned anew?
#include <set>

#include <fmt/ranges.h>
#include <google/protobuf/util/json_util.h>

#include "analysis/render/text/format.h"
#include "analysis/studies/policy/answer.h"
#include "analysis/studies/policy/design_scenario.h"
#include "scenarios/proto/policy_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::TemporaryFolder;

report::PolicyAnswer answered(const std::string& arguments) {
  const testing::Outcome outcome = testing::flopcast("policy answer " + arguments + " --json -");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  report::PolicyAnswer answer;
  REQUIRE(google::protobuf::util::JsonStringToMessage(outcome.out, &answer).ok());
  return answer;
}

const report::AnswerRow& row_of(const report::AnsweredWork& work, const std::string& chip) {
  for (const report::AnswerRow& row : work.rows()) {
    if (row.chip() == chip) return row;
  }
  FAIL("no row of " + chip);
  return work.rows(0);
}

TEST_CASE("policy answer of a day: what else is in force, and no chips of later years", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const report::PolicyAnswer a = answered("2025-08-15 --for " + file + " --chips h20");
  std::set<std::string> also;
  for (const report::AnswerRule& rule : a.also()) also.insert(rule.rule());
  for (const char* rule : {"D2025_08", "R2025_01_FOUNDRY", "G2025_05"}) CHECK(also.count(rule) == 1);
  const auto chip = [](const report::PolicyAnswer& of, const std::string& name) {
    for (const report::JudgedChip& c : of.chips())
      if (c.chip() == name) return c;
    FAIL("no chip " + name);
    return report::JudgedChip();
  };
  CHECK_THAT(fmt::format("{}", fmt::join(chip(a, "h20").also(), "; ")),
             ContainsSubstring("D2025_08: licence for 15 %"));

  const report::PolicyAnswer early = answered("2022-10-06 --for " + file + " --chips a800-sxm,tpu-v7");
  CHECK(chip(early, "tpu-v7").later());
  CHECK(chip(early, "h20").later());
  CHECK_FALSE(chip(early, "a100-sxm").later());
  CHECK(row_of(early.works(0), "a800-sxm").later());
  const testing::Outcome csv =
      testing::flopcast("policy answer 2022-10-06 --for " + file + " --chips a800-sxm --csv -");
  CHECK_THAT(csv.out, ContainsSubstring("later,sold,also_in_force") && !ContainsSubstring("launched later"));
  const std::string page = folder.path() + "/page.html";
  REQUIRE(testing::flopcast("policy answer 2022-10-06 --for " + file + " --chips a800-sxm --html " + page).code == 0);
  CHECK_THAT(testing::contents(page), ContainsSubstring("Launched behind 2022-10-06") && ContainsSubstring("later"));
  const testing::Outcome text = testing::flopcast("policy answer 2022-10-06 --for " + file + " --chips tpu-v7");
  CHECK_THAT(text.out, ContainsSubstring("Launched behind 2022-10-06, so no chips of that day: ") &&
                           !ContainsSubstring("Of the chips that exist and are free, tpu-v7"));
  CHECK_THAT(testing::one_line(text.out),
             !ContainsSubstring("may be built, it") && ContainsSubstring("all tokens at the pace of the one step"));
  CHECK_THAT(
      fmt::format("{}", fmt::join(answered("R2023_10 --for " + file + " --chips l20,a10").works(0).left_out(), "")),
      ContainsSubstring("no node of the library holds several of them:") && ContainsSubstring("l20") &&
          ContainsSubstring("a10"));
}

TEST_CASE("policy answer of a day on which licences are decided case by case says so of the chips", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const report::PolicyAnswer a = answered("2026-03-01 --for " + file + " --chips h200-sxm,h20,b200-sxm");
  std::set<std::string> also;
  for (const report::AnswerRule& rule : a.also()) also.insert(rule.rule());
  CHECK(also.count("R2026_01_CASE") == 1);
  CHECK(also.count("S232_2026_01") == 1);
  CHECK(row_of(a.works(0), "h200-sxm").free() == "no");
  CHECK(row_of(a.works(0), "h200-sxm").by_case() == "case by case, 25% band 1");
  CHECK(row_of(a.works(0), "b200-sxm").by_case().empty());  // presumed to be denied
  for (const report::JudgedChip& chip : a.chips()) CHECK_THAT(chip.by_case(), !ContainsSubstring("cannot compute"));
  CHECK_THAT(a.works(0).headline(), ContainsSubstring("with a licence, decided case by case"));
  CHECK(a.read_note().empty());
  CHECK_THAT(answered("2027-03-01 --for " + file + " --chips h20").read_note(), ContainsSubstring("2026-11-21"));
  const std::string page = folder.path() + "/page.html";
  REQUIRE(testing::flopcast("policy answer 2026-03-01 --for " + file + " --chips h200-sxm --html " + page).code == 0);
  CHECK_THAT(testing::contents(page), ContainsSubstring("91 FR 1684") && ContainsSubstring("2026-01-15"));
}

TEST_CASE("policy answer: an amendment repeats nothing, approved designers are presumed nothing", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const report::PolicyAnswer a = answered("2025-08-15 --for " + file + " --chips h20");
  for (const report::JudgedChip& chip : a.chips()) {
    for (const std::string& also : chip.also()) {
      CHECK_THAT(also, !ContainsSubstring("R2024_04"));
      CHECK_THAT(also, !ContainsSubstring("R2025_01_FOUNDRY"));  // of the library's makers all are approved
    }
    CHECK(chip.sold() == !(chip.chip().starts_with("tpu") || chip.chip().starts_with("trainium")));
  }
  const std::string text = testing::flopcast("policy answer 2022-10-06 --for " + file + " --chips h20").out;
  CHECK_THAT(testing::one_line(text), ContainsSubstring("not addressed (NVIDIA, AMD only), rented only"));
}

TEST_CASE("policy answer: chips by margin, the work on each, what binds", "[policy]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  // A node of one's own whose chip nothing runs on, as figures of it are not published, is no chip's node.
  folder.write("nodes/b30a-8.textproto", R"(title: "Eight B30A" gpu: "b30a" gpus: 8 overhead_power: "2 kW"
    nvlink_efficiency: 0.8 nvlink_latency: "3 us" nic_bandwidth: "400 Gb/s per direction" nic_efficiency: 0.97)");
  const report::PolicyAnswer a =
      answered("R2023_10 --for " + file + " --chips h20,a800-sxm --sweep hbm --library " + folder.path());
  REQUIRE(a.works_size() == 1);
  const report::AnsweredWork& work = a.works(0);
  CHECK(work.rows(0).chip() == "h800-sxm");
  CHECK(row_of(work, "h20").free() == "yes");
  CHECK(row_of(work, "a800-sxm").free() == "no");
  CHECK_THAT(row_of(work, "a800-sxm").work().fault() + row_of(work, "a800-sxm").work().plan(),
             !ContainsSubstring("fp8"));
  const report::ReplannedWork& h20 = row_of(work, "h20").work();
  CHECK(h20.time_s().p5() < h20.time_s().value());
  CHECK(h20.time_s().value() < h20.time_s().p95());
  // Searched: never slower than as the scenario has it.
  for (const report::AnswerRow& row : work.rows()) {
    if (row.work().fault().empty() && row.work().stated_time_s() > 0)
      CHECK(row.work().time_s().value() <= row.work().stated_time_s() * (1 + 1e-9));
  }
  // A seventh of the computing rate, which is what binds.
  CHECK(h20.time_s().value() > 2 * work.rows(0).work().time_s().value());
  CHECK_THAT(row_of(work, "h20").what_binds(),
             ContainsSubstring("bound by computing rate") && ContainsSubstring("memory bandwidth"));
  const report::AnswerRow& best = row_of(work, "best allowed");
  CHECK(best.design());
  CHECK(best.bound_by_size() > 0);
  REQUIRE(work.curves_size() == 1);
  double last = 1e300;
  for (const report::AnswerPoint& p : work.curves(0).points()) {
    CHECK(p.work().time_s().value() <= last * 1.001);
    last = p.work().time_s().value();
  }
  // Those that are caught come first, the nearest to a bound before the freest.
  bool seen_free = false;
  for (const report::JudgedChip& chip : a.chips()) {
    if (chip.free() == "yes") seen_free = true;
    if (chip.free() == "no") CHECK_FALSE(seen_free);
  }
}

TEST_CASE("policy answer: refusals", "[policy]") {
  CHECK_THAT(testing::flopcast("policy answer R2023_1").err, ContainsSubstring("R2023_10"));
  CHECK_THAT(testing::flopcast("policy answer R2023_10 --allow nonsense").err, ContainsSubstring("3A090.b"));
  CHECK_THAT(testing::flopcast("policy answer R2023_10 --chips h21").err, ContainsSubstring("h20"));
  CHECK_THAT(testing::flopcast("policy answer R2023_10 --sweep hbn").err, ContainsSubstring("hbm"));
  CHECK_THAT(testing::flopcast("policy answer R2023_10 --tpot 0s").err, ContainsSubstring("a time above 0"));
  CHECK_THAT(testing::flopcast("policy answer 1999-01-01").err, ContainsSubstring("2022"));
}

TEST_CASE("a limit scaled by one changes nothing, computing rate keeps the clock", "[policy]") {
  const Scenario base = testing::resolved("deepseek_v3_2048_h800");
  Scenario same = base, half = base;
  scale_limit(same, Limit::memory, 1);
  CHECK(same.cluster.node.gpu.hbm_bandwidth == base.cluster.node.gpu.hbm_bandwidth);
  scale_limit(half, Limit::compute, 0.5);
  CHECK(half.cluster.node.gpu.sms == 66);
  CHECK(half.cluster.node.gpu.boost_clock == base.cluster.node.gpu.boost_clock);
  CHECK(half.cluster.node.gpu.bf16_peak.value() == Approx(0.5 * base.cluster.node.gpu.bf16_peak.value()));
}

}  // namespace
}  // namespace flopcast
