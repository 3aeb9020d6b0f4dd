// Does a cell get the prices back that were left in it, and never those of another?
#include "workloads/serving/pricing/grids.h"

#include <unordered_map>

#include "sim/base/random.h"
#include "tests/catch.h"

namespace flopcast {

TEST_CASE("A cell of a grid keeps its own prices or none") {
  CornerCache<std::uint64_t> cache;
  std::unordered_map<std::uint64_t, std::uint64_t> nodes;
  RandomStream random(5);
  int kept = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t cell = (random.next() % 4) << 42 | (random.next() % 40) << 21 | random.next() % 8;
    CornerCache<std::uint64_t>::Corners& corners = cache.corners(cell);
    if (corners[3] != nullptr) {
      ++kept;
      REQUIRE(*corners[3] == cell);
    }
    CHECK(corners[4] == nullptr);
    corners[3] = &nodes.emplace(cell, cell).first->second;
  }
  CHECK(kept > 1000);  // it is of use although cells are many times as many as places
}

}  // namespace flopcast
