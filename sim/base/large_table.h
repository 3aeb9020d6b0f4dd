// A table that grows by blocks and never moves what is in it.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace flopcast {

struct FreeMemory {
  void operator()(std::byte* memory) const;
};
/// So many bytes, aligned to large pages. `large`: the system is asked to map them by such pages (2 MiB), as far as it
/// knows how: a table of tens of megabytes that is looked at here and there misses a processor's list of small pages at
/// nearly every look.
std::unique_ptr<std::byte, FreeMemory> page_aligned(std::size_t bytes, bool large);

/// Values by number from 0 on; none is copied when it grows. Memory comes in pieces of many blocks; a small table fills
/// a part of its first piece, in small pages.
template <class T>
class LargeTable {
 public:
  LargeTable() = default;
  LargeTable(const LargeTable&) = delete;
  LargeTable& operator=(const LargeTable&) = delete;
  ~LargeTable() {
    for (std::size_t i = 0; i < size_; ++i) (*this)[i].~T();
  }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return blocks_[i / kBlock][i % kBlock]; }
  const T& operator[](std::size_t i) const { return blocks_[i / kBlock][i % kBlock]; }
  /// One more, at the end.
  T& add() {
    if (size_ == blocks_.size() * kBlock) add_block();
    T* const place = &blocks_.back()[size_ % kBlock];
    new (place) T();
    ++size_;
    return *place;
  }

 private:
  static constexpr std::size_t kBlock = 1024;
  static constexpr std::size_t kBlocks = 32;  // in a piece
  void add_block() {
    const std::size_t within = blocks_.size() % kBlocks;
    if (within == 0) pieces_.push_back(page_aligned(kBlocks * kBlock * sizeof(T), !pieces_.empty()));
    blocks_.push_back(reinterpret_cast<T*>(pieces_.back().get()) + within * kBlock);
  }

  std::vector<std::unique_ptr<std::byte, FreeMemory>> pieces_;
  std::vector<T*> blocks_;
  std::size_t size_ = 0;
};

}  // namespace flopcast
