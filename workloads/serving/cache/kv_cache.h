// The KV cache of one replica (of one attention group of it): pages of HBM for running sequences, finished
// prefixes kept for others, and where they go when HBM is full (block_tiers.h).
//
// Pages as in vLLM (Kwon et al. 2023, arXiv 2309.06180): a sequence holds whole pages and nothing else, so
// what is lost is the rest of its last page. Blocks that can recur are shared; found in a lower tier, they move up. The
// last block of a sequence is given up before its first, so that what remains is a beginning.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/ids.h"
#include "workloads/serving/cache/block_tiers.h"
#include "workloads/serving/cache/kv_counters.h"
#include "workloads/serving/cache/page_size.h"
#include "workloads/serving/cache/prefix_blocks.h"

namespace flopcast {

struct KvCacheConfig {
  int page_tokens = 64;
  int prefix_block_tokens = 0;            ///< of a block with an id, whole pages; 0: prefixes are not kept
  std::int64_t sequence_tokens = 0;       ///< what a sequence takes besides its tokens, as that many
  int window = 0;                         ///< tokens of a window; 0: no layer has one
  std::int64_t window_tokens = 0;         ///< what a full window takes, as that many
  PerTier<std::int64_t> capacity_tokens;  ///< rounded down to pages (HBM) and blocks (below)
};

class KvCache {
 public:
  explicit KvCache(const KvCacheConfig& config);

  /// Tokens of a prompt that the cache holds, by tier; looks only. One token at least is always left to
  /// compute, for its output is the first token of the answer.
  PerTier<std::int32_t> match(const PrefixBlocks& prefix, std::int32_t input_tokens) const;

  struct Start {
    KvSequence sequence;
    PerTier<std::int32_t> hit;  ///< blocks of lower tiers count as HBM's now; the engine adds the time to move them
  };
  /// A sequence that holds what the cache has of its prompt. Nothing (and nothing changed) when HBM has no
  /// room for that and `reserve_tokens` in all.
  std::optional<Start> start(const PrefixBlocks& prefix, std::int32_t input_tokens, std::int32_t reserve_tokens = 0);
  /// Pages for `tokens` in all. False, and nothing changed, when there are not enough.
  bool reserve(KvSequence sequence, std::int32_t tokens);
  /// Pages reserved for running sequences. `assign()` says which sequence owns each. False, and nothing changed, when
  /// there are not enough.
  bool take_pages(std::int64_t pages);
  /// A sequence of `tokens` owns as many of the reserved pages as it still lacks.
  void assign(KvSequence sequence, std::int64_t tokens);
  std::int64_t held_pages(KvSequence sequence) const { return held(sequences_[sequence.index()]); }
  /// The first `tokens` (all reserved) are computed: others may use their blocks from now on.
  void computed(KvSequence sequence, std::int32_t tokens);
  /// Ends a sequence; its computed blocks stay as long as there is room.
  void finish(KvSequence sequence);
  /// Moves a sequence to host memory. False, and nothing changed, when host memory cannot hold it.
  bool swap_out(KvSequence sequence);
  bool swap_in(KvSequence sequence);  ///< and back; false, and nothing changed, when HBM cannot

  std::int32_t computed_tokens(KvSequence sequence) const { return sequences_[sequence.index()].computed; }
  const PageSize& page() const { return page_; }
  std::int64_t capacity_pages() const { return tiers_.capacity()[KvTier::hbm]; }
  std::int64_t free_pages() const { return capacity_pages() - tiers_.resident()[KvTier::hbm]; }
  /// Free, or held by prefixes that nobody uses now.
  std::int64_t available_pages() const { return tiers_.room(KvTier::hbm); }
  std::int64_t used_pages() const { return capacity_pages() - available_pages(); }
  std::int64_t running() const { return running_; }
  KvCounters counters() const;
  /// Whether the books add up: pages of sequences, blocks and free ones; references; lists. For tests.
  bool consistent() const;
  void archive(StateArchive& state) {
    state(tiers_, sequences_, first_free_, prefixes_, free_prefixes_, running_, unassigned_, counters_);
  }

 private:
  static constexpr std::int32_t kNoSequence = -1;
  static constexpr std::uint32_t kNoPrefix = (std::uint32_t{1} << 30) - 1;
  /// Four in a line of a processor's cache: most sequences have nothing that can recur, and thousands of groups have a
  /// hundred each.
  struct Sequence {
    std::int64_t own_pages = 0;             // beyond those of its prefix
    std::int32_t computed = 0;              // of one that is free: the next free one
    std::uint32_t prefix : 30 = kNoPrefix;  // of prefixes_
    std::uint32_t active : 1 = 0;
    std::uint32_t swapped : 1 = 0;
  };
  static_assert(sizeof(Sequence) == 16);
  /// What others may find of a sequence.
  struct Prefix {
    std::vector<std::uint32_t> held;  // blocks, by reference: its first ones
    PrefixBlocks all;
    std::size_t size = 0;  // of them
    void archive(StateArchive& state) { state(held, all, size); }
  };

  std::int64_t held(const Sequence& sequence) const {
    if (sequence.prefix == kNoPrefix) return sequence.own_pages;
    return static_cast<std::int64_t>(prefixes_[sequence.prefix].held.size()) * tiers_.block_pages() +
           sequence.own_pages;
  }
  KvSequence new_sequence(const PrefixBlocks& prefix);
  void share_computed_blocks(Sequence& sequence);
  void note_use();

  PageSize page_;
  int block_tokens_;
  BlockTiers tiers_;
  std::vector<Sequence> sequences_;
  std::int32_t first_free_ = kNoSequence;  // of sequences_
  std::vector<Prefix> prefixes_;
  std::vector<std::uint32_t> free_prefixes_;
  mutable std::vector<std::uint32_t> found_;  // slots of the beginning that match() has found; saves allocations
  std::int64_t running_ = 0;
  std::int64_t unassigned_ = 0;  // pages taken and not assigned
  KvCounters counters_;          // but those of tiers_
};

}  // namespace flopcast
