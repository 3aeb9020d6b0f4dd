// Do laws hold that no model may break, whatever the figures? A few draws of each in the fast suite, a thousand with
// [slow]; FLOPCAST_LAWS_SEED chooses others.
#include <cstdlib>

#include "tests/catch.h"
#include "tests/laws/random_scenarios.h"

namespace flopcast {
namespace {

std::uint64_t seed() {
  const char* const chosen = std::getenv("FLOPCAST_LAWS_SEED");
  return chosen == nullptr ? 20261126 : std::strtoull(chosen, nullptr, 10);
}

void hold(const std::vector<testing::Law>& laws, const std::function<std::string(testing::Choices&)>& scenario,
          int draws) {
  for (std::size_t i = 0; i < laws.size(); ++i) {
    const std::string violation = testing::broken(laws[i], scenario, draws, seed() + i * 1'000'000);
    INFO(violation);
    CHECK(violation.empty());
  }
}

TEST_CASE("laws of training hold for a few plans", "[laws]") {
  hold(testing::training_laws(), testing::random_training, 1);
}

TEST_CASE("laws of serving hold for a few deployments", "[laws]") {
  hold(testing::serving_laws(), testing::random_serving, 1);
}

TEST_CASE("laws of reinforcement learning hold for a few loops", "[laws]") {
  hold(testing::rl_laws(), testing::random_loop, 1);
}

TEST_CASE("laws of collectives hold for a few of them", "[laws]") {
  hold(testing::collective_laws(), testing::random_collective, 2);
}

TEST_CASE("laws of training hold for a thousand plans", "[laws][slow]") {
  hold(testing::training_laws(), testing::random_training, 40);
}

TEST_CASE("laws of serving hold for a thousand deployments", "[laws][slow]") {
  hold(testing::serving_laws(), testing::random_serving, 60);
}

TEST_CASE("laws of reinforcement learning hold for hundreds of loops", "[laws][slow]") {
  hold(testing::rl_laws(), testing::random_loop, 40);
}

TEST_CASE("laws of collectives hold for a thousand of them", "[laws][slow]") {
  hold(testing::collective_laws(), testing::random_collective, 100);
}

TEST_CASE("a law that is broken shows the smallest scenario that breaks it", "[laws]") {
  const testing::Law small{"fewer than four nodes", [](const std::string& text) {
                             const int nodes = std::atoi(text.c_str() + text.find("nodes: ") + 7);
                             return nodes < 4 ? std::string() : std::to_string(nodes) + " nodes";
                           }};
  const std::string found = testing::broken(small, testing::random_training, 50, seed());
  INFO(found);
  CHECK(found.find("4 nodes\nseed ") != std::string::npos);
  CHECK(found.find("pipeline: 1 data: 32 tensor: 1 expert: 1 zero_stage: 1 }") != std::string::npos);
  CHECK(found.find("llama-3.1-8b") != std::string::npos);
}

}  // namespace
}  // namespace flopcast
