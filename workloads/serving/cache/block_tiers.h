// The pages of HBM, host memory and storage, and the blocks in them that can recur: finished beginnings of prompts that
// others may find.
//
// Blocks are found by their id, counted by reference, and once nobody uses them kept in order of last use. HBM evicts
// the longest unused block to host memory, host memory to storage, storage drops it. A block is in one tier at a time.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/state_archive.h"
#include "workloads/serving/cache/block_index.h"
#include "workloads/serving/cache/kv_counters.h"

namespace flopcast {

class BlockTiers {
 public:
  static constexpr std::uint32_t kNone = BlockIndex::kNone;
  /// @param capacity in pages, as all numbers here
  BlockTiers(std::int64_t block_pages, PerTier<std::int64_t> capacity)
      : block_pages_(block_pages), capacity_(capacity) {}

  std::int64_t block_pages() const { return block_pages_; }
  const PerTier<std::int64_t>& capacity() const { return capacity_; }
  const PerTier<std::int64_t>& resident() const { return resident_; }
  /// Free, or held by blocks that nobody uses.
  std::int64_t room(KvTier tier) const { return capacity_[tier] - resident_[tier] + idle_[tier]; }
  /// Evicts until so many pages are free. False, and nothing changed, when there is no room.
  bool make_room(KvTier tier, std::int64_t pages);
  /// Pages that are not a block's: taken (after make_room), or given back.
  void take(KvTier tier, std::int64_t pages) { resident_[tier] += pages; }
  void give_back(KvTier tier, std::int64_t pages) { resident_[tier] -= pages; }

  std::uint32_t find(std::uint64_t id) const { return index_.find(id); }  ///< slot; kNone: nowhere
  KvTier tier(std::uint32_t slot) const { return blocks_[slot].tier; }
  bool used(std::uint32_t slot) const { return blocks_[slot].references > 0; }
  /// A block of HBM, held once, in pages that whoever calls has taken.
  std::uint32_t add(std::uint64_t id);
  void hold(std::uint32_t slot);
  void let_go(std::uint32_t slot);
  /// Leaves its lower tier for pages of HBM that whoever calls provides, held once.
  void bring_up(std::uint32_t slot);

  const PerTier<std::int64_t>& offloaded() const { return offloaded_; }  ///< blocks written to each lower tier
  std::int64_t dropped() const { return dropped_; }                      ///< blocks evicted from the last tier
  /// Whether the books add up. @param references of each block, as sequences hold them. @param others pages of each
  /// tier that are not blocks'
  bool consistent(std::span<const std::uint32_t> references, const PerTier<std::int64_t>& others) const;
  std::size_t slots() const { return blocks_.size(); }
  void archive(StateArchive& state) {
    state(resident_, idle_, oldest_, newest_, blocks_, free_blocks_, index_, offloaded_, dropped_);
  }

 private:
  struct Block {
    std::uint64_t id = 0;
    std::uint32_t older = kNone, newer = kNone;  // neighbours in the order of last use, while nobody uses it
    std::uint32_t references = 0;
    KvTier tier = KvTier::hbm;
  };
  void evict(KvTier tier);
  void link(std::uint32_t slot);
  void unlink(std::uint32_t slot);
  bool lists_consistent(PerTier<std::int64_t>& pages) const;

  std::int64_t block_pages_;
  PerTier<std::int64_t> capacity_;
  PerTier<std::int64_t> resident_;  // of sequences and blocks
  PerTier<std::int64_t> idle_;      // of blocks that nobody uses; below HBM all blocks
  PerTier<std::uint32_t> oldest_{{kNone, kNone, kNone}}, newest_{{kNone, kNone, kNone}};
  std::vector<Block> blocks_;
  std::vector<std::uint32_t> free_blocks_;
  BlockIndex index_;
  PerTier<std::int64_t> offloaded_;
  std::int64_t dropped_ = 0;
};

}  // namespace flopcast
