#include "workloads/serving/cache/block_tiers.h"

#include <cassert>

namespace flopcast {

std::uint32_t BlockTiers::add(std::uint64_t id) {
  if (free_blocks_.empty()) {
    free_blocks_.push_back(static_cast<std::uint32_t>(blocks_.size()));
    blocks_.emplace_back();
  }
  const std::uint32_t slot = free_blocks_.back();
  free_blocks_.pop_back();
  blocks_[slot] = {.id = id, .references = 1};
  index_.insert(id, slot);
  return slot;
}

void BlockTiers::hold(std::uint32_t slot) {
  if (blocks_[slot].references++ == 0) unlink(slot);
}

void BlockTiers::let_go(std::uint32_t slot) {
  assert(blocks_[slot].references > 0);
  if (--blocks_[slot].references == 0) link(slot);
}

void BlockTiers::bring_up(std::uint32_t slot) {
  unlink(slot);
  resident_[blocks_[slot].tier] -= block_pages_;
  blocks_[slot].tier = KvTier::hbm;
  blocks_[slot].references = 1;
}

bool BlockTiers::make_room(KvTier tier, std::int64_t pages) {
  if (room(tier) < pages) return false;
  while (capacity_[tier] - resident_[tier] < pages) evict(tier);
  return true;
}

/// To the first tier below that has room for it, or nowhere.
void BlockTiers::evict(KvTier from) {
  const std::uint32_t slot = oldest_[from];
  unlink(slot);
  resident_[from] -= block_pages_;
  for (const KvTier tier : {KvTier::host, KvTier::storage}) {
    if (tier <= from || !make_room(tier, block_pages_)) continue;
    blocks_[slot].tier = tier;
    resident_[tier] += block_pages_;
    link(slot);
    ++offloaded_[tier];
    return;
  }
  index_.erase(blocks_[slot].id);
  free_blocks_.push_back(slot);
  ++dropped_;
}

/// Last in the order in which its tier evicts.
void BlockTiers::link(std::uint32_t slot) {
  Block& block = blocks_[slot];
  block.older = newest_[block.tier];
  block.newer = kNone;
  (block.older == kNone ? oldest_[block.tier] : blocks_[block.older].newer) = slot;
  newest_[block.tier] = slot;
  idle_[block.tier] += block_pages_;
}

void BlockTiers::unlink(std::uint32_t slot) {
  const Block& block = blocks_[slot];
  (block.older == kNone ? oldest_[block.tier] : blocks_[block.older].newer) = block.newer;
  (block.newer == kNone ? newest_[block.tier] : blocks_[block.newer].older) = block.older;
  idle_[block.tier] -= block_pages_;
}

// ---- books

bool BlockTiers::lists_consistent(PerTier<std::int64_t>& block_pages) const {
  for (const KvTier tier : kKvTierList) {
    std::int64_t pages = 0;
    std::uint32_t before = kNone;
    for (std::uint32_t slot = oldest_[tier]; slot != kNone; slot = blocks_[slot].newer) {
      const Block& block = blocks_[slot];
      if (block.tier != tier || block.references != 0 || block.older != before) return false;
      if (index_.find(block.id) != slot) return false;
      pages += block_pages_;
      before = slot;
    }
    if (newest_[tier] != before || idle_[tier] != pages) return false;
    block_pages[tier] += pages;
  }
  return true;
}

bool BlockTiers::consistent(std::span<const std::uint32_t> references, const PerTier<std::int64_t>& others) const {
  PerTier<std::int64_t> pages = others;
  if (!lists_consistent(pages)) return false;
  std::vector<bool> is_free(blocks_.size(), false);
  for (const std::uint32_t slot : free_blocks_) is_free[slot] = true;
  for (std::size_t slot = 0; slot < blocks_.size(); ++slot) {
    if (references[slot] > 0 && (is_free[slot] || blocks_[slot].tier != KvTier::hbm)) return false;
    if (!is_free[slot] && references[slot] != blocks_[slot].references) return false;
    if (references[slot] > 0) pages[KvTier::hbm] += block_pages_;
  }
  for (const KvTier tier : kKvTierList)
    if (pages[tier] != resident_[tier] || resident_[tier] > capacity_[tier]) return false;
  return index_.size() + free_blocks_.size() == blocks_.size();
}

}  // namespace flopcast
