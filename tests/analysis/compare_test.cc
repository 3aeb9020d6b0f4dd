// Is a difference between scenarios attributed to its causes, whole and the same whoever counts?
#include "analysis/studies/compare/compare.h"

#include <google/protobuf/util/json_util.h>

#include "analysis/render/text/format.h"
#include "analysis/studies/compare/compare_output.h"
#include "scenarios/proto/policy_report.pb.h"
#include "tests/analysis/environment.h"
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using test::TemporaryFolder;
using testing::Outcome;

Scenario loaded(const std::string& text, const std::vector<std::string>& sets = {}) {
  const TemporaryFolder folder;
  return testing::resolved(folder.write("s.textproto", text), sets);
}

CompareOptions options(int workers = 2) {
  CompareOptions o;
  o.workers = workers;
  o.whole_runs = false;
  return o;
}

double sum(const Waterfall& w, double CauseShare::*share) {
  double total = 0;
  for (const CauseShare& cause : w.causes) total += cause.*share;
  return total;
}

const CauseShare& share_of(const Waterfall& w, const std::string& id) {
  for (const CauseShare& cause : w.causes) {
    if (cause.id == id) return cause;
  }
  FAIL("no cause " << id);
  return w.causes.front();
}

TEST_CASE("one scenario stands beside itself with a field changed, and never in silence as it is", "[compare]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const Outcome changed = testing::flopcast("compare " + file + " --to training.schedule=1f1b");
  CHECK(changed.code == 0);
  CHECK_THAT(testing::one_line(changed.out), ContainsSubstring("From s to training.schedule=1f1b: "));
  CHECK_THAT(changed.out, ContainsSubstring("schedule") && !ContainsSubstring("+0.000 s            +0.000 s"));
  const Outcome same = testing::flopcast("compare " + file + " " + file + " --set training.schedule=1f1b");
  CHECK_THAT(testing::one_line(same.out), ContainsSubstring("--to PATH=VALUE changes all but the first"));
  CHECK(testing::flopcast("compare " + file + " --to training.schedule=1f1b --cause 1f1b").code == 2);
  CHECK(testing::flopcast("compare h100_h800_h20_training --to training.schedule=1f1b").code == 2);
}

TEST_CASE("a 0 that stands for something else is said as what it stands for", "[compare]") {
  const ScenarioComparison c =
      compare({loaded(testing::kDense),
               loaded(testing::kDense, {"training.plan.shard_group=2", "training.batch.document_length=1024"})},
              options());
  REQUIRE(c.waterfalls.size() == 1);
  CHECK_THAT(share_of(c.waterfalls[0], "plan").change, ContainsSubstring("shard_group all replicas -> 2"));
  CHECK_THAT(share_of(c.waterfalls[0], "batch").change, ContainsSubstring("document_length whole sequences -> 1024"));
}

TEST_CASE("both orders of the causes sum to the whole difference", "[compare]") {
  const Scenario h800 = loaded(testing::kSparse);
  const Scenario h20 = loaded(testing::kSparse, {"cluster.node=hgx-h20", "training.schedule=1f1b",
                                                 "cluster.node_override.nic_bandwidth=25 GB/s per direction"});
  const ScenarioComparison c = compare({h800, h20}, options());
  REQUIRE(c.waterfalls.size() == 1);
  const Waterfall& w = c.waterfalls[0];
  CHECK(w.start == Approx(c.scenarios[0].step.value()));
  CHECK(w.end == Approx(c.scenarios[1].step.value()));
  CHECK(w.unexplained == 0);  // the fields of the table are all that the step depends on
  CHECK(sum(w, &CauseShare::forward) == Approx(w.end - w.start));
  CHECK(sum(w, &CauseShare::reverse) == Approx(w.end - w.start));
  CHECK(w.sum_alone() + w.interaction() == Approx(w.end - w.start));
  CHECK(w.causes.front().forward == Approx(w.causes.front().alone));
  CHECK(w.causes.back().reverse == Approx(w.causes.back().alone));
  for (const char* id : {"compute", "memory-bandwidth", "nvlink", "nic", "schedule"}) share_of(w, id);
  CHECK(share_of(w, "compute").forward > 0);
  CHECK(share_of(w, "memory-bandwidth").forward <= 0);
  CHECK(share_of(w, "schedule").change == "schedule dualpipe -> 1f1b");
}

TEST_CASE("a scenario beside itself has no causes", "[compare]") {
  const Scenario s = loaded(testing::kDense);
  const ScenarioComparison c = compare({s, s}, options());
  CHECK(c.waterfalls[0].causes.empty());
  CHECK(c.waterfalls[0].end == c.waterfalls[0].start);
}

TEST_CASE("half changes that make no sound scenario become one cause", "[compare]") {
  const ScenarioComparison c = compare({loaded(testing::kDense), loaded(testing::kSparse)}, options());
  const Waterfall& w = c.waterfalls[0];
  CHECK(w.unit == "GPU-h");
  share_of(w, "work");
  CHECK(w.unexplained == Approx(0).margin(1e-6 * w.end));
  CHECK(sum(w, &CauseShare::forward) == Approx(w.end - w.start));
}

TEST_CASE("the same bytes whatever the number of workers", "[compare]") {
  const Scenario s = loaded(testing::kSparse);
  const std::vector<std::string> ids{"mha", "1f1b", "hbm-half"};
  const auto text = [&](int workers) { return to_csv(compare(s, causes_by_name(ids, s), options(workers))); };
  CHECK(text(1) == text(3));
}

TEST_CASE("a named cause alone is what the same change in the file is", "[compare]") {
  const Scenario s = loaded(testing::kSparse);
  const auto alone = [&](const std::string& id) {
    return compare(s, causes_by_name(std::vector<std::string>{id}, s), options()).waterfalls[0].end;
  };
  const auto stated = [&](const std::string& set) {
    return quick_steps({loaded(testing::kSparse, {set})}, options())[0].step.value();
  };
  CHECK(alone("1f1b") == stated("training.schedule=1f1b"));
  CHECK(alone("zb1p") == stated("training.schedule=zb_h1"));
  CHECK(alone("nvlink-900") == stated("cluster.gpu_override.nvlink_bandwidth=900 GB/s both directions"));
  CHECK(alone("nic-half") == stated("cluster.node_override.nic_bandwidth=200 Gb/s per direction"));
}

TEST_CASE("undoing V3's techniques costs time, and a wider link saves some", "[compare][slow]") {
  const Scenario v3 = testing::resolved("deepseek_v3_2048_h800", {});
  const auto adds = [&](const std::vector<std::string>& ids) {
    const Waterfall w = compare(v3, causes_by_name(ids, v3), options()).waterfalls[0];
    CHECK(w.end - w.start == Approx(sum(w, &CauseShare::forward)));
    return w;
  };
  const Waterfall eight = adds({"fp8", "mha", "dense", "1f1b", "free-routing", "nvlink-900", "hbm-half", "nic-half"});
  for (const char* id : {"fp8", "mha", "dense", "1f1b", "free-routing", "hbm-half", "nic-half"}) {
    INFO(id);
    CHECK(share_of(eight, id).alone > 0);
  }
  CHECK(share_of(eight, "nvlink-900").alone < 0);
  CHECK_FALSE(eight.remarks.empty());  // a dense model of 157 B does not fit: told, not refused
  const Waterfall zb = adds({"zb1p"}), gqa = adds({"gqa"});
  CHECK(zb.end > zb.start);
  CHECK(gqa.end < eight.end);
}

TEST_CASE("causes that make no sense are refused with what would", "[compare]") {
  const Scenario s = loaded(testing::kSparse);
  const auto causes = [&](std::vector<std::string> ids) { return causes_by_name(ids, s); };
  CHECK_THROWS_WITH(causes({"fp-8"}), ContainsSubstring("did you mean \"fp8\"?"));
  CHECK_THROWS_WITH(causes({"mha", "gqa"}), ContainsSubstring("one cause on attention"));
  CHECK_THROWS_WITH(causes({"fp8"}), ContainsSubstring("changes nothing"));
}

TEST_CASE("compare: text, JSON, CSV and errors of the command", "[compare]") {
  const TemporaryFolder folder;
  const std::string file = folder.write("s.textproto", testing::kSparse);
  const Outcome text = testing::flopcast("compare " + file + " --cause mha --cause nic-half");
  CHECK(text.code == 0);
  CHECK_THAT(text.out, ContainsSubstring("interaction of all"));
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) CHECK(display_width(line) <= 80);
  const Outcome json = testing::flopcast("compare " + file + " " + file + " --json -");
  report::ComparisonReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json.out, &message).ok());
  CHECK(message.scenarios_size() == 2);
  CHECK(message.waterfalls(0).causes_size() == 0);
  CHECK(testing::flopcast("compare " + file).code == 2);
  CHECK(testing::flopcast("compare " + file + " " + file + " --cause mha").code == 2);
  CHECK_THAT(testing::flopcast("compare all_to_all_1024 " + file).err, ContainsSubstring("without `training`"));
}

TEST_CASE("the study of H100, H800, H20 and half the memory bandwidth", "[compare]") {
  const Outcome json = testing::flopcast("compare h100_h800_h20_training --json -");
  report::ComparisonReport message;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json.out, &message).ok());
  REQUIRE(message.scenarios_size() == 4);
  const auto step = [&](int i) { return message.scenarios(i).step_time_s(); };
  CHECK(step(1) < 1.05 * step(0));  // the H800 lost little in training
  CHECK(step(2) > 3 * step(0));
  CHECK(step(3) > 1.1 * step(1));
}

}  // namespace
}  // namespace flopcast
