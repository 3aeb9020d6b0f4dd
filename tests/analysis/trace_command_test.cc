// `flopcast trace stats`, as a user runs it.
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast::testing {
namespace {

using Catch::Matchers::ContainsSubstring;

const char* const kTrace =
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.0000000,374,44\n"
    "2023-11-16 18:15:50.0000000,396,109\n";

TEST_CASE("trace stats shows a trace and writes its figures", "[analysis][cli]") {
  const test::TemporaryFolder folder;
  const std::string trace = folder.write("trace.csv", kTrace), json = folder.path() + "/stats.json";
  const Outcome shown = flopcast("trace stats " + trace + " --json " + json);
  CHECK(shown.code == 0);
  CHECK_THAT(shown.out, ContainsSubstring("0.25 /s"));
  CHECK_THAT(contents(json), ContainsSubstring("\"requests_per_s\": 0.25"));
  CHECK_THAT(contents(json), ContainsSubstring("\"format\": \"azure\""));
  CHECK(flopcast("trace stats " + trace + " --json -").out == contents(json));
}

TEST_CASE("a bad trace is named line by line, exit code 2, and nothing is written", "[analysis][cli]") {
  const test::TemporaryFolder folder;
  const std::string trace =
      folder.write("trace.csv", std::string(kTrace) + "2023-11-16 18:15:51,x,1\n2023-11-16,1,1\n");
  const std::string json = folder.path() + "/stats.json";
  const Outcome refused = flopcast("trace stats " + trace + " --json " + json);
  CHECK(refused.code == 2);
  CHECK(refused.out.empty());
  CHECK_THAT(refused.err, ContainsSubstring("trace.csv:4:21: ContextTokens: found \"x\""));
  CHECK_THAT(refused.err, ContainsSubstring("trace.csv:5:1: TIMESTAMP: found \"2023-11-16\""));
  CHECK_FALSE(std::filesystem::exists(json));
  CHECK(flopcast("trace stats " + folder.path() + "/none.csv").code == 2);
}

TEST_CASE("a trace is not converted onto itself, and a short one has no busiest minute", "[analysis][cli]") {
  const test::TemporaryFolder folder;
  const std::string trace = folder.write("trace.csv", kTrace);
  const Outcome refused = flopcast("trace convert " + trace + " " + folder.path() + "/./trace.csv");
  CHECK(refused.code == 2);
  CHECK_THAT(one_line(refused.err), ContainsSubstring("which is read"));
  CHECK(contents(trace) == kTrace);
  const Outcome shown = flopcast("trace stats " + trace);
  CHECK_THAT(shown.out, !ContainsSubstring("busiest minute"));
  CHECK_THAT(flopcast("trace stats " + trace + " --json -").out, !ContainsSubstring("peak_minute"));
  const std::string longer = folder.write("longer.csv", std::string(kTrace) + "2023-11-16 18:17:50.0,1,1\n");
  CHECK_THAT(flopcast("trace stats " + longer).out, ContainsSubstring("busiest minute"));
}

TEST_CASE("requests that all come at once have no rate", "[analysis][cli]") {
  const test::TemporaryFolder folder;
  const std::string one = folder.write("one.csv", "arrival_s,input_tokens,output_tokens\n1,100,10\n");
  const std::string same =
      folder.write("same.csv", "arrival_s,input_tokens,output_tokens\n1,100,10\n1,100,10\n1,9,9\n");
  CHECK_THAT(flopcast("trace stats " + one).out, ContainsSubstring("none") && ContainsSubstring("of one request") &&
                                                     !ContainsSubstring("burstiness") && !ContainsSubstring("/s"));
  CHECK_THAT(flopcast("trace stats " + same).out, ContainsSubstring("all requests come at once"));
  CHECK_THAT(flopcast("trace stats " + same + " --json -").out,
             !ContainsSubstring("requests_per_s") && !ContainsSubstring("gap_cv"));
}

}  // namespace
}  // namespace flopcast::testing
