#include "workloads/serving/cache/block_index.h"

#include <cassert>
#include <utility>

namespace flopcast {

void BlockIndex::place(std::uint64_t id, std::uint32_t slot) {
  std::size_t at = home(id);
  while (cells_[at].slot != kNone) at = after(at);
  cells_[at] = {id, slot};
}

void BlockIndex::grow() {
  const std::vector<Cell> old = std::exchange(cells_, std::vector<Cell>(cells_.size() * 2));
  for (const Cell& cell : old) {
    if (cell.slot != kNone) place(cell.id, cell.slot);
  }
}

void BlockIndex::insert(std::uint64_t id, std::uint32_t slot) {
  assert(find(id) == kNone && slot != kNone);
  if (++size_ * 2 > cells_.size()) grow();
  place(id, slot);
}

void BlockIndex::erase(std::uint64_t id) {
  std::size_t hole = home(id);
  while (cells_[hole].id != id || cells_[hole].slot == kNone) {
    assert(cells_[hole].slot != kNone);
    hole = after(hole);
  }
  --size_;
  // Whoever stands behind the hole and would rather stand at or before it moves up (Knuth 6.4, algorithm R).
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t at = after(hole); cells_[at].slot != kNone; at = after(at)) {
    const std::size_t from_home = (at - home(cells_[at].id)) & mask;
    const std::size_t from_hole = (at - hole) & mask;
    if (from_home < from_hole) continue;
    cells_[hole] = cells_[at];
    hole = at;
  }
  cells_[hole] = {};
}

}  // namespace flopcast
