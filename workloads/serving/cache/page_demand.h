// Which iterations need how many new pages for requests that decode together: counted by the place of their last token
// in its page instead of followed one by one.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

/// All requests get the same number of tokens, T in all up to an iteration. One with `offset` + T cached tokens needs a
/// page when that exceeds a whole number of pages, that is whenever T = 1 - offset (mod page).
class PageDemand {
 public:
  explicit PageDemand(int page_tokens)
      : due_(static_cast<std::size_t>(page_tokens)),
        mask_((page_tokens & (page_tokens - 1)) == 0 ? page_tokens - 1 : kNoMask) {}

  void add(std::int64_t offset) { ++due_[place(1 - offset)], ++count_; }
  void remove(std::int64_t offset) { --due_[place(1 - offset)], --count_; }
  bool empty() const { return count_ == 0; }
  /// Pages needed while T goes from `from` to `to`.
  std::int64_t pages(std::int64_t from, std::int64_t to) const {
    if (count_ == 0 || to <= from) return 0;
    const auto round = static_cast<std::int64_t>(due_.size());
    std::int64_t sum = (to - from) / round * count_;
    for (std::int64_t t = to - (to - from) % round + 1; t <= to; ++t) sum += due_[place(t)];
    return sum;
  }
  bool needs(std::int64_t offset, std::int64_t from, std::int64_t to) const {
    const auto round = static_cast<std::int64_t>(due_.size());
    return to - from >= round || static_cast<std::int64_t>(place(1 - offset - from - 1)) < to - from;
  }
  /// The first T above `from` at which a page is needed, of requests there are.
  std::int64_t next(std::int64_t from) const {
    std::int64_t t = from + 1;
    while (due_[place(t)] == 0) ++t;
    return t;
  }

  void archive(StateArchive& state) { state(due_, count_); }

 private:
  static constexpr std::int64_t kNoMask = -1;
  std::size_t place(std::int64_t t) const {
    if (mask_ != kNoMask) return static_cast<std::size_t>(t & mask_);
    const auto round = static_cast<std::int64_t>(due_.size());
    return static_cast<std::size_t>((t % round + round) % round);
  }
  std::vector<std::int32_t> due_;
  std::int64_t mask_;  // pages of a power of two need no division
  std::int64_t count_ = 0;
};

}  // namespace flopcast
