// Does the KV cache keep what it should, give up what it should, and never lose a page?
#include "workloads/serving/cache/kv_cache.h"

#include <map>
#include <vector>

#include "sim/base/random.h"
#include "tests/catch.h"
#include "workloads/serving/cache/block_index.h"

namespace flopcast {
namespace {

constexpr int kBlock = 32;  // two pages of 16

KvCache cache_of(std::int64_t hbm_blocks, std::int64_t host_blocks = 0, std::int64_t storage_blocks = 0) {
  return KvCache({.page_tokens = 16,
                  .prefix_block_tokens = kBlock,
                  .capacity_tokens = {{hbm_blocks * kBlock, host_blocks * kBlock, storage_blocks * kBlock}}});
}

PrefixBlocks blocks(std::uint64_t first, std::uint64_t count) {
  PrefixBlocks result;
  result.append_run(first, count);
  return result;
}

/// A prompt from start to end, all at once.
PerTier<std::int32_t> serve(KvCache& cache, const PrefixBlocks& prefix, std::int32_t tokens) {
  const auto start = cache.start(prefix, tokens, tokens);
  REQUIRE(start);
  cache.computed(start->sequence, tokens);
  cache.finish(start->sequence);
  REQUIRE(cache.consistent());
  return start->hit;
}

using Hit = std::array<std::int32_t, kKvTiers>;

TEST_CASE("a prompt served before is found, but for the block with its last token", "[workloads][serving]") {
  KvCache cache = cache_of(10);
  CHECK(serve(cache, blocks(0, 3), 3 * kBlock).total() == 0);
  CHECK(cache.match(blocks(0, 3), 3 * kBlock).values == Hit{2 * kBlock, 0, 0});
  CHECK(cache.match(blocks(0, 3), 3 * kBlock + 1).values == Hit{3 * kBlock, 0, 0});
  CHECK(cache.match(blocks(1, 2), 3 * kBlock).values == Hit{2 * kBlock, 0, 0});
  CHECK(cache.match(blocks(9, 2), 3 * kBlock).total() == 0);
  CHECK(cache.used_pages() == 0);
  CHECK(cache.free_pages() == (10 - 3) * 2);
}

TEST_CASE("blocks are there for others once they are computed, not when they are reserved", "[workloads][serving]") {
  KvCache cache = cache_of(10);
  const auto first = cache.start(blocks(0, 4), 4 * kBlock, 4 * kBlock);
  CHECK(cache.match(blocks(0, 4), 4 * kBlock + 1).total() == 0);
  cache.computed(first->sequence, 2 * kBlock + 5);
  CHECK(cache.match(blocks(0, 4), 4 * kBlock + 1).total() == 2 * kBlock);
}

TEST_CASE("two sequences that compute the same block keep one copy", "[workloads][serving]") {
  KvCache cache = cache_of(10);
  const auto a = cache.start(blocks(0, 2), 2 * kBlock, 2 * kBlock);
  const auto b = cache.start(blocks(0, 2), 2 * kBlock, 2 * kBlock);
  CHECK(cache.used_pages() == 8);
  cache.computed(a->sequence, 2 * kBlock);
  cache.computed(b->sequence, 2 * kBlock);
  CHECK(cache.used_pages() == 4);
  cache.finish(a->sequence);
  CHECK(cache.used_pages() == 4);
  cache.finish(b->sequence);
  CHECK(cache.used_pages() == 0);
  CHECK(cache.consistent());
}

TEST_CASE("what was not used longest goes first, the end of a prompt before its beginning", "[workloads][serving]") {
  KvCache cache = cache_of(6);
  serve(cache, blocks(0, 3), 3 * kBlock);
  serve(cache, blocks(10, 3), 3 * kBlock);
  serve(cache, blocks(20, 1), kBlock);  // evicts block 2
  CHECK(cache.match(blocks(0, 3), 4 * kBlock).total() == 2 * kBlock);
  CHECK(cache.match(blocks(10, 3), 4 * kBlock).total() == 3 * kBlock);
  serve(cache, blocks(0, 1), kBlock + 1);  // looks at block 0 and needs a page more: evicts block 1
  CHECK(cache.match(blocks(0, 3), 4 * kBlock).total() == kBlock);
  CHECK(cache.counters().dropped_tokens == 2 * kBlock);
}

TEST_CASE("evicted blocks go down tier by tier and come back up", "[workloads][serving]") {
  KvCache cache = cache_of(2, 2, 2);
  serve(cache, blocks(0, 2), 2 * kBlock);
  serve(cache, blocks(10, 2), 2 * kBlock);
  CHECK(cache.match(blocks(0, 2), 3 * kBlock).values == Hit{0, 2 * kBlock, 0});
  serve(cache, blocks(20, 2), 2 * kBlock);
  CHECK(cache.match(blocks(0, 2), 3 * kBlock).values == Hit{0, 0, 2 * kBlock});
  CHECK(cache.counters().dropped_tokens == 0);
  serve(cache, blocks(30, 2), 2 * kBlock);
  CHECK(cache.match(blocks(0, 2), 3 * kBlock).total() == 0);
  CHECK(cache.counters().dropped_tokens == 2 * kBlock);

  const auto up = cache.start(blocks(10, 1), kBlock + 1, kBlock + 1);
  REQUIRE(up);
  CHECK(up->hit.values == Hit{0, 0, kBlock});
  CHECK(cache.counters().restored_tokens[KvTier::storage] == kBlock);
  CHECK(cache.match(blocks(10, 1), kBlock + 1).values == Hit{kBlock, 0, 0});
  CHECK(cache.consistent());
}

TEST_CASE("a sequence that does not fit changes nothing", "[workloads][serving]") {
  KvCache cache = cache_of(4, 2);
  serve(cache, blocks(0, 3), 3 * kBlock);
  const auto running = cache.start(blocks(10, 1), 2 * kBlock, 2 * kBlock);
  REQUIRE(running);
  const KvCounters before = cache.counters();
  CHECK_FALSE(cache.start(blocks(0, 3), 5 * kBlock, 5 * kBlock));
  CHECK_FALSE(cache.reserve(running->sequence, 5 * kBlock));
  CHECK(cache.counters().restored_tokens == before.restored_tokens);
  CHECK(cache.counters().sequences == before.sequences);
  CHECK(cache.used_pages() == 4);
  CHECK(cache.consistent());
}

TEST_CASE("a swapped sequence leaves HBM to others and comes back whole", "[workloads][serving]") {
  KvCache cache = cache_of(3, 3);
  const auto first = cache.start(blocks(0, 2), 3 * kBlock, 3 * kBlock);
  cache.computed(first->sequence, 3 * kBlock);
  CHECK(cache.swap_out(first->sequence));
  CHECK(cache.used_pages() == 0);
  const auto second = cache.start({}, 3 * kBlock, 3 * kBlock);
  REQUIRE(second);
  CHECK_FALSE(cache.swap_in(first->sequence));
  cache.finish(second->sequence);
  CHECK(cache.swap_in(first->sequence));
  CHECK(cache.consistent());
  CHECK(cache.used_pages() == 6);
  CHECK(cache.match(blocks(0, 2), 3 * kBlock).total() == 2 * kBlock);

  KvCache small_host = cache_of(3, 1);
  const auto large = small_host.start({}, 2 * kBlock, 2 * kBlock);
  CHECK_FALSE(small_host.swap_out(large->sequence));
  CHECK(small_host.used_pages() == 4);
}

TEST_CASE("without prefixes the cache counts pages", "[workloads][serving]") {
  KvCache cache({.page_tokens = 16, .prefix_block_tokens = 0, .capacity_tokens = {{160, 0, 0}}});
  const auto one = cache.start(blocks(0, 2), 40, 40);
  CHECK(cache.used_pages() == 3);
  cache.computed(one->sequence, 40);
  CHECK(cache.reserve(one->sequence, 48));
  CHECK(cache.used_pages() == 3);
  CHECK(cache.reserve(one->sequence, 49));
  CHECK(cache.used_pages() == 4);
  cache.finish(one->sequence);
  CHECK(cache.free_pages() == 10);
  CHECK(cache.match(blocks(0, 2), 40).total() == 0);
}

/// Random sequences that start, grow, are swapped and end, over prompts that share beginnings.
void rummage(std::uint64_t seed, KvCache& cache, int operations) {
  RandomStream random(seed);
  struct Running {
    KvSequence sequence;
    std::int32_t reserved;
    bool swapped;
  };
  std::vector<Running> running;
  for (int i = 0; i < operations; ++i) {
    const std::uint64_t what = random.next() % 8;
    if (what < 2 || running.empty()) {
      PrefixBlocks prefix = blocks(random.next() % 3 * 100, random.next() % 4);
      prefix.append_run(1000 + random.next() % 20 * 10, random.next() % 5);
      const auto tokens = static_cast<std::int32_t>(prefix.size() * kBlock + 1 + random.next() % 50);
      const PerTier<std::int32_t> seen = cache.match(prefix, tokens);
      if (const auto start = cache.start(prefix, tokens, static_cast<std::int32_t>(random.next() % 2) * tokens)) {
        REQUIRE(start->hit == seen);
        running.push_back({start->sequence, std::max(cache.computed_tokens(start->sequence), 0), false});
      }
    } else {
      const std::size_t which = random.next() % running.size();
      Running& sequence = running[which];
      if (what < 6 && !sequence.swapped) {
        const auto to = sequence.reserved + static_cast<std::int32_t>(random.next() % 60);
        if (cache.reserve(sequence.sequence, to)) {
          sequence.reserved = to;
          cache.computed(sequence.sequence, to - static_cast<std::int32_t>(random.next() % 2) *
                                                     (to - cache.computed_tokens(sequence.sequence)));
        } else {
          REQUIRE(cache.available_pages() < cache.page().pages_of(to));
        }
      } else if (what == 6) {
        if (sequence.swapped ? cache.swap_in(sequence.sequence) : cache.swap_out(sequence.sequence)) {
          sequence.swapped = !sequence.swapped;
        }
      } else if (what == 7) {
        cache.finish(sequence.sequence);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    if (!cache.consistent()) FAIL("the books do not add up after operation " << i << ", seed " << seed);
  }
  for (const Running& sequence : running) cache.finish(sequence.sequence);
}

TEST_CASE("no page is ever lost, whatever happens", "[workloads][serving]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    KvCache cache = cache_of(static_cast<std::int64_t>(4 + seed % 30), static_cast<std::int64_t>(seed % 4 * 5),
                             static_cast<std::int64_t>(seed % 3 * 8));
    rummage(seed, cache, 1500);
    REQUIRE(cache.consistent());
    REQUIRE(cache.used_pages() == 0);
    REQUIRE(cache.running() == 0);
    const KvCounters& counters = cache.counters();
    REQUIRE(counters.hit_tokens.total() <= counters.prompt_tokens);
    REQUIRE(counters.restored_tokens[KvTier::storage] <= counters.offloaded_tokens[KvTier::storage]);
  }
}

TEST_CASE("the index of blocks finds what was put in and not taken out", "[workloads][serving]") {
  RandomStream random(3);
  BlockIndex index;
  std::map<std::uint64_t, std::uint32_t> expected;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const std::uint64_t id = random.next() % 600 * (random.next() % 2 == 0 ? 1 : 1ULL << 32);
    if (expected.contains(id)) {
      index.erase(id);
      expected.erase(id);
    } else {
      index.insert(id, i);
      expected[id] = i;
    }
    const std::uint64_t asked = random.next() % 600;
    const auto there = expected.find(asked);
    REQUIRE(index.find(asked) == (there == expected.end() ? BlockIndex::kNone : there->second));
  }
  CHECK(index.size() == expected.size());
}

}  // namespace
}  // namespace flopcast
