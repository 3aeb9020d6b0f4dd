// Does what a scenario says of failures, checkpoints and spares arrive as it was meant, and is nonsense
// refused?
#include "tests/scenarios/fixture.h"

#include <algorithm>
#include <cmath>

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

const std::string kLife = R"(cluster { node: "hgx-h100" nodes: 16 fabric: "rail-ft2" }
cluster_life { elapsed: "10 d" }
)";

Scenario loaded(const std::string& resilience) { return load_text(kLife + "resilience { " + resilience + " }\n"); }

bool lists_default(const Scenario& scenario, const std::string& field) {
  return std::any_of(scenario.defaults_used.begin(), scenario.defaults_used.end(),
                     [&](const std::string& setting) { return setting.starts_with("resilience." + field + " ="); });
}

TEST_CASE("a checkpoint takes its size over what the storage takes", "[scenarios]") {
  const ResilienceConfig r = loaded("checkpoint_size: \"4 TB\" storage_bandwidth: \"200 GB/s\"").resilience;
  CHECK(r.checkpoint_write.value() == Approx(20));
  CHECK(r.checkpoint_read.value() == Approx(20));
}

TEST_CASE("a checkpoint is no faster than the nodes' own ways to the storage", "[scenarios]") {
  const ResilienceConfig r =
      loaded("checkpoint_size: \"4 TB\" storage_bandwidth: \"200 GB/s\" node_storage_bandwidth: \"2.5 GB/s\"")
          .resilience;
  CHECK(r.checkpoint_write.value() == Approx(100));  // 16 nodes x 2.5 GB/s
}

TEST_CASE("without a size, checkpoint times are the stated ones, and reading is part of the restart", "[scenarios]") {
  const ResilienceConfig r = loaded("checkpoint_write: \"30 s\"").resilience;
  CHECK(r.checkpoint_write.value() == Approx(30));
  CHECK(r.checkpoint_read.value() == 0);
  CHECK(loaded("checkpoint_write: \"30 s\" checkpoint_read: \"50 s\"").resilience.checkpoint_read.value() ==
        Approx(50));
}

TEST_CASE("Young's interval follows the write time that the storage gives", "[scenarios]") {
  const ResilienceConfig r = loaded("checkpoint_size: \"4 TB\" storage_bandwidth: \"200 GB/s\"").resilience;
  const double between_failures = 3600 / (1.97e-5 * 128);
  CHECK(r.checkpoint_interval.value() == Approx(std::sqrt(2 * 20 * between_failures)));
}

TEST_CASE("spares count once they are stated; planned standstill is a restart unless stated", "[scenarios]") {
  const ResilienceConfig none = loaded("restart: \"7 min\"").resilience;
  CHECK_FALSE(none.hot_spares.has_value());
  CHECK(none.planned_pause.value() == Approx(420));
  const ResilienceConfig some =
      loaded("hot_spares: 0 spare_swap: \"2 min\" repair: \"6 h\" planned_pause: \"1 h\"").resilience;
  REQUIRE(some.hot_spares.has_value());
  CHECK(*some.hot_spares == 0);
  CHECK(some.hardware_share == Approx(0.78));
  CHECK(some.spare_swap.value() == Approx(120));
  CHECK(some.repair.value() == Approx(6 * 3600));
  CHECK(some.planned_pause.value() == Approx(3600));
}

TEST_CASE("defaults are listed where they count, and only there", "[scenarios]") {
  const Scenario plain = loaded("");
  CHECK(lists_default(plain, "checkpoint_write"));
  CHECK(lists_default(plain, "seed"));
  CHECK_FALSE(lists_default(plain, "repair"));
  const Scenario sized = loaded("checkpoint_size: \"4 TB\" storage_bandwidth: \"200 GB/s\" hot_spares: 2");
  CHECK_FALSE(lists_default(sized, "checkpoint_write"));
  CHECK(lists_default(sized, "repair"));
}

TEST_CASE("half or doubled statements about a cluster's life are refused", "[scenarios]") {
  const std::string cluster = kLife.substr(0, kLife.find("cluster_life"));
  CHECK_THAT(faults_of(cluster + "cluster_life { }\n"),
             ContainsSubstring("cluster_life: found neither elapsed nor useful"));
  CHECK_THAT(faults_of(cluster + "cluster_life { elapsed: \"1 d\" useful: \"1 d\" }\n"),
             ContainsSubstring("cluster_life: found both elapsed and useful"));
  CHECK_THAT(faults_of(kLife + "collective { operation: \"all_to_all\" bytes: \"1 MiB\" ranks: 8 }\n"),
             ContainsSubstring("found both collective and cluster_life"));
  CHECK_THAT(
      faults_of(kLife + "resilience { checkpoint_size: \"1 TB\" }\n"),
      ContainsSubstring("resilience.storage_bandwidth: found nothing, expected checkpoint_size and storage_bandwidth"));
  CHECK_THAT(faults_of(kLife + "resilience { checkpoint_size: \"1 TB\" storage_bandwidth: \"1 TB/s\" "
                               "checkpoint_write: \"1 s\" }\n"),
             ContainsSubstring("resilience.checkpoint_size: found a size beside checkpoint_write"));
  for (const char* field : {"spare_swap: \"2 min\"", "repair: \"6 h\"", "hardware_share: 0.5"}) {
    CHECK_THAT(faults_of(kLife + "resilience { " + field + " }\n"), ContainsSubstring("expected hot_spares beside it"));
  }
  CHECK_THAT(faults_of(kLife + "resilience { hot_spares: -1 }\n"),
             ContainsSubstring("resilience.hot_spares: found -1"));
  CHECK_THAT(faults_of(kLife + "resilience { hardware_share: 1.5 }\n"),
             ContainsSubstring("resilience.hardware_share: found 1.5, expected a number from 0 to 1"));
  CHECK_THAT(faults_of(kLife + "run { phase { name: \"a\" tokens: \"1T\" } }\n"),
             ContainsSubstring("run: found phases"));
}

}  // namespace
}  // namespace flopcast::test
