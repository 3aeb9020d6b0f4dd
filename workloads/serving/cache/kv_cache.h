// The KV cache of one replica (of one attention group of it): pages of HBM for running sequences, finished
// prefixes kept for others, and where they go when HBM is full.
//
// Pages as in vLLM (Kwon et al. 2023, arXiv 2309.06180): a sequence holds whole pages and nothing else, so
// what is lost is the rest of its last page. Blocks that can recur have an id; they are found by it, counted
// by reference, and once nobody uses them kept in order of last use. HBM evicts the longest unused block to
// host memory, host memory to storage, storage drops it. A block is in one tier at a time: found in a lower
// one, it moves up. The last block of a sequence is given up before its first, so that what remains is a
// beginning.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "sim/base/ids.h"
#include "workloads/serving/cache/block_index.h"
#include "workloads/serving/cache/prefix_blocks.h"

namespace flopcast {

enum class KvTier : std::uint8_t { hbm, host, storage };
inline constexpr int kKvTiers = 3;

/// A number per tier.
template <class Number>
struct PerTier {
  std::array<Number, kKvTiers> values{};
  Number& operator[](KvTier tier) { return values[static_cast<std::size_t>(tier)]; }
  Number operator[](KvTier tier) const { return values[static_cast<std::size_t>(tier)]; }
  Number total() const { return values[0] + values[1] + values[2]; }
  bool operator==(const PerTier&) const = default;
};

struct KvCacheConfig {
  int page_tokens = 64;
  int prefix_block_tokens = 0;            ///< of a block with an id, whole pages; 0: prefixes are not kept
  std::int64_t sequence_tokens = 0;       ///< what a sequence takes besides its tokens, as that many
  PerTier<std::int64_t> capacity_tokens;  ///< rounded down to pages (HBM) and blocks (below)
};

/// All in tokens: times kv_bytes_per_token they are bytes.
struct KvCounters {
  std::int64_t sequences = 0;
  std::int64_t prompt_tokens = 0;          ///< of all sequences started
  PerTier<std::int64_t> hit_tokens;        ///< of those, found in each tier
  PerTier<std::int64_t> offloaded_tokens;  ///< written to each lower tier, swapped sequences included
  PerTier<std::int64_t> restored_tokens;   ///< read back from each lower tier, swapped sequences included
  std::int64_t dropped_tokens = 0;         ///< evicted from the last tier
  std::int64_t peak_used_tokens = 0;       ///< most that sequences held at a time, whole pages
  KvCounters& operator+=(const KvCounters& other);
};

using KvSequence = Id<struct KvSequenceTag>;

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
  std::int64_t held_pages(KvSequence sequence) const {
    const Sequence& s = sequences_[sequence.index()];
    return static_cast<std::int64_t>(s.blocks.size()) * block_pages_ + s.own_pages;
  }
  /// The first `tokens` (all reserved) are computed: others may use their blocks from now on.
  void computed(KvSequence sequence, std::int32_t tokens);
  /// Ends a sequence; its computed blocks stay as long as there is room.
  void finish(KvSequence sequence);
  /// Moves a sequence to host memory. False, and nothing changed, when host memory cannot hold it.
  bool swap_out(KvSequence sequence);
  bool swap_in(KvSequence sequence);  ///< and back; false, and nothing changed, when HBM cannot

  std::int32_t computed_tokens(KvSequence sequence) const { return sequences_[sequence.index()].computed; }
  /// Of a sequence that long: of its tokens, and of what it takes besides.
  std::int64_t pages_of(std::int64_t tokens) const {
    return tokens <= 0 ? 0 : (tokens + page_tokens_ - 1) / page_tokens_ + sequence_pages_;
  }
  /// The longest sequence that so many pages hold.
  std::int64_t tokens_of(std::int64_t pages) const {
    return std::max<std::int64_t>(0, pages - sequence_pages_) * page_tokens_;
  }
  int page_tokens() const { return page_tokens_; }
  std::int64_t capacity_pages() const { return capacity_[KvTier::hbm]; }
  std::int64_t free_pages() const { return capacity_pages() - resident_[KvTier::hbm]; }
  /// Free, or held by prefixes that nobody uses now.
  std::int64_t available_pages() const { return room(KvTier::hbm); }
  std::int64_t used_pages() const { return capacity_pages() - available_pages(); }
  std::int64_t running() const { return running_; }
  const KvCounters& counters() const { return counters_; }
  /// Whether the books add up: pages of sequences, blocks and free ones; references; lists. For tests.
  bool consistent() const;
  void archive(StateArchive& state) {
    state(resident_, idle_, oldest_, newest_, blocks_, free_blocks_, index_, sequences_, free_sequences_, running_,
          unassigned_, counters_);
  }

 private:
  static constexpr std::uint32_t kNone = BlockIndex::kNone;
  struct Block {
    std::uint64_t id = 0;
    std::uint32_t older = kNone, newer = kNone;  // neighbours in the order of last use, while nobody uses it
    std::uint32_t references = 0;
    KvTier tier = KvTier::hbm;
  };
  struct alignas(64) Sequence {         // a line of a processor's cache
    std::vector<std::uint32_t> blocks;  // held by reference: its first ones
    std::int64_t own_pages = 0;         // beyond those
    std::int32_t computed = 0;
    std::uint32_t prefix_size : 30 = 0;
    std::uint32_t active : 1 = 0;
    std::uint32_t swapped : 1 = 0;
    PrefixBlocks prefix;
    void archive(StateArchive& state) {
      std::uint32_t size = prefix_size;
      bool is_active = active, is_swapped = swapped;
      state(blocks, own_pages, computed, size, is_active, is_swapped, prefix);
      prefix_size = size & 0x3fffffff;
      active = is_active;
      swapped = is_swapped;
    }
  };
  static_assert(sizeof(Sequence) == 64);

  std::int64_t room(KvTier tier) const { return capacity_[tier] - resident_[tier] + idle_[tier]; }
  /// The cached beginning of a prompt, as slots of blocks_, in found_.
  void find(const PrefixBlocks& prefix, std::int32_t input_tokens) const;
  PerTier<std::int64_t> found_blocks() const;
  KvSequence new_sequence(const PrefixBlocks& prefix);
  std::uint32_t new_block(std::uint64_t id);
  bool make_room(KvTier tier, std::int64_t pages);
  void evict(KvTier tier);
  void store(std::uint32_t slot, KvTier tier);
  void drop(std::uint32_t slot);
  void hold(std::uint32_t slot);
  void let_go(std::uint32_t slot);
  void leave_lower_tier(std::uint32_t slot);
  void share_next_block(Sequence& sequence);
  void share_computed_blocks(Sequence& sequence);
  void link(std::uint32_t slot);
  void unlink(std::uint32_t slot);
  void note_use();
  bool lists_consistent(PerTier<std::int64_t>& block_pages) const;

  int page_tokens_;
  int block_tokens_;
  std::int64_t block_pages_;
  std::int64_t sequence_pages_;
  PerTier<std::int64_t> capacity_;  // in pages, as the two below
  PerTier<std::int64_t> resident_;  // of sequences and blocks
  PerTier<std::int64_t> idle_;      // of blocks that nobody uses; below HBM all blocks
  PerTier<std::uint32_t> oldest_{{kNone, kNone, kNone}}, newest_{{kNone, kNone, kNone}};
  std::vector<Block> blocks_;
  std::vector<std::uint32_t> free_blocks_;
  BlockIndex index_;
  std::vector<Sequence> sequences_;
  std::vector<KvSequence> free_sequences_;
  mutable std::vector<std::uint32_t> found_;  // only to save allocations
  std::int64_t running_ = 0;
  std::int64_t unassigned_ = 0;  // pages taken and not assigned
  KvCounters counters_;
};

}  // namespace flopcast
