#include "workloads/serving/cache/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace flopcast {
namespace {

/// A prompt has fewer blocks than tokens, and those are counted in 31 bits.
constexpr std::uint32_t kLongestPrefix = (std::uint32_t{1} << 30) - 1;
constexpr KvTier kTiers[] = {KvTier::hbm, KvTier::host, KvTier::storage};

PerTier<std::int64_t>& operator+=(PerTier<std::int64_t>& sum, const PerTier<std::int64_t>& more) {
  for (const KvTier tier : kTiers) sum[tier] += more[tier];
  return sum;
}

}  // namespace

KvCounters& KvCounters::operator+=(const KvCounters& other) {
  sequences += other.sequences;
  prompt_tokens += other.prompt_tokens;
  hit_tokens += other.hit_tokens;
  offloaded_tokens += other.offloaded_tokens;
  restored_tokens += other.restored_tokens;
  dropped_tokens += other.dropped_tokens;
  peak_used_tokens += other.peak_used_tokens;
  return *this;
}

KvCache::KvCache(const KvCacheConfig& config)
    : page_tokens_(config.page_tokens),
      block_tokens_(config.prefix_block_tokens),
      block_pages_(config.prefix_block_tokens / config.page_tokens),
      sequence_pages_((config.sequence_tokens + config.page_tokens - 1) / config.page_tokens) {
  assert(page_tokens_ > 0 && block_tokens_ % page_tokens_ == 0);
  for (const KvTier tier : kTiers) capacity_[tier] = config.capacity_tokens[tier] / page_tokens_;
}

// ---- looking up

void KvCache::find(const PrefixBlocks& prefix, std::int32_t input_tokens) const {
  found_.clear();
  if (block_tokens_ == 0) return;
  const auto most = static_cast<std::size_t>((input_tokens - 1) / block_tokens_);
  prefix.visit_while([&](std::uint64_t id) {
    const std::uint32_t slot = found_.size() < most ? index_.find(id) : kNone;
    if (slot == kNone) return false;
    found_.push_back(slot);
    return true;
  });
}

PerTier<std::int64_t> KvCache::found_blocks() const {
  PerTier<std::int64_t> blocks;
  for (const std::uint32_t slot : found_) ++blocks[blocks_[slot].tier];
  return blocks;
}

PerTier<std::int32_t> KvCache::match(const PrefixBlocks& prefix, std::int32_t input_tokens) const {
  find(prefix, input_tokens);
  const PerTier<std::int64_t> blocks = found_blocks();
  PerTier<std::int32_t> tokens;
  for (const KvTier tier : kTiers) tokens[tier] = static_cast<std::int32_t>(blocks[tier] * block_tokens_);
  return tokens;
}

// ---- sequences

KvSequence KvCache::new_sequence(const PrefixBlocks& prefix) {
  if (free_sequences_.empty()) {
    free_sequences_.push_back(KvSequence::at(sequences_.size()));
    sequences_.emplace_back();
  }
  const KvSequence id = free_sequences_.back();
  free_sequences_.pop_back();
  Sequence& sequence = sequences_[id.index()];
  sequence.active = 1;
  if (block_tokens_ > 0 && !prefix.empty()) {
    sequence.prefix = prefix;
    sequence.prefix_size = static_cast<std::uint32_t>(prefix.size()) & kLongestPrefix;
  }
  ++running_;
  return id;
}

std::optional<KvCache::Start> KvCache::start(const PrefixBlocks& prefix, std::int32_t input_tokens,
                                             std::int32_t reserve_tokens) {
  const PerTier<std::int32_t> hit = match(prefix, input_tokens);
  const std::int64_t idle_hits = std::ranges::count_if(
      found_, [&](std::uint32_t slot) { return blocks_[slot].tier == KvTier::hbm && blocks_[slot].references == 0; });
  const std::int64_t restored = (hit[KvTier::host] + hit[KvTier::storage]) / page_tokens_;
  const std::int64_t beyond = std::max<std::int64_t>(0, pages_of(reserve_tokens) - hit.total() / page_tokens_);
  if (room(KvTier::hbm) - idle_hits * block_pages_ < restored + beyond) return std::nullopt;

  for (const std::uint32_t slot : found_) {
    if (blocks_[slot].tier == KvTier::hbm) {
      hold(slot);
    } else {
      counters_.restored_tokens[blocks_[slot].tier] += block_tokens_;
      leave_lower_tier(slot);
    }
  }
  [[maybe_unused]] const bool fits = make_room(KvTier::hbm, restored + beyond);
  assert(fits);
  resident_[KvTier::hbm] += restored + beyond;

  const KvSequence id = new_sequence(prefix);
  Sequence& sequence = sequences_[id.index()];
  sequence.blocks.assign(found_.begin(), found_.end());
  sequence.own_pages = beyond;
  sequence.computed = hit.total();
  ++counters_.sequences;
  counters_.prompt_tokens += input_tokens;
  for (const KvTier tier : kTiers) counters_.hit_tokens[tier] += hit[tier];
  note_use();
  return Start{id, hit};
}

bool KvCache::reserve(KvSequence id, std::int32_t tokens) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped);
  const std::int64_t held = static_cast<std::int64_t>(sequence.blocks.size()) * block_pages_ + sequence.own_pages;
  const std::int64_t more = pages_of(tokens) - held;
  if (more <= 0) return true;
  if (!make_room(KvTier::hbm, more)) return false;
  sequence.own_pages += more;
  resident_[KvTier::hbm] += more;
  note_use();
  return true;
}

bool KvCache::take_pages(std::int64_t pages) {
  if (pages == 0) return true;
  if (!make_room(KvTier::hbm, pages)) return false;
  unassigned_ += pages;
  resident_[KvTier::hbm] += pages;
  note_use();
  return true;
}

void KvCache::assign(KvSequence id, std::int64_t tokens) {
  const std::int64_t more = pages_of(tokens) - held_pages(id);
  if (more <= 0) return;
  assert(more <= unassigned_);
  unassigned_ -= more;
  sequences_[id.index()].own_pages += more;
}

void KvCache::computed(KvSequence id, std::int32_t tokens) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped && tokens >= sequence.computed);
  assert(pages_of(tokens) <= static_cast<std::int64_t>(sequence.blocks.size()) * block_pages_ + sequence.own_pages);
  sequence.computed = tokens;
  share_computed_blocks(sequence);
}

void KvCache::share_computed_blocks(Sequence& sequence) {
  if (sequence.prefix_size == 0) return;
  const std::size_t full =
      std::min<std::size_t>(sequence.prefix_size, static_cast<std::size_t>(sequence.computed / block_tokens_));
  while (sequence.blocks.size() < full) share_next_block(sequence);
}

/// A block of its own becomes one that others find; if another sequence was first, one of the two copies is
/// given up.
void KvCache::share_next_block(Sequence& sequence) {
  const std::uint64_t id = sequence.prefix.id(sequence.blocks.size());
  std::uint32_t slot = index_.find(id);
  if (slot == kNone) {
    slot = new_block(id);
    blocks_[slot].references = 1;
  } else if (blocks_[slot].tier == KvTier::hbm) {
    hold(slot);
    resident_[KvTier::hbm] -= block_pages_;
  } else {
    leave_lower_tier(slot);
  }
  sequence.own_pages -= block_pages_;
  sequence.blocks.push_back(slot);
}

void KvCache::finish(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active);
  for (std::size_t i = sequence.blocks.size(); i-- > 0;) let_go(sequence.blocks[i]);
  resident_[sequence.swapped ? KvTier::host : KvTier::hbm] -= sequence.own_pages;
  sequence.blocks.clear();  // keeps its memory
  sequence.own_pages = 0;
  sequence.computed = 0;
  sequence.active = sequence.swapped = 0;
  if (sequence.prefix_size > 0) sequence.prefix = {};
  sequence.prefix_size = 0;
  free_sequences_.push_back(id);
  --running_;
}

bool KvCache::swap_out(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped);
  const std::int64_t pages = static_cast<std::int64_t>(sequence.blocks.size()) * block_pages_ + sequence.own_pages;
  if (!make_room(KvTier::host, pages)) return false;
  for (std::size_t i = sequence.blocks.size(); i-- > 0;) let_go(sequence.blocks[i]);
  sequence.blocks.clear();
  resident_[KvTier::hbm] -= sequence.own_pages;
  resident_[KvTier::host] += pages;
  sequence.own_pages = pages;
  sequence.swapped = 1;
  counters_.offloaded_tokens[KvTier::host] += pages * page_tokens_;
  return true;
}

bool KvCache::swap_in(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && sequence.swapped);
  if (!make_room(KvTier::hbm, sequence.own_pages)) return false;
  resident_[KvTier::host] -= sequence.own_pages;
  resident_[KvTier::hbm] += sequence.own_pages;
  sequence.swapped = 0;
  counters_.restored_tokens[KvTier::host] += sequence.own_pages * page_tokens_;
  share_computed_blocks(sequence);
  note_use();
  return true;
}

void KvCache::note_use() {
  counters_.peak_used_tokens = std::max(counters_.peak_used_tokens, used_pages() * page_tokens_);
}

// ---- blocks

std::uint32_t KvCache::new_block(std::uint64_t id) {
  if (free_blocks_.empty()) {
    free_blocks_.push_back(static_cast<std::uint32_t>(blocks_.size()));
    blocks_.emplace_back();
  }
  const std::uint32_t slot = free_blocks_.back();
  free_blocks_.pop_back();
  blocks_[slot] = {.id = id};
  index_.insert(id, slot);
  return slot;
}

void KvCache::hold(std::uint32_t slot) {
  if (blocks_[slot].references++ == 0) unlink(slot);
}

void KvCache::let_go(std::uint32_t slot) {
  assert(blocks_[slot].references > 0);
  if (--blocks_[slot].references == 0) link(slot);
}

/// Into pages of HBM that whoever calls provides, held once.
void KvCache::leave_lower_tier(std::uint32_t slot) {
  unlink(slot);
  resident_[blocks_[slot].tier] -= block_pages_;
  blocks_[slot].tier = KvTier::hbm;
  blocks_[slot].references = 1;
}

bool KvCache::make_room(KvTier tier, std::int64_t pages) {
  if (room(tier) < pages) return false;
  while (capacity_[tier] - resident_[tier] < pages) evict(tier);
  return true;
}

void KvCache::evict(KvTier tier) {
  const std::uint32_t slot = oldest_[tier];
  unlink(slot);
  resident_[tier] -= block_pages_;
  store(slot, tier);
}

/// In the first tier below `from` that has room for it, or nowhere.
void KvCache::store(std::uint32_t slot, KvTier from) {
  for (const KvTier tier : {KvTier::host, KvTier::storage}) {
    if (tier <= from || !make_room(tier, block_pages_)) continue;
    blocks_[slot].tier = tier;
    resident_[tier] += block_pages_;
    link(slot);
    counters_.offloaded_tokens[tier] += block_tokens_;
    return;
  }
  drop(slot);
}

void KvCache::drop(std::uint32_t slot) {
  index_.erase(blocks_[slot].id);
  free_blocks_.push_back(slot);
  counters_.dropped_tokens += block_tokens_;
}

/// Last in the order in which its tier evicts.
void KvCache::link(std::uint32_t slot) {
  Block& block = blocks_[slot];
  block.older = newest_[block.tier];
  block.newer = kNone;
  (block.older == kNone ? oldest_[block.tier] : blocks_[block.older].newer) = slot;
  newest_[block.tier] = slot;
  idle_[block.tier] += block_pages_;
}

void KvCache::unlink(std::uint32_t slot) {
  const Block& block = blocks_[slot];
  (block.older == kNone ? oldest_[block.tier] : blocks_[block.older].newer) = block.newer;
  (block.newer == kNone ? newest_[block.tier] : blocks_[block.newer].older) = block.older;
  idle_[block.tier] -= block_pages_;
}

// ---- books

bool KvCache::lists_consistent(PerTier<std::int64_t>& block_pages) const {
  for (const KvTier tier : kTiers) {
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

bool KvCache::consistent() const {
  PerTier<std::int64_t> pages;
  if (!lists_consistent(pages)) return false;
  std::vector<std::uint32_t> references(blocks_.size(), 0);
  std::int64_t active = 0;
  for (const Sequence& sequence : sequences_) {
    if (sequence.own_pages < 0 || (!sequence.active && sequence.own_pages != 0)) return false;
    active += sequence.active ? 1 : 0;
    pages[sequence.swapped ? KvTier::host : KvTier::hbm] += sequence.own_pages;
    for (const std::uint32_t slot : sequence.blocks) ++references[slot];
  }
  pages[KvTier::hbm] += unassigned_;
  std::vector<bool> is_free(blocks_.size(), false);
  for (const std::uint32_t slot : free_blocks_) is_free[slot] = true;
  for (std::size_t slot = 0; slot < blocks_.size(); ++slot) {
    if (references[slot] > 0 && (is_free[slot] || blocks_[slot].tier != KvTier::hbm)) return false;
    if (!is_free[slot] && references[slot] != blocks_[slot].references) return false;
    if (references[slot] > 0) pages[KvTier::hbm] += block_pages_;
  }
  for (const KvTier tier : kTiers) {
    if (pages[tier] != resident_[tier] || resident_[tier] > capacity_[tier]) return false;
  }
  return active == running_ && index_.size() + free_blocks_.size() == blocks_.size();
}

}  // namespace flopcast
