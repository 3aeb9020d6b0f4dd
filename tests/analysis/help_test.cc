// Do completion, man pages and help say what the program takes?
#include "tests/analysis/program.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;

std::string completed(const std::string& words) { return testing::flopcast("complete -- " + words).out; }

TEST_CASE("completion offers commands, options, scenarios, fields and choices", "[cli]") {
  CHECK_THAT(completed("''"), ContainsSubstring("run\t") && ContainsSubstring("policy\t"));
  CHECK_THAT(completed("poli"), StartsWith("policy\t"));
  CHECK_THAT(completed("policy ''"), ContainsSubstring("classify\t") && !ContainsSubstring("compare\t"));
  CHECK_THAT(completed("run deepseek_v3_2048"), ContainsSubstring("deepseek_v3_2048_h800\t"));
  CHECK_THAT(completed("run deepseek_v3_2048_h800 --tra"),
             ContainsSubstring("--trace\t") && ContainsSubstring("--trace-window\t"));
  CHECK_THAT(completed("run x --engine ''"),
             ContainsSubstring("shared") && ContainsSubstring("simgrid") && ContainsSubstring("ideal"));
  CHECK_THAT(completed("run x --set training.plan.pi"), StartsWith("training.plan.pipeline=\t"));
  CHECK_THAT(completed("compare deepseek_v3_2048_h800 deepseek_v3_2048_h2"),
             ContainsSubstring("deepseek_v3_2048_h20\t"));
  CHECK_THAT(completed("policy classify h800"), ContainsSubstring("h800-sxm\t"));
  CHECK_THAT(completed("completion z"), StartsWith("zsh\t"));
  CHECK(completed("run x --json ''").empty());  // a file: shells know those
  CHECK(completed("nothing ''").find("run\t") != std::string::npos);
}

TEST_CASE("completion scripts are sound where their shells can say so", "[cli]") {
  const test::TemporaryFolder folder;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const testing::Outcome outcome = testing::flopcast(std::string("completion ") + shell);
    CHECK(outcome.code == 0);
    CHECK_THAT(outcome.out, ContainsSubstring("complete --"));
    const std::string file = folder.write(shell, outcome.out);
    const std::string check =
        std::string("command -v ") + shell + " >/dev/null 2>&1 || exit 0; " + shell + " -n " + file;
    CHECK(std::system(check.c_str()) == 0);
  }
  CHECK(testing::flopcast("completion tcsh").code == 2);
}

TEST_CASE("help explains commands and topics; man pages are made of the same words", "[cli]") {
  CHECK_THAT(testing::flopcast("help").out, ContainsSubstring("Three things to try") && ContainsSubstring("compare"));
  CHECK_THAT(testing::flopcast("help units").out, ContainsSubstring("GB/s"));
  CHECK(testing::flopcast("help policy classify").out == testing::flopcast("policy classify --help").out);
  const testing::Outcome wrong = testing::flopcast("help unit");
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("did you mean \"units\"?"));
  const test::TemporaryFolder folder;
  CHECK(testing::flopcast("help --man " + folder.path()).code == 0);
  const std::string page = testing::contents(folder.path() + "/flopcast-policy-classify.1");
  CHECK_THAT(page, StartsWith(".TH FLOPCAST\\-POLICY\\-CLASSIFY 1") && ContainsSubstring(".B \\-\\-date DAY"));
  CHECK_THAT(testing::contents(folder.path() + "/flopcast.1"), ContainsSubstring(".SH COMMANDS"));
}

}  // namespace
}  // namespace flopcast
