#include "sim/base/large_table.h"

#include <sys/mman.h>

#include <cstdlib>

namespace flopcast {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

}  // namespace

void FreeMemory::operator()(std::byte* memory) const { std::free(memory); }

std::unique_ptr<std::byte, FreeMemory> page_aligned(std::size_t bytes, bool large) {
  const std::size_t whole = (bytes + kLargePage - 1) / kLargePage * kLargePage;
  void* const memory = std::aligned_alloc(kLargePage, whole);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (large) madvise(memory, whole, MADV_HUGEPAGE);  // where it fails, pages are small
#else
  (void)large;
#endif
  return std::unique_ptr<std::byte, FreeMemory>(static_cast<std::byte*>(memory));
}

}  // namespace flopcast
