// Pages of a KV cache, as sequences fill them.
#pragma once
#include <algorithm>
#include <cstdint>

namespace flopcast {

struct PageSize {
  int tokens = 64;                  ///< of a page
  std::int64_t sequence_pages = 0;  ///< that a sequence takes besides its tokens
  /// Of a sequence that long: of its tokens, and of what it takes besides.
  std::int64_t pages_of(std::int64_t length) const {
    return length <= 0 ? 0 : (length + tokens - 1) / tokens + sequence_pages;
  }
  /// The longest sequence that so many pages hold.
  std::int64_t tokens_of(std::int64_t pages) const {
    return std::max<std::int64_t>(0, pages - sequence_pages) * tokens;
  }
};

}  // namespace flopcast
