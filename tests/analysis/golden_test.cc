// Did the report change? Each file in golden/ holds a scenario, a line of dashes, and the report it gives.
// `FLOPCAST_UPDATE_GOLDEN=1 build/release/tests/test_analysis "[golden]"` writes the reports anew: read the
// difference.
#include <cstdlib>

#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace flopcast {
namespace {

const std::string kDivider = "--------\n";

TEST_CASE("reports are what they were", "[analysis][golden]") {
  const std::filesystem::path golden = std::filesystem::path(flopcast::testing::source_dir()) / "tests/analysis/golden";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden)) {
    const std::string text = testing::contents(entry.path());
    const std::size_t divider = text.find(kDivider);
    REQUIRE(divider != std::string::npos);
    const test::TemporaryFolder folder;
    const std::string file = folder.write("scenario.textproto", text.substr(0, divider));
    const testing::Outcome outcome = testing::flopcast("run " + file);
    INFO(entry.path() << "\n" << outcome.err);
    CHECK(outcome.code == 0);
    if (std::getenv("FLOPCAST_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(entry.path(), std::ios::binary) << text.substr(0, divider) << kDivider << outcome.out;
    } else {
      CHECK(outcome.out == text.substr(divider + kDivider.size()));
    }
    ++count;
  }
  CHECK(count >= 2);
}

}  // namespace
}  // namespace flopcast
