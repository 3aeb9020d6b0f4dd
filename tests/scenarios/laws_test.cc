// Are the laws that hold across fields kept: what a GPU can compute, what a schedule asks for, what a fabric
// lets through, how checkpoints and failures go together?
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The diagnostics of DeepSeek-V3's scenario with some fields changed; "" when it loads.
std::string v3_faults(const std::vector<std::string>& sets) {
  try {
    load_scenario("deepseek_v3_2048_h800", sets, libraries());
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

TEST_CASE("FP8 needs a GPU that has it") {
  const std::string faults = v3_faults({"cluster.node=hgx-a100"});
  INFO(faults);
  CHECK(contains(faults, "training.precision.linear: found \"fp8\", expected bf16 (the GPU a100-sxm has no FP8 units)"));
  CHECK(contains(faults, "training.precision.dispatch: found \"fp8\""));
  CHECK(contains(faults, "deepseek_v3_2048_h800.textproto:"));
  CHECK(v3_faults({"cluster.node=hgx-h100"}).empty());
}

}  // namespace
}  // namespace flopcast::test
