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

}  // namespace
}  // namespace flopcast::testing
