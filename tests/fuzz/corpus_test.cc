// Does anything kept in corpus/, every past finding among it, or anything near it, break a reader or a run? The same
// inputs every time; `./flopcast fuzz` looks for new ones.
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "tests/analysis/program.h"
#include "tests/catch.h"
#include "tests/fuzz/targets.h"

namespace flopcast {
namespace {

std::vector<std::string> corpus(std::string_view target) {
  const std::filesystem::path folder = std::filesystem::path(testing::source_dir()) / "tests/fuzz/corpus" / target;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const auto& file : files) inputs.push_back(testing::contents(file));
  return inputs;
}

void hold(const fuzz::Target& target, const std::string& input, const std::string& what) {
  ::alarm(20);  // a hang ends the test
  try {
    target.run(input);
  } catch (const std::exception& error) {
    INFO(target.name << ", " << what << ":\n" << input);
    FAIL_CHECK(error.what());
  }
  ::alarm(0);
}

/// `rounds` mutations of every input of every target.
void near_the_corpus(std::uint64_t rounds, std::uint64_t seed) {
  for (const fuzz::Target& target : fuzz::targets()) {
    const std::vector<std::string> inputs = corpus(target.name);
    REQUIRE_FALSE(inputs.empty());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      for (std::uint64_t round = 0; round < rounds; ++round) {
        const std::uint64_t s = seed + i * 1'000'003 + round;
        hold(target, fuzz::mutated(inputs[i], inputs[s % inputs.size()], s), "seed " + std::to_string(s));
      }
    }
  }
}

TEST_CASE("what was found once stays mended", "[fuzz]") {
  for (const fuzz::Target& target : fuzz::targets())
    for (const std::string& input : corpus(target.name)) hold(target, input, "of the corpus");
}

TEST_CASE("inputs near the corpus break nothing", "[fuzz]") { near_the_corpus(3, 1); }

TEST_CASE("many inputs near the corpus break nothing", "[fuzz][slow]") {
  const char* const rounds = std::getenv("FLOPCAST_FUZZ_ROUNDS");
  const char* const seed = std::getenv("FLOPCAST_FUZZ_SEED");
  near_the_corpus(rounds == nullptr ? 300 : std::strtoull(rounds, nullptr, 10),
                  seed == nullptr ? 2 : std::strtoull(seed, nullptr, 10));
}

}  // namespace
}  // namespace flopcast
