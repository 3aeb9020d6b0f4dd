// From the id of a block to where it is kept: a hash table with open addressing, several times quicker than
// the standard one on the few million look-ups per second that a replay makes. Nothing is ever listed from
// it, so that the order within cannot reach an output.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

class BlockIndex {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  BlockIndex() : cells_(kSmallest) {}
  std::uint32_t find(std::uint64_t id) const {
    for (std::size_t at = home(id);; at = after(at)) {
      if (cells_[at].slot == kNone || cells_[at].id == id) return cells_[at].slot;
    }
  }
  void insert(std::uint64_t id, std::uint32_t slot);  ///< an id that is not there
  void erase(std::uint64_t id);                       ///< an id that is there
  std::size_t size() const { return size_; }
  void archive(StateArchive& state) { state(cells_, size_); }

 private:
  struct Cell {
    std::uint64_t id = 0;
    std::uint32_t slot = kNone;
  };
  static constexpr std::size_t kSmallest = 64;  // a power of two, as every later size

  std::size_t after(std::size_t at) const { return (at + 1) & (cells_.size() - 1); }
  std::size_t home(std::uint64_t id) const {
    // Fibonacci hashing (Knuth 6.4): ids come in runs, which the golden ratio spreads evenly.
    return static_cast<std::size_t>((id * 0x9e3779b97f4a7c15ULL) >> 32) & (cells_.size() - 1);
  }
  void place(std::uint64_t id, std::uint32_t slot);
  void grow();

  std::vector<Cell> cells_;
  std::size_t size_ = 0;
};

}  // namespace flopcast
