// Does a cell get the prices back that were left in it, and never those of another?
#include "workloads/serving/pricing/corner_cache.h"

#include "sim/base/random.h"
#include "tests/catch.h"

namespace flopcast {

TEST_CASE("A cell of a grid keeps its own prices or none") {
  CornerCache cache;
  RandomStream random(5);
  int kept = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t cell = (random.next() % 4) << 42 | (random.next() % 40) << 21 | random.next() % 8;
    CornerCache::Corners& corners = cache.corners(cell);
    if (CornerCache::known(corners[3])) {
      ++kept;
      REQUIRE(corners[3] == static_cast<double>(cell));
    }
    CHECK_FALSE(CornerCache::known(corners[4]));
    corners[3] = static_cast<double>(cell);
  }
  CHECK(kept > 1000);  // it is of use although cells are many times as many as places
}

}  // namespace flopcast
