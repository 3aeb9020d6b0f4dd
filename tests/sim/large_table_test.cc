// Does a table that grows keep what is in it, and where?
#include "sim/base/large_table.h"

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/catch.h"

namespace flopcast {
namespace {

/// Counts itself.
struct alignas(64) Counted {
  explicit Counted() { ++alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }
  std::size_t number = 7;
  static inline int alive = 0;
};

}  // namespace

TEST_CASE("A large table keeps its values where they are") {
  constexpr std::size_t kMany = 100'000;  // several pieces of memory
  {
    LargeTable<Counted> table;
    CHECK(table.size() == 0);
    const Counted* const first = &table.add();
    for (std::size_t i = 1; i < kMany; ++i) table.add();
    CHECK(Counted::alive == static_cast<int>(kMany));
    CHECK(&table[0] == first);
    CHECK(table[kMany - 1].number == 7);
    for (std::size_t i = 0; i < kMany; ++i) table[i].number = i;
    bool kept = true;
    for (std::size_t i = 0; i < kMany; ++i)
      kept = kept && table[i].number == i && reinterpret_cast<std::uintptr_t>(&table[i]) % alignof(Counted) == 0;
    CHECK(kept);
  }
  CHECK(Counted::alive == 0);
}

TEST_CASE("Memory for a large table is aligned and may be written, whatever its size") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{3} << 20}) {
    for (const bool large : {false, true}) {
      const auto memory = page_aligned(bytes, large);
      CHECK(reinterpret_cast<std::uintptr_t>(memory.get()) % (std::size_t{2} << 20) == 0);
      memory.get()[0] = memory.get()[bytes - 1] = std::byte{5};
      CHECK(memory.get()[bytes - 1] == std::byte{5});
    }
  }
}

}  // namespace flopcast
