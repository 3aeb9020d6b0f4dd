// A heap with four children per node, least value first; and an order of times that a processor finds without a branch.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

/// The bits of numbers that are not negative, as whole numbers: they stand in the same order.
inline std::uint64_t ordered_bits(double number) { return std::bit_cast<std::uint64_t>(number); }

/// (a, x) before (b, y), as one comparison of 128 bits: which of two events is the first nobody can guess, and a wrong
/// guess costs more than both comparisons.
inline bool before(std::uint64_t a, std::uint64_t x, std::uint64_t b, std::uint64_t y) {
  __extension__ using Wide = unsigned __int128;
  return (Wide{a} << 64 | x) < (Wide{b} << 64 | y);
}

/// Half as deep as a binary heap, and four values of 16 bytes lie in one cache line.
template <class T>
class WideHeap {
 public:
  bool empty() const { return heap_.empty(); }
  const T& top() const { return heap_.front(); }
  void clear() { heap_.clear(); }

  /// Values that come soon: the first of them is the next, the others as like as not.
  std::span<const T> soon() const { return std::span(heap_).first(std::min(kChildren + 1, heap_.size())); }

  void push(const T& value) {
    std::size_t hole = heap_.size();
    heap_.push_back(value);
    while (hole > 0) {
      const std::size_t parent = (hole - 1) / kChildren;
      if (!(value < heap_[parent])) break;
      heap_[hole] = heap_[parent];
      hole = parent;
    }
    heap_[hole] = value;
  }

  void pop() {
    const T last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) replace_top(last);
  }
  void replace_top(const T& value) {
    const std::size_t size = heap_.size();
    std::size_t hole = 0;
    for (std::size_t first = 1; first < size; first = hole * kChildren + 1) {
      const std::size_t least = least_of(first, std::min(first + kChildren, size));
      if (!(heap_[least] < value)) break;
      heap_[hole] = heap_[least];
      hole = least;
    }
    heap_[hole] = value;
  }

  void archive(StateArchive& state) { state(heap_); }

 private:
  static constexpr std::size_t kChildren = 4;

  std::size_t least_of(std::size_t first, std::size_t end) const {
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) least = heap_[child] < heap_[least] ? child : least;
    return least;
  }

  std::vector<T> heap_;
};

}  // namespace flopcast
