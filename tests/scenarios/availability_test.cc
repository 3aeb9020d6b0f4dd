// Does a scenario's day decide what was on sale?
#include "scenarios/policy/availability.h"

#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string dated(const std::string& statements) { return faults_of(kSmall + statements); }

TEST_CASE("a GPU that was not there yet is an error with the nearest day", "[policy]") {
  CHECK(dated("date: \"2023-06-01\"").empty());
  CHECK_THAT(dated("date: \"2023-01-01\""), ContainsSubstring("no NVIDIA H800"));
  CHECK_THAT(dated("date: \"2023-01-01\""), ContainsSubstring("2023-03-21"));
  CHECK_THAT(dated("date: \"2023-02-30\""), ContainsSubstring("a day such as"));
}

TEST_CASE("a rule that was not in force is an error with the nearest day", "[policy]") {
  CHECK(dated("date: \"2023-06-01\" under_rule: \"R2022_10\"").empty());
  CHECK_THAT(dated("date: \"2023-06-01\" under_rule: \"R2023_10\""), ContainsSubstring("2023-11-17"));
  CHECK_THAT(dated("date: \"2024-06-01\" under_rule: \"R2022_10\""), ContainsSubstring("2023-11-16"));
  CHECK_THAT(dated("date: \"2024-06-01\" under_rule: \"R2023_10\""), ContainsSubstring("h800-sxm is 3A090.a"));
  CHECK_THAT(dated("date: \"2024-06-01\" under_rule: \"R2023_1\""), ContainsSubstring("did you mean \"R2023_10\"?"));
  CHECK_THAT(dated("under_rule: \"R2023_10\""), ContainsSubstring("a rule without a day"));
}

TEST_CASE("rules see what an override makes of a chip", "[policy]") {
  const std::string uncut = replaced(
      kSmall, "fabric: \"mpft\"", "fabric: \"mpft\" gpu_override { nvlink_bandwidth: \"900 GB/s both directions\" }");
  CHECK_THAT(faults_of(uncut + "date: \"2023-06-01\" under_rule: \"R2022_10\""),
             ContainsSubstring("h800-sxm is 3A090"));
}

TEST_CASE("the day and the rules that ask for a licence are noted", "[policy]") {
  const Scenario free = load_text(kSmall + "date: \"2023-06-01\"");
  REQUIRE(free.date);
  CHECK(to_string(*free.date) == "2023-06-01");
  CHECK(free.notes.empty());
  const Scenario caught = load_text(kSmall + "date: \"2024-06-01\"");
  REQUIRE(caught.notes.size() == 1);
  CHECK(caught.notes[0] == "on 2024-06-01, h800-sxm to China: 3A090.a (R2023_10)");
}

}  // namespace
}  // namespace flopcast::test
