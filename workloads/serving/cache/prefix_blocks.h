// Which blocks of tokens a prompt consists of, so that equal beginnings can be found.
#pragma once
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

/// Ids of full blocks of tokens, first to last. Equal id = the same tokens after the same tokens (a chained
/// hash), so that equal beginnings of two lists are equal beginnings of two texts. Ids are kept as runs of
/// consecutive numbers, for traces and sessions number new blocks in a row; up to two runs (a shared
/// beginning and what is new) take no memory of their own, which keeps a million waiting requests small.
class PrefixBlocks {
 public:
  static constexpr std::uint64_t kLargestId = (std::uint64_t{1} << 48) - 1;
  static constexpr std::uint64_t kLongestRun = (std::uint64_t{1} << 16) - 1;
  struct Run {
    std::uint64_t first : 48 = 0;
    std::uint64_t count : 16 = 0;
    bool operator==(const Run&) const = default;
  };

  PrefixBlocks() = default;
  PrefixBlocks(const PrefixBlocks& other);
  PrefixBlocks& operator=(const PrefixBlocks& other);
  PrefixBlocks(PrefixBlocks&&) noexcept = default;
  PrefixBlocks& operator=(PrefixBlocks&&) noexcept = default;

  /// Ids of at most kLargestId.
  void append(std::uint64_t id) { append_run(id, 1); }
  void append_run(std::uint64_t first, std::uint64_t count);
  void truncate(std::size_t size);  ///< to the first `size` blocks, when there are more
  bool empty() const { return few_[0].count == 0; }
  std::size_t size() const;
  std::uint64_t id(std::size_t index) const;
  std::span<const Run> runs() const;

  /// Calls `visit(id)` from the first block on until it returns false.
  template <class Visit>
  void visit_while(Visit&& visit) const {
    for (const Run& run : runs()) {
      for (std::uint64_t i = 0; i < run.count; ++i) {
        if (!visit(run.first + i)) return;
      }
    }
  }
  friend bool operator==(const PrefixBlocks& a, const PrefixBlocks& b);
  void archive(StateArchive& state);

 private:
  static constexpr std::size_t kFew = 2;
  void append_new_run(std::uint64_t first, std::uint64_t count);
  std::array<Run, kFew> few_{};             // the first ones; a count of 0: none
  std::unique_ptr<std::vector<Run>> more_;  // all of them, when they are more than a few
};

static_assert(sizeof(PrefixBlocks) == 24, "a waiting request should stay small");

}  // namespace flopcast
