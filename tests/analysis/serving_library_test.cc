// Do the deployments of the library keep what they promise?
#include "analysis/runs/serving/serving_run.h"
#include "tests/analysis/environment.h"
#include "tests/scenarios/fixture.h"

namespace flopcast {
namespace {

TEST_CASE("serving scenarios of the library complete every request, nine in ten as promised", "[analysis][serving]") {
  const Libraries libraries = test::libraries();
  int kept = 0;
  for (const std::string& name : libraries.names(LibraryKind::scenarios)) {
    if (name.find("_serving_") == std::string::npos && name.find("_distill_") == std::string::npos) continue;
    INFO(name);
    ServingOptions options;
    const Scenario scenario = testing::resolved(name, {});
    if (!scenario.serving) continue;  // a loop of reinforcement learning
    options.power = testing::power_of(scenario);
    const ServingReport report = run_serving(scenario, options);
    CHECK(report.all.completed.requests == report.all.arrived.requests);
    CHECK(report.all.slo_attainment() >= 0.9);
    CHECK(report.state == LoadState::stable);
    ++kept;
  }
  CHECK(kept >= 13);
}

}  // namespace
}  // namespace flopcast
