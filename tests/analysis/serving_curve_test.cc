// Does the throughput-interactivity curve fall as it must, and does `size` find what it looks for?
#include "analysis/studies/curve/serving_curve.h"
#include "analysis/render/text/format.h"
#include "tests/analysis/program.h"
#include "tests/analysis/serving_scenarios.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::flopcast;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<std::vector<double>> numbers_of(const std::string& csv) {
  std::vector<std::vector<double>> rows;
  const auto lines = lines_of(csv);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::vector<double> row;
    std::istringstream fields(lines[i]);
    for (std::string field; std::getline(fields, field, ',');) row.push_back(std::atof(field.c_str()));
    rows.push_back(row);
  }
  return rows;
}

TEST_CASE("the front holds what no other rung beats in both figures", "[analysis][serving]") {
  std::vector<CurveRung> rungs(4);
  const double points[][2] = {{100, 10}, {90, 50}, {80, 40}, {90, 45}};
  for (std::size_t i = 0; i < 4; ++i) {
    rungs[i].tokens_per_s_per_user = points[i][0];
    rungs[i].output_per_gpu = points[i][1];
  }
  mark_front(rungs);
  CHECK(rungs[0].on_front);
  CHECK(rungs[1].on_front);
  CHECK_FALSE(rungs[2].on_front);
  CHECK_FALSE(rungs[3].on_front);
}

TEST_CASE("a curve is the same on any number of workers", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat);
  std::string first;
  for (const int workers : {1, 2, 5}) {
    const std::string csv = folder.path() + "/c.csv";
    REQUIRE(flopcast("curve " + file + " -j " + std::to_string(workers) + " --csv " + csv).code == 0);
    if (workers == 1) first = testing::contents(csv);
    CHECK(testing::contents(csv) == first);
  }
}

TEST_CASE("more users: more tokens per GPU, fewer per user, cheaper ones", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string file = folder.write("chat.textproto", testing::kChat), csv = folder.path() + "/c.csv";
  const testing::Outcome outcome = flopcast("curve " + file + " --csv " + csv + " --json " + folder.path() +
                                            "/c.json --html " + folder.path() + "/c.html");
  REQUIRE(outcome.code == 0);
  const auto rows = numbers_of(testing::contents(csv));
  REQUIRE(rows.size() >= 6);
  constexpr std::size_t kUsers = 3, kPerUser = 4, kPerGpu = 5, kCost = 12;
  CHECK(rows.front()[kUsers] == 1);
  CHECK(rows.back()[kUsers] == 64);  // two batches of 32
  for (std::size_t i = 1; i < rows.size(); ++i) {
    CHECK(rows[i][kPerGpu] > rows[i - 1][kPerGpu]);
    CHECK(rows[i][kPerUser] < rows[i - 1][kPerUser] * 1.005);  // to what small batches differ in kernels
    CHECK(rows[i][kCost] < rows[i - 1][kCost]);
  }
  // A user gives no more than tokens per second and user, and the GPUs share all of them.
  for (const auto& row : rows) CHECK(row[kPerGpu] * 2 <= row[kUsers] * row[kPerUser] * 1.02);
  for (const std::string& line : lines_of(outcome.out)) CHECK(display_width(line) <= 100);
  CHECK_THAT(testing::contents(folder.path() + "/c.html"), ContainsSubstring("<svg") && ContainsSubstring("64 users"));
  CHECK_THAT(testing::contents(folder.path() + "/c.json"), ContainsSubstring("\"output_tokens_per_s_per_gpu\""));

  const testing::Outcome again = flopcast("curve " + file + " --csv " + folder.path() + "/d.csv");
  CHECK(again.out == outcome.out);
  CHECK(testing::contents(csv) == testing::contents(folder.path() + "/d.csv"));
}

TEST_CASE("curves of several scenarios stand in one picture, at chosen loads", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string a = folder.write("a.textproto", testing::kChat), b = folder.write("b.textproto", testing::kApart);
  const testing::Outcome outcome = flopcast("curve " + a + " " + b + " --users 2,8");
  CHECK(outcome.code == 0);
  CHECK_THAT(outcome.out, ContainsSubstring("A  A small chat") && ContainsSubstring("B  A small service"));
  const testing::Outcome wrong = flopcast("curve " + folder.write("t.textproto", testing::kDense));
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("t.textproto: serving: found nothing"));
}

TEST_CASE("size: the fewest replicas, the best ratio, and a promise that nothing keeps", "[analysis][serving]") {
  const test::TemporaryFolder folder;
  const std::string chat = folder.write("chat.textproto", testing::kChat),
                    apart = folder.write("apart.textproto", testing::kApart);
  const std::string json = folder.path() + "/size.json";
  const testing::Outcome fewest = flopcast("size " + chat + " --slo ttft=500ms,tpot=20ms --json " + json);
  CHECK(fewest.code == 0);
  CHECK_THAT(fewest.out, ContainsSubstring("replicas (1 GPU each), 1 GPU in all"));
  CHECK_THAT(testing::contents(json), ContainsSubstring("\"meets\": true"));

  const testing::Outcome ratio = flopcast("size " + apart + " --slo ttft=1s,tpot=20ms --ratio");
  CHECK(ratio.code == 0);
  CHECK_THAT(ratio.out, ContainsSubstring("Best ratio for 90 %") && ContainsSubstring("best"));
  CHECK(flopcast("size " + chat + " --slo ttft=1s --ratio").code == 2);

  const std::string none = folder.path() + "/none.json";
  const testing::Outcome unmet = flopcast("size " + chat + " --slo tpot=1ms --json " + none);
  CHECK(unmet.code == 2);
  CHECK_THAT(unmet.out, ContainsSubstring("No deployment") && ContainsSubstring("The nearest"));
  CHECK_THAT(unmet.err, ContainsSubstring("--slo: found 90 % of requests within TPOT 1.00 ms") &&
                            ContainsSubstring("nearest comes"));
  CHECK_FALSE(std::filesystem::exists(none));

  // A choice of chips: each with its rent of the day, and what keeps one out.
  const testing::Outcome nodes =
      flopcast("size " + chat + " --slo ttft=500ms,tpot=20ms --nodes hgx-h100,hgx-h200 --date 2025-03-20 --csv -");
  CHECK(nodes.code == 0);
  CHECK_THAT(nodes.out, ContainsSubstring("yes,hgx-h100,h100-sxm,1 replicas,1,") &&
                            ContainsSubstring("yes,hgx-h200,h200-sxm,1 replicas,1,"));
  CHECK_THAT(flopcast("size " + chat + " --slo ttft=500ms,tpot=20ms --nodes hgx-h100,hgx-h200 --date 2025-03-20").out,
             ContainsSubstring("Cheapest for 90 % of requests within"));
  CHECK(flopcast("size " + chat + " --slo tpot=1ms --nodes hgx-h100").code == 2);
  CHECK_THAT(flopcast("size " + chat + " --slo tpot=1s --date 2025-03-20").err, ContainsSubstring("--nodes beside it"));
  CHECK_THAT(flopcast("size " + chat + " --slo tpot=1s --nodes hgx-h10").err, ContainsSubstring("did you mean"));

  const testing::Outcome slip = flopcast("size " + chat + " --slo ttf=1s,tpot=20");
  CHECK(slip.code == 2);
  CHECK_THAT(slip.err, ContainsSubstring("ttft") && ContainsSubstring("unit"));
}

}  // namespace
}  // namespace flopcast
