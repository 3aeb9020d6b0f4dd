// Do faults silence the laws of their own section, and of no other?
#include "scenarios/read/fields/section.h"

#include "tests/catch.h"

namespace flopcast {

TEST_CASE("a section is sound unless it or something within it is at fault", "[scenarios]") {
  Diagnostics faults;
  const auto at = [&](const std::string& field) {
    Diagnostic fault;
    fault.field = field;
    faults = {fault};
  };
  CHECK(is_sound(faults, "rl.rollout"));
  at("rl.rollout_cluster.nodes");
  CHECK(is_sound(faults, "rl.rollout"));
  CHECK_FALSE(is_sound(faults, "rl.rollout_cluster"));
  CHECK_FALSE(is_sound(faults, "rl."));
  at("rl.rollout[1].count");
  CHECK_FALSE(is_sound(faults, "rl.rollout"));
  CHECK(is_sound(faults, "rl.rollout[0]"));
  at("rl.rollout.count");  // as parsing found it, without an index
  CHECK_FALSE(is_sound(faults, "rl.rollout[0]"));
  at("serving");
  CHECK_FALSE(is_sound(faults, "serving"));
}

}  // namespace flopcast
