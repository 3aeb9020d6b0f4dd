// Do runs of ids tell the same as a list of ids?
#include "workloads/serving/cache/prefix_blocks.h"

#include <vector>

#include "sim/base/random.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

std::vector<std::uint64_t> listed(const PrefixBlocks& blocks) {
  std::vector<std::uint64_t> ids;
  blocks.visit_while([&](std::uint64_t id) {
    ids.push_back(id);
    return true;
  });
  return ids;
}

TEST_CASE("blocks given one by one or as runs come back in order", "[workloads][serving]") {
  RandomStream random(7);
  for (int round = 0; round < 200; ++round) {
    PrefixBlocks blocks;
    std::vector<std::uint64_t> expected;
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t first = random.next() % 40, count = random.next() % 5;
      blocks.append_run(first, count);
      for (std::uint64_t k = 0; k < count; ++k) expected.push_back(first + k);
    }
    CAPTURE(round);
    REQUIRE(listed(blocks) == expected);
    REQUIRE(blocks.size() == expected.size());
    REQUIRE(blocks.empty() == expected.empty());
    for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(blocks.id(i) == expected[i]);
    const PrefixBlocks copy = blocks;
    REQUIRE(copy == blocks);
    const std::size_t kept = random.next() % 12;
    blocks.truncate(kept);
    if (kept < expected.size()) expected.resize(kept);
    REQUIRE(listed(blocks) == expected);
  }
}

TEST_CASE("a run longer than a run can be goes on in the next", "[workloads][serving]") {
  PrefixBlocks blocks;
  blocks.append_run(5, PrefixBlocks::kLongestRun - 1);
  blocks.append_run(4 + PrefixBlocks::kLongestRun, 100'000);
  CHECK(blocks.size() == PrefixBlocks::kLongestRun - 1 + 100'000);
  CHECK(blocks.runs().size() == 3);
  CHECK(blocks.id(blocks.size() - 1) == 5 + blocks.size() - 1);
}

}  // namespace
}  // namespace flopcast
