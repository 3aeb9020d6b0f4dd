#include "workloads/serving/cache/kv_cache.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace flopcast {
namespace {

PerTier<std::int64_t>& operator+=(PerTier<std::int64_t>& sum, const PerTier<std::int64_t>& more) {
  for (const KvTier tier : kKvTierList) sum[tier] += more[tier];
  return sum;
}

PerTier<std::int64_t> pages_of_tiers(const PerTier<std::int64_t>& tokens, int page_tokens) {
  PerTier<std::int64_t> pages;
  for (const KvTier tier : kKvTierList) pages[tier] = tokens[tier] / page_tokens;
  return pages;
}

/// The last block first, so that what remains is a beginning.
void let_go(BlockTiers& tiers, std::vector<std::uint32_t>& blocks) {
  for (std::size_t i = blocks.size(); i-- > 0;) tiers.let_go(blocks[i]);
  blocks.clear();  // keeps its memory
}

PageSize page_size(const KvCacheConfig& config) {
  const auto pages = [&](std::int64_t tokens) { return (tokens + config.page_tokens - 1) / config.page_tokens; };
  return {config.page_tokens, pages(config.sequence_tokens), pages(config.window), pages(config.window_tokens)};
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
    : page_(page_size(config)),
      block_tokens_(config.prefix_block_tokens),
      tiers_(config.prefix_block_tokens / config.page_tokens,
             pages_of_tiers(config.capacity_tokens, config.page_tokens)) {
  assert(page_.tokens > 0 && block_tokens_ % page_.tokens == 0);
}

PerTier<std::int32_t> KvCache::match(const PrefixBlocks& prefix, std::int32_t input_tokens) const {
  PerTier<std::int32_t> tokens;
  found_.clear();
  if (block_tokens_ == 0) return tokens;
  const auto most = static_cast<std::size_t>((input_tokens - 1) / block_tokens_);
  prefix.visit_while([&](std::uint64_t id) {
    const std::uint32_t slot = found_.size() < most ? tiers_.find(id) : BlockTiers::kNone;
    if (slot == BlockTiers::kNone) return false;
    found_.push_back(slot);
    return true;
  });
  for (const std::uint32_t slot : found_) tokens[tiers_.tier(slot)] += block_tokens_;
  return tokens;
}

KvSequence KvCache::new_sequence(const PrefixBlocks& prefix) {
  const bool found = first_free_ != kNoSequence;
  const KvSequence id = KvSequence::at(found ? static_cast<std::size_t>(first_free_) : sequences_.size());
  if (!found) sequences_.emplace_back();
  Sequence& sequence = sequences_[id.index()];
  if (found) first_free_ = std::exchange(sequence.computed, 0);
  sequence.active = 1;
  if (block_tokens_ > 0 && !prefix.empty()) {
    if (free_prefixes_.empty()) {
      free_prefixes_.push_back(static_cast<std::uint32_t>(prefixes_.size()));
      prefixes_.emplace_back();
    }
    sequence.prefix = free_prefixes_.back() & kNoPrefix;
    free_prefixes_.pop_back();
    Prefix& own = prefixes_[sequence.prefix];
    own.all = prefix;
    own.size = prefix.size();
    own.held.assign(found_.begin(), found_.end());
  }
  ++running_;
  return id;
}

std::optional<KvCache::Start> KvCache::start(const PrefixBlocks& prefix, std::int32_t input_tokens,
                                             std::int32_t reserve_tokens) {
  const PerTier<std::int32_t> hit = match(prefix, input_tokens);
  const std::int64_t idle_hits = std::ranges::count_if(
      found_, [&](std::uint32_t slot) { return tiers_.tier(slot) == KvTier::hbm && !tiers_.used(slot); });
  const std::int64_t restored = (hit[KvTier::host] + hit[KvTier::storage]) / page_.tokens;
  const std::int64_t beyond = std::max<std::int64_t>(0, page_.pages_of(reserve_tokens) - hit.total() / page_.tokens);
  if (tiers_.room(KvTier::hbm) - idle_hits * tiers_.block_pages() < restored + beyond) return std::nullopt;

  for (const std::uint32_t slot : found_) {
    if (tiers_.tier(slot) == KvTier::hbm) {
      tiers_.hold(slot);
    } else {
      counters_.restored_tokens[tiers_.tier(slot)] += block_tokens_;
      tiers_.bring_up(slot);
    }
  }
  [[maybe_unused]] const bool fits = tiers_.make_room(KvTier::hbm, restored + beyond);
  assert(fits);
  tiers_.take(KvTier::hbm, restored + beyond);

  const KvSequence id = new_sequence(prefix);
  Sequence& sequence = sequences_[id.index()];
  sequence.own_pages = beyond;
  sequence.computed = hit.total();
  ++counters_.sequences;
  counters_.prompt_tokens += input_tokens;
  for (const KvTier tier : kKvTierList) counters_.hit_tokens[tier] += hit[tier];
  note_use();
  return Start{id, hit};
}

bool KvCache::reserve(KvSequence id, std::int32_t tokens) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped);
  const std::int64_t more = page_.pages_of(tokens) - held(sequence);
  if (more <= 0) return true;
  if (!tiers_.make_room(KvTier::hbm, more)) return false;
  sequence.own_pages += more;
  tiers_.take(KvTier::hbm, more);
  note_use();
  return true;
}

bool KvCache::take_pages(std::int64_t pages) {
  if (pages == 0) return true;
  if (!tiers_.make_room(KvTier::hbm, pages)) return false;
  unassigned_ += pages;
  tiers_.take(KvTier::hbm, pages);
  note_use();
  return true;
}

void KvCache::assign(KvSequence id, std::int64_t tokens) {
  const std::int64_t more = page_.pages_of(tokens) - held_pages(id);
  if (more <= 0) return;
  assert(more <= unassigned_);
  unassigned_ -= more;
  sequences_[id.index()].own_pages += more;
}

void KvCache::computed(KvSequence id, std::int32_t tokens) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped && tokens >= sequence.computed);
  assert(page_.pages_of(tokens) <= held(sequence));
  sequence.computed = tokens;
  share_computed_blocks(sequence);
}

/// Blocks of its own become such as others find; if another sequence was first, one of the two copies is given up.
void KvCache::share_computed_blocks(Sequence& sequence) {
  if (sequence.prefix == kNoPrefix) return;
  Prefix& prefix = prefixes_[sequence.prefix];
  const std::size_t full = std::min(prefix.size, static_cast<std::size_t>(sequence.computed / block_tokens_));
  while (prefix.held.size() < full) {
    const std::uint64_t id = prefix.all.id(prefix.held.size());
    std::uint32_t slot = tiers_.find(id);
    if (slot == BlockTiers::kNone) {
      slot = tiers_.add(id);
    } else if (tiers_.tier(slot) == KvTier::hbm) {
      tiers_.hold(slot);
      tiers_.give_back(KvTier::hbm, tiers_.block_pages());
    } else {
      tiers_.bring_up(slot);
    }
    sequence.own_pages -= tiers_.block_pages();
    prefix.held.push_back(slot);
  }
}

void KvCache::finish(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active);
  if (sequence.prefix != kNoPrefix) {
    Prefix& prefix = prefixes_[sequence.prefix];
    let_go(tiers_, prefix.held);
    prefix.all = {};
    free_prefixes_.push_back(sequence.prefix);
  }
  tiers_.give_back(sequence.swapped ? KvTier::host : KvTier::hbm, sequence.own_pages);
  sequence = {};
  sequence.computed = std::exchange(first_free_, static_cast<std::int32_t>(id.index()));
  --running_;
}

bool KvCache::swap_out(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && !sequence.swapped);
  const std::int64_t pages = held(sequence);
  if (!tiers_.make_room(KvTier::host, pages)) return false;
  if (sequence.prefix != kNoPrefix) let_go(tiers_, prefixes_[sequence.prefix].held);
  tiers_.give_back(KvTier::hbm, sequence.own_pages);
  tiers_.take(KvTier::host, pages);
  sequence.own_pages = pages;
  sequence.swapped = 1;
  counters_.offloaded_tokens[KvTier::host] += pages * page_.tokens;
  return true;
}

bool KvCache::swap_in(KvSequence id) {
  Sequence& sequence = sequences_[id.index()];
  assert(sequence.active && sequence.swapped);
  if (!tiers_.make_room(KvTier::hbm, sequence.own_pages)) return false;
  tiers_.give_back(KvTier::host, sequence.own_pages);
  tiers_.take(KvTier::hbm, sequence.own_pages);
  sequence.swapped = 0;
  counters_.restored_tokens[KvTier::host] += sequence.own_pages * page_.tokens;
  share_computed_blocks(sequence);
  note_use();
  return true;
}

// ---- books

void KvCache::note_use() {
  counters_.peak_used_tokens = std::max(counters_.peak_used_tokens, used_pages() * page_.tokens);
}

KvCounters KvCache::counters() const {
  KvCounters all = counters_;
  for (const KvTier tier : kKvTierList) all.offloaded_tokens[tier] += tiers_.offloaded()[tier] * block_tokens_;
  all.dropped_tokens = tiers_.dropped() * block_tokens_;
  return all;
}

bool KvCache::consistent() const {
  PerTier<std::int64_t> own;  // pages that are not blocks'
  std::vector<std::uint32_t> references(tiers_.slots(), 0);
  std::int64_t active = 0;
  for (const Sequence& sequence : sequences_) {
    if (sequence.own_pages < 0 || (!sequence.active && sequence.own_pages != 0)) return false;
    active += sequence.active ? 1 : 0;
    own[sequence.swapped ? KvTier::host : KvTier::hbm] += sequence.own_pages;
  }
  for (const Prefix& prefix : prefixes_)
    for (const std::uint32_t slot : prefix.held) ++references[slot];
  own[KvTier::hbm] += unassigned_;
  return active == running_ && tiers_.consistent(references, own);
}

}  // namespace flopcast
