// Pages of a KV cache, as sequences fill them.
#pragma once
#include <algorithm>
#include <cstdint>

namespace flopcast {

/// Layers with a window keep the last tokens of a sequence only. What they keep is counted in pages of the others: a
/// sequence takes it block by block of `tokens`, as engines allocate it, until its window is full.
struct PageSize {
  int tokens = 64;                  ///< of a page
  std::int64_t sequence_pages = 0;  ///< that a sequence takes besides its tokens, however short it is
  std::int64_t window_blocks = 0;   ///< of `tokens`, that fill a window; 0: no layer has one
  std::int64_t window_pages = 0;    ///< that a full window takes

  /// Of a sequence that long: of its tokens, its window, and what it takes besides.
  std::int64_t pages_of(std::int64_t length) const {
    if (length <= 0) return 0;
    const std::int64_t blocks = blocks_of(length);
    return blocks + sequence_pages + in_window(blocks);
  }
  /// The longest sequence that so many pages hold.
  std::int64_t tokens_of(std::int64_t pages) const {
    const std::int64_t own = std::max<std::int64_t>(0, pages - sequence_pages);
    if (own >= window_blocks + window_pages) return (own - window_pages) * tokens;
    return own * window_blocks / (window_blocks + window_pages) * tokens;
  }
  /// Of tokens alone: what a sequence with a full window grows by.
  std::int64_t blocks_of(std::int64_t length) const { return (length + tokens - 1) / tokens; }
  /// Whether a sequence that long takes one page for each further block.
  bool window_is_full(std::int64_t length) const { return blocks_of(length) >= window_blocks; }
  /// The most pages that one block of a sequence can take.
  std::int64_t most_per_block() const {
    return 1 + (window_blocks == 0 ? 0 : (window_pages + window_blocks - 1) / window_blocks);
  }

 private:
  std::int64_t in_window(std::int64_t blocks) const {
    if (blocks >= window_blocks) return window_pages;
    return (blocks * window_pages + window_blocks - 1) / window_blocks;
  }
};

}  // namespace flopcast
